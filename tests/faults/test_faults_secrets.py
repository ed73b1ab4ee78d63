"""Fault 50: every secret of a whole run is looked for in all that the run has left behind."""

from __future__ import annotations

import contextlib
import re
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from support.e2e import ADMIN_PASSWORD, Env, all_done, family, states, wait_until

ALICES_FIRST, ALICES_SECOND = "canary of alice, the first one", "canary of alice, the second one"
SHELL = '[programs.sh]\ncommand = ["/bin/sh"]\n'
LOOK = (
    "env; cat /proc/self/environ /proc/$PPID/environ /proc/$PPID/cmdline; ls -la /proc/self/fd .; "
    "cat /proc/self/fd/[3-9]* < /dev/null; while [ -e HOLD ]; do sleep 0.1; done"
)
NOSY = f"""
name = "any.nosy"
program = "sh"

[[run]]
argv = ["{{program}}", "-c", "{LOOK}"]
stdout = "out"
ok = [0, 1]

[outputs.out]
file = "out"
"""


class Onlooker:
    """Somebody on the same machine who looks at arguments and environments all the time."""

    def __init__(self) -> None:
        self.seen: dict[bytes, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for process in family(psutil.Process().pid)[1:]:
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        found = Path(f"/proc/{process.pid}/{name}").read_bytes()
                        self.seen.setdefault(found, f"{name} of {found[:60]!r}")


def everything(file: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is packed inside it."""
    data = file.read_bytes()
    yield data
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[found.start() :], 1 << 20)


def places_of(secret: bytes, root: Path) -> set[str]:
    """The files that hold a secret, as paths below the root."""
    return {
        str(file.relative_to(root))
        for file in root.rglob("*")
        if file.is_file() and not file.is_symlink()
        if any(secret in piece for piece in everything(file))
    }


def key_in(file: Path) -> bytes:
    """The middle of a private key."""
    found = re.search(rb"PRIVATE KEY-----\n(.+?)\n", file.read_bytes())
    assert found is not None
    return found[1]


def use_everything(env: Env) -> dict[str, bytes]:
    """A run with all kinds of secrets; each by its name."""
    project = env.open(evaluators=1)
    env.start_worker("w", "--programs", env.write("sh.toml", SHELL))
    for name, password in (("first", ALICES_FIRST), ("second", ALICES_SECOND)):
        env.write(name, password).chmod(0o600)
    env.cpc("user", "add", "alice", "--password-file", env.root / "first")
    env.cpc("user", "token", "create", "pipeline", "--output", env.root / "token")
    env.cpc("user", "passwd", "alice", "--password-file", env.root / "second")
    wrong = env.run(
        "login", env.server / "client.cpc", "--user", "alice", "--password-file", "first"
    )
    assert wrong.returncode != 0
    hold = env.write("hold", "")
    project.define(env.write("nosy.toml", NOSY.replace("HOLD", str(hold))))
    project.add("nosy", "any.nosy", active=True)
    wait_until(lambda: states(project, "nosy") == ["running"], "it looks around")
    env.cpc("server", "backup", env.server, env.root / "backup")
    hold.unlink()
    wait_until(lambda: all_done(project, "nosy", 1), "it is done")
    env.cpc("project", "save", env.root / "saved")
    env.cpc("project", "export", "--ro-crate", env.root / "crate.zip")
    for number, command in enumerate(("audit", "history", "trace nosy.out.out", "worker list")):
        env.write(f"said-{number}", env.cpc(*command.split(), "--json"))
    identity = env.server / "identity"
    (pair,) = env.root.glob("w/identity/*/worker.pem")
    token = (env.root / "token").read_bytes()
    secrets = {
        "the administrator's password": ADMIN_PASSWORD.encode(),
        "a user's first password": ALICES_FIRST.encode(),
        "a user's second password": ALICES_SECOND.encode(),
        "a login": env.client.profile.token.encode(),
        "a program's token": re.findall(rb"\w+_\w+\.([\w-]+)", token)[0],
        "a join token": re.findall(rb'join_token = "(.+)"', env.bundle.read_bytes())[0],
        "the key of the authority": key_in(identity / "ca.key"),
        "the key of the server": key_in(identity / "server.key"),
        "the key of a worker": key_in(pair),
    }
    return {name: secret.rpartition(b".")[2] for name, secret in secrets.items()}


def test_fault_50_no_secret_is_in_anything_that_a_whole_run_leaves_behind(env: Env) -> None:
    with Onlooker() as onlooker:
        secrets = use_everything(env)
        for worker in env.workers:
            worker.end()
        assert env.stop_server() == 0
        env.cpc("server", "check", env.server)
    (pair,) = env.root.glob("w/identity/*/worker.pem")
    meant = {
        "the administrator's password": {"password"},
        "a user's first password": {"first"},
        "a user's second password": {"second"},
        "a login": {"config/profiles.json"},
        "a program's token": {"token"},
        "a join token": {"lab.cpc"},
        "the key of the authority": {"server/identity/ca.key", "backup/identity/ca.key"},
        "the key of the server": {"server/identity/server.key", "backup/identity/server.key"},
        "the key of a worker": {str(pair.relative_to(env.root))},
    }
    assert [name for name, secret in secrets.items() if len(secret) < 20] == [], secrets
    assert {name: places_of(secret, env.root) for name, secret in secrets.items()} == meant
    assert len(onlooker.seen) > 10
    for name, secret in secrets.items():
        told = [what for content, what in onlooker.seen.items() if secret in content]
        assert told == [], name
