"""What people get wrong: one clear message with the remedy, and the rest of the project goes on."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.client import Project
from copernicus.model.jobs import Failure
from copernicus.store.folder import DATABASE
from support.e2e import Env, states, wait_until
from support.e2e_gromacs import ALA2, mdp_text, needs_gmx
from support.e2e_programs import SHIFT_TOML, TRIAL_TOML, count, programs_file
from support.postgres import STORES

pytestmark = pytest.mark.e2e


def says(text: str, *words: str) -> None:
    flat = " ".join(text.split())
    for word in words:
        assert word in flat, f"{word!r} is not in: {flat}"


def why(env: Env, path: str) -> str:
    return " ".join(env.cpc("why", path).split())


def failure_of(project: Project, path: str, index: int = 0, seconds: float = 40.0) -> Failure:
    """The failure of an element, once it has one."""

    def found() -> Failure | None:
        elements = project.instance_detail(path, index, 1).elements
        return elements[0].failure if elements else None

    failure: Failure = wait_until(found, f"{path}[{index}] fails", seconds)
    return failure


def test_commands_that_cannot_be_carried_out_change_nothing(env: Env) -> None:
    project = env.open()
    env.start_worker("w", "--programs", programs_file(env))
    project.define(env.write("shift.toml", SHIFT_TOML))
    project.add("a", "bytes.shift")
    project.add("b", "bytes.shift")
    project.connect("a.out.result", "b.in.source")
    before = project.view()
    broken = env.write("broken.toml", SHIFT_TOML.replace('type = "int"', "type = int"))
    wrong = env.write("wrong.toml", SHIFT_TOML.replace("{in.by}", "{in.bye}"))

    for words, refusal in {
        ("set-file", "a.in.source", "no/such.file"): ("no/such.file",),
        ("set", "a.in.by", "many"): ("a.in.by", "int", "many"),
        ("set", "a.in.bye", "3"): ("bye", "source, by"),
        ("add", "c", "bytes.shif"): ("bytes.shif", "did you mean bytes.shift"),
        ("set", "nowhere.in.x", "3"): ("nowhere",),
        ("connect", "b.out.result", "a.in.source"): ("cycle", "a -> b -> a"),
        ("connect", "a.out.size", "b.in.source"): ("float", "File"),
        ("define", broken): ("broken.toml", "line 9"),
        ("define", wrong): ("wrong.toml", "bye", "by"),
    }.items():
        said = env.refused(1, *words)
        says(said, *refusal)
    says(env.refused(1, "set", "a.in.by"), "cpc set a.in.by VALUE")
    says(env.refused(1, "status", "-p", "nosuch"), "nosuch")

    after = project.view()
    assert (after.revision, after.position) == (before.revision, before.position)
    project.set("a.in.source", env.write("data", b"abc"))
    project.activate()
    wait_until(lambda: states(project, "b") == ["done"], "the rest goes on")


def test_logins_that_are_wrong(env: Env) -> None:
    env.init_server()
    running = env.start_server()
    bundle = env.server / "client.cpc"
    bad = env.write("bad", "this is not the password")
    login = ("--user", "admin", "--password-file")

    says(env.refused(3, "status"), "not logged in", "cpc login")
    said = env.refused(3, "login", bundle, *login, bad)
    says(said, "Wrong user name or password")
    assert "this is not" not in said
    says(env.refused(1, "login", "nosuch.cpc", *login, bad), "nosuch.cpc")
    garbage = env.write("garbage.cpc", "not = [toml")
    says(env.refused(1, "login", garbage, *login, bad), "garbage.cpc")
    env.stop_server()
    says(env.refused(4, "login", bundle, *login, bad), str(running.user_port))


def test_worker_bundles_that_are_wrong(env: Env) -> None:
    env.open()
    text = env.bundle.read_text()

    def worker(name: str, bundle: Path, code: int) -> str:
        started = env.start_worker(name, bundle=bundle, wait=False)
        assert started.process.wait(40) == code, started.said
        assert "Traceback" not in started.said
        lines = [line for line in started.said.strip().split("\n") if line.startswith("cpc: ")]
        assert len(lines) == 1, started.said
        return lines[0]

    garbage = env.write("garbage.cpc", "not = [toml")
    says(worker("w1", garbage, 1), "garbage.cpc")
    says(worker("w2", env.root / "nosuch.cpc", 1), "nosuch.cpc")
    says(worker("w3", env.server / "client.cpc", 1), "client.cpc")
    server_id = env.client.profile.server_id
    forged = env.write("forged.cpc", text.replace(server_id, "a" * 26))
    forged.chmod(0o600)
    says(worker("w4", forged, 1), "forged.cpc")
    token = next(line for line in text.split("\n") if line.startswith("join_token"))
    guessed = env.write("guessed.cpc", text.replace(token[-20:-1], "A" * 19))
    guessed.chmod(0o600)
    says(worker("w5", guessed, 3), "join token", "new bundle")
    env.cpc("worker", "bundle", "--uses", 1, "-o", env.root / "once.cpc")
    first = env.start_worker("w6", bundle=env.root / "once.cpc")
    says(worker("w7", env.root / "once.cpc", 3), "new bundle")
    assert first.process.poll() is None
    env.stop_server()
    says(worker("w8", env.bundle, 4), "running")


def test_servers_that_cannot_start(env: Env) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env.init_server()
        start = ("server", "start", env.server)
        says(env.refused(1, *start, "--user-port", port), str(port), "in use", "user_port")
    says(env.refused(1, "server", "start", env.root / "nowhere"), "nowhere", "cpc server init")
    settings = env.server / "server.toml"
    good = settings.read_text()
    settings.write_text(good + "leese_s = 3\n")
    says(env.refused(1, *start), "server.toml", "leese_s")
    settings.write_text(good + "lease_s = [\n")
    says(env.refused(1, *start), "server.toml", "TOML")
    settings.write_text(good)
    env.start_server()
    says(env.refused(1, *start), str(env.server))
    env.stop_server()


def test_a_database_of_a_newer_version_is_refused_untouched(env: Env) -> None:
    if os.environ.get(STORES):
        pytest.skip("tests/integration/test_store_postgres.py has this for PostgreSQL")
    env.init_server()
    start = ("server", "start", env.server)
    database = env.server / DATABASE
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
        connection.execute("UPDATE meta SET value = '9.1.0' WHERE key = 'version'")
        connection.commit()
    before = database.read_bytes()
    says(env.refused(1, *start), "newer version", "9.1.0")
    assert database.read_bytes() == before


def test_programs_that_fail_or_that_nobody_has(env: Env) -> None:
    project = env.open()
    project.define(env.write("trial.toml", TRIAL_TOML))
    nobody = TRIAL_TOML.replace("any.trial", "any.other").replace('"trial"', '"nobody"')
    project.define(env.write("nobody.toml", nobody))
    newer = SHIFT_TOML.replace(">=4", ">=5")
    project.define(env.write("newer.toml", newer))
    texts = ["fine", "fail", "segfault", "nothing"]
    files = [env.write(f"{text}.txt", text) for text in texts]
    with project.transaction():
        project.add("trial", "any.trial", map="text", active=True)
        project.set("trial.in.text", files)
        project.add("other", "any.other", active=True)
        project.set("other.in.text", files[0])
        project.add("newer", "bytes.shift", active=True)
        project.set("newer.in.source", files[0])
    env.start_worker("w", "--programs", programs_file(env))

    for index in (1, 2, 3):
        failure_of(project, "trial", index)
    wait_until(lambda: states(project, "trial")[0] == "done", "the good one is done")
    assert project.get("trial.out.out[0]") == "FINE"
    says(why(env, "trial[1]"), "trial", "exit code 3", "cannot do this", "cpc retry 'trial[1]'")
    says(why(env, "trial[2]"), "trial crashed (segmentation fault)")
    says(why(env, "trial[3]"), "'out'")
    says(why(env, "other"), "no worker", "nobody")
    says(why(env, "newer"), "shift", ">=5", "4.2")
    says(env.cpc("status"), "trial", "3 failed", "other", "nobody")

    late = programs_file(env)
    nobody_too = late.read_text() + f'[programs.nobody]\ncommand = ["{env.root}/trial.sh"]\n'
    env.start_worker("w2", "--programs", env.write("more.toml", nobody_too))
    wait_until(lambda: states(project, "other") == ["done"], "a worker that has it came")


@pytest.mark.gromacs
@needs_gmx
def test_parameters_that_gromacs_rejects_and_simulations_that_blow_up(env: Env) -> None:
    project = env.open()
    mdps = [
        env.write("good.mdp", mdp_text(nsteps=5000)),
        env.write("rejected.mdp", mdp_text(integrator="leapfrog")),
        env.write("explodes.mdp", mdp_text(dt=0.02, nsteps=5000)),
    ]
    with project.transaction():
        project.add("prep", "gromacs.grompp", map="mdp", active=True)
        project.add("run", "gromacs.mdrun", map="tpr", active=True)
        project.connect("prep.out.tpr", "run.in.tpr")
        project.set("prep.in.top", ALA2 / "topol.top")
        project.set("prep.in.conf", ALA2 / "start0.gro")
        project.set("prep.in.maxwarn", 5)
        project.set("prep.in.mdp", mdps)
    env.start_worker(cores=2)

    failure_of(project, "prep", 1, 60)
    failure_of(project, "run", 2, 60)
    wait_until(lambda: states(project, "run")[0] == "done", "the good one is done")
    says(why(env, "prep[1]"), "integrator", "leapfrog", "cpc retry 'prep[1]'")
    says(why(env, "run[2]"), "blew up", "smaller time step")
    says(why(env, "run[1]"), "prep[1]")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_of_a_worker_is_not_the_fault_of_the_job(small_disk: Path, env: Env) -> None:
    project = env.open()
    project.define(env.write("trial.toml", TRIAL_TOML))
    with project.transaction():
        project.add("trial", "any.trial", active=True)
        project.set("trial.in.text", env.write("fill.txt", "fill"))
    programs = programs_file(env)
    worker = env.start_worker("small/w", "--programs", programs)

    wait_until(lambda: "disk of the worker is full" in worker.said, "the disk is full")
    said = why(env, "trial")
    says(said, "disk")
    project.set("trial.in.text", env.write("fine.txt", "fine"))
    count(env, "c", 10)
    wait_until(lambda: states(project, "c") == ["done"], "the rest goes on")
    wait_until(lambda: states(project, "trial") == ["done"], "and so does this, with less")
