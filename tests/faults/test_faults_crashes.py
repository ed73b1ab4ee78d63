"""The server is killed at every named place; afterwards everything is as if it had not been."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from copernicus.cli.checking import check_folder
from copernicus.errors import ServerBusy, ServerUnreachable
from copernicus.model.events import FilesDropped
from copernicus.store.backup import backup_folder
from copernicus.store.store import Store
from support.crashes import GROUPS, KILLED, Workload, check_made_once, dies_of
from support.e2e import Env, wait_until
from support.e2e_programs import programs_file

# How often a place is passed before the kill: not always the first time.
COUNTS = {"transaction.begun": 3, "transaction.committed": 4, "batch.applied": 6}
COUNTS |= {"batch.committed": 9, "batch.answered": 7, "blob.written": 2, "blob.renamed": 3}

_SNAPSHOTS = """
import sys
from pathlib import Path
from copernicus.server import app, snapshots
app._SNAPSHOTS_S, snapshots.LEAST = 0.1, 5
app.run_server(Path(sys.argv[1]))
"""


def started(env: Env, sweep_every_s: float = 0.5) -> Workload:
    """A server with a project and a worker, and a first piece of work done."""
    env.open(sweep_every_s=sweep_every_s)
    load = Workload(env)
    load.define()
    env.start_worker("w", "--programs", programs_file(env), "--retry", 0.3, cores=2)
    return load


def ended(env: Env, load: Workload) -> None:
    """An undisturbed end: all results, each made once, everything whole."""
    load.finish()
    env.workers[0].end()
    assert env.stop_server() == 0
    check_made_once(env)


@pytest.mark.timeout(600)
def test_fault_02_a_kill_at_every_point_of_serving(env: Env) -> None:
    load = started(env)
    env.kill_server()
    for point in GROUPS["serving"]:
        dies_of(env, load, point, COUNTS.get(point, 1))
    env.start_server()
    ended(env, load)


def test_fault_02_a_kill_at_every_point_of_a_start(env: Env) -> None:
    load = started(env)
    load.go_on()
    worker = env.workers[0]
    wait_until(lambda: env.checkpoints(), "it counts")
    env.kill_server()
    for point in GROUPS["starting"]:
        process = env.launch_server(CPC_CRASH_AT=point)
        assert process.wait(60) == KILLED
    env.start_server()
    ended(env, load)
    assert worker.said.count("finished count0") == 1


def test_fault_02_a_kill_at_every_point_of_stopping(env: Env) -> None:
    load = started(env)
    load.go_on()
    for point in GROUPS["stopping"]:
        env.kill_server()
        env.start_server(CPC_CRASH_AT=point)
        env.server_process.terminate()
        assert env.server_process.wait(30) == KILLED
    env.start_server()
    ended(env, load)


def test_fault_02_a_kill_at_every_point_of_a_snapshot(env: Env) -> None:
    load = started(env)
    load.go_on()
    position = wait_until(lambda: env.project().view().position, "there is a journal")
    assert env.stop_server() == 0
    for point in GROUPS["snapshots"]:
        argv = [sys.executable, "-c", _SNAPSHOTS, str(env.server)]
        died = subprocess.run(
            argv, env=env.environment(CPC_CRASH_AT=point), timeout=60, check=False
        )
        assert died.returncode == KILLED
    with Store.open(env.server) as store:
        taken = store.snapshot_position(store.projects()[0].id)
    assert taken >= position
    env.start_server()
    ended(env, load)


@pytest.mark.parametrize("point", GROUPS["making"])
def test_fault_02_a_kill_at_every_point_of_making_a_server(tmp_path: Path, point: str) -> None:
    folder = tmp_path / "server"
    code = "import sys; from pathlib import Path; from copernicus.store.store import Store; "
    code += "Store.open(Path(sys.argv[1]), create=True).close()"
    argv = [sys.executable, "-c", code, str(folder)]
    died = subprocess.run(argv, env={"CPC_CRASH_AT": point}, timeout=60, check=False)
    assert died.returncode == KILLED
    with Store.open(folder, create=True) as store:
        assert store.epoch >= 1
        assert store.projects() == []
    assert {path.name for path in folder.iterdir()} == {"copernicus.db", "epoch", "lock"}


@pytest.mark.parametrize("point", GROUPS["backing up"])
def test_fault_02_a_kill_at_every_point_of_a_backup(env: Env, point: str) -> None:
    load = started(env)
    load.go_on()
    copy = env.root / "copy"
    assert env.run("server", "backup", env.server, copy, CPC_CRASH_AT=point).returncode == KILLED
    assert not copy.exists()
    load.finish()
    backup_folder(env.server, copy)
    ended(env, load)
    with Store.open(copy) as store:
        assert store.restored
        assert {job.state for job in store.jobs(store.projects()[0].id)} == {"done"}


@pytest.mark.parametrize(
    "point", [*GROUPS["removing"], "transaction.written", "batch.committed", "sweep.manifests"]
)
def test_fault_02_a_kill_while_unused_files_are_removed(env: Env, point: str) -> None:
    load = started(env, sweep_every_s=3600.0)  # no sweep by itself removes them before
    load.go_on()
    load.finish()
    project = env.project()
    old = project.get("shift0.out.result").sha256
    project.set("shift0.in.by", 2)
    project.wait("shift0", 60, show=False)
    project.set_retention(0.0)
    assert env.stop_server() == 0
    process = env.launch_server(CPC_CRASH_AT=point)
    with contextlib.suppress(ServerUnreachable, ServerBusy):
        wait_until(lambda: env.running_server() or process.poll() is not None, "it is there", 60)
        env.project().collect(dry_run=False)
    assert process.wait(60) == KILLED
    env.start_server()
    env.project().collect(dry_run=False)
    assert env.stop_server() == 0
    assert check_folder(env.server).problems == []
    with Store.open(env.server) as store:
        (one,) = store.projects()
        events = list(store.load_project(one.id))
    dropped = [event for event in events if isinstance(event, FilesDropped)]
    assert [old in event.files for event in dropped] == [True], "it goes, and goes once"
