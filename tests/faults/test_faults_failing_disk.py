"""Disks that fail, or are full, at one call: of every call that a store, and a server, makes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from copernicus.blobs import BlobStore
from copernicus.store import Store
from support import power
from support.crashes import check_made_once
from support.e2e import Env, wait_until
from support.e2e_programs import programs_file
from support.failing_store import FAILED, LAST, REFUSED
from support.power_writer import content
from support.promises import Asker, check_promises
from support.store_writer import last_committed

pytestmark = pytest.mark.fault_tools

TESTS = Path(__file__).parents[1]
CALLS = {"EIO": (30, 60, 90), "ENOSPC": (40, 80)}
"""Which calls of a server fail: while it starts, while it answers."""

NAMED = re.compile(
    r"disk I/O error|Input/output error|No space left|no space left|is full|unable to open database"
    r"|readonly database"
)


def lives(library: Path, root: Path, error: str, which: str) -> Iterator[dict]:
    """How each life of ``support.failing_store`` ended, while its folder is there."""
    argv = [sys.executable, "-m", "support.failing_store", str(root), error, which]
    environment = {**os.environ, **power.variables(library, root)}
    with subprocess.Popen(
        argv,
        cwd=TESTS,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        for line in process.stdout:
            found = json.loads(line)
            yield found
            shutil.rmtree(root / str(found["n"]))
    assert process.returncode == 0


def check_life(folder: Path, life: dict) -> None:
    """Nothing acknowledged is lost, nothing half-made is seen, and the cause was named."""
    said: str = life["said"]
    fails = re.search(r"^shim: call \d+ fails: (\w+) (.*)\n", said, re.MULTILINE)
    rest = said.replace(fails[0], "") if fails else said
    acknowledged = [int(n) for n in re.findall(r"^ack (\d+)$", said, re.MULTILINE)]
    last = max(acknowledged, default=0)
    if life["code"] == 0:
        assert last == LAST
    else:
        assert life["code"] in (REFUSED, FAILED)
        assert fails
        assert NAMED.search(rest), rest
        assert str(folder) in rest, rest
    if "no backup" in rest:
        assert not (folder / "copy").exists(), rest
        assert NAMED.search(rest), rest
    if "backed up" in rest:
        check_store(folder / "copy", LAST - 1, LAST - 1)
    if (folder / "server").exists():
        check_store(folder / "server", last, last + 1)


def check_store(folder: Path, least: int, most: int) -> None:
    """It opens as that of a server that starts, and holds so many transactions with their files."""
    with Store.open(folder, create=True) as store:
        blobs = BlobStore.in_folder(folder / "blobs")
        last = last_committed(store)
        assert least <= last <= most
        for n in range(1, last + 1):
            assert b"".join(blobs.read(store.meta(f"file{n}"))) == content(n)
        assert blobs.check() == []


def check_lives(library: Path, root: Path, error: str, which: str) -> dict[str, list[dict]]:
    """All lives, checked; by what failed in them."""
    found: dict[str, list[dict]] = {}
    for life in lives(library, root, error, which):
        check_life(root / str(life["n"]), life)
        call = re.search(r"^shim: call \d+ fails: (\w+) (.*)\n", life["said"], re.MULTILINE)
        found.setdefault(f"{call[1]} {Path(call[2]).name}" if call else "", []).append(life)
    assert len(found.pop("")) == 1, "the last one is not disturbed, all others are"
    assert {name.split()[0] for name in found} == {
        *("write", "sync", "rename", "create", "truncate", "folder")
    }
    return found


@pytest.mark.timeout(900)
def test_fault_06_whichever_call_fails_once_nothing_acknowledged_is_lost(
    library: Path, quick_disk: Path, request: pytest.FixtureRequest, record_property
) -> None:
    which = "every" if request.config.getoption("--every-failure") else "last"
    found = check_lives(library, quick_disk, "EIO", which)
    for name, each in found.items():
        if name.startswith("sync put.") or name == "write copernicus.db-wal":
            assert {life["code"] for life in each} == {FAILED}, name
    assert FAILED in {life["code"] for life in found["sync copernicus.db-wal"]}
    count = sum(map(len, found.values()))
    record_property("fault", f"failing disk: {count} calls of a store, each failed once")


@pytest.mark.timeout(900)
def test_fault_04_whichever_call_finds_the_disk_full_the_store_goes_on(
    library: Path, quick_disk: Path, request: pytest.FixtureRequest
) -> None:
    which = "every" if request.config.getoption("--every-failure") else "last"
    found = check_lives(library, quick_disk, "ENOSPC", which)
    for name, each in found.items():
        if "put." in name:
            assert {life["code"] for life in each} == {0}, name
    assert 0 in {life["code"] for life in found["write copernicus.db-wal"]}


def disturbed(env: Env, asker: Asker, library: Path, fail: str) -> bool:
    """A server lives with a failure, under requests; whether the failure came.

    It ends, which it says why, or goes on. What it promised is there afterwards.
    """
    before = len(env.server_log)
    process = env.launch_server(**power.variables(library, env.server, fail=fail))

    def started_or_ended() -> bool:
        return env.running_server() is not None or process.poll() is not None

    def worked_or_ended() -> bool:
        return process.poll() is not None or asker.look()

    wait_until(started_or_ended, "it starts or ends", 60)
    if process.poll() is None:
        asker.ask()
        wait_until(worked_or_ended, "what it was asked for is done, or it ends", 60)
    if process.poll() is None:
        process.terminate()
    code = process.wait(30)
    said = env.server_log[before:]
    found = re.search(r"^shim: .*\n", said, re.MULTILINE)
    if code != 0:
        assert found, said
        assert NAMED.search(said.replace(found[0], "")), said
    assert "Traceback" not in said or code == FAILED, said
    check_promises(env.server, asker.promises)
    return found is not None


@pytest.mark.timeout(14400)
def test_fault_06_a_server_whose_disk_fails_at_a_call_keeps_what_it_promised(
    env: Env, library: Path, request: pytest.FixtureRequest, record_property
) -> None:
    env.open()
    worker = env.start_worker("w", "--programs", programs_file(env), "--retry", 0.3)
    asker = Asker(env)
    env.kill_server()
    every = request.config.getoption("--every-failure")
    rounds = 0
    for error in ("EIO", "ENOSPC"):
        for n in count(1) if every else CALLS[error]:
            if not disturbed(env, asker, library, f"any:{n}:{error}:once"):
                assert every, f"a server makes less than {n} calls"
                break
            rounds += 1
    env.start_server()
    asker.ask()
    wait_until(asker.look, "it goes on")
    worker.end()
    assert env.stop_server() == 0
    check_promises(env.server, asker.promises)
    check_made_once(env)
    record_property("fault", f"failing disk: {rounds} calls of a server, each failed once")
