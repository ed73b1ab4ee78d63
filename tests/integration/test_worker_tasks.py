"""Task functions of a module, called in task hosts of a real worker."""

from __future__ import annotations

import itertools
import os

import psutil
import pytest

from support.worker_process import wait_until, worker
from support.worker_server import scripted_server, task_job

MODULE = """
import os, sys, threading, time
from pathlib import Path
from copernicus.sdk import File, report_progress, task

@task
def add(a: int, b: int) -> int:
    return a + b

@task
def pid(x: int) -> int:
    return os.getpid()

@task
def cores(x: int) -> list[list[int]]:
    return [sorted(os.sched_getaffinity(int(name))) for name in os.listdir("/proc/self/task")]

@task
def unbind(x: int) -> int:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    os.sched_setaffinity(0, range(os.cpu_count()))
    return os.getpid()

@task
def noisy(x: int) -> int:
    print("to the log", flush=True)
    os.system("echo from a child")
    raise ValueError(f"no such {x}")

@task
def upper(text: File) -> File:
    Path("out.txt").write_text(Path(text.path).read_text().upper())
    return File.new("out.txt")

@task
def crash(x: int) -> int:
    os.kill(os.getpid(), 11)
    return 1

@task
def hang(x: int) -> int:
    report_progress(3, 10)
    time.sleep(1000)
    return 1

@task
def leave(x: int) -> int:
    sys.exit(5)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "worker_test_tasks.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        # Relative to where the worker is started, which is not where its tasks work.
        patch.setenv("PYTHONPATH", os.path.relpath(folder, folder / "w"))
        with scripted_server(folder) as server, worker(server, folder / "w") as running:
            yield server, running


_NUMBERS = itertools.count(1)


@pytest.fixture
def call(site):
    server, _ = site

    def call(name: str, /, **inputs):
        number = next(_NUMBERS)
        server.add(task_job(number, f"worker_test_tasks:{name}", inputs))
        return server.result(f"p.a{number}#1")

    return call


def test_a_task_returns_its_value_and_leaves_nothing(site, call):
    _, running = site
    assert call("add", a=2, b=3).outputs == {"result": 5}
    assert list((running.work_dir / "attempts").iterdir()) == []


def test_hosts_are_used_again(call):
    assert call("pid", x=1).outputs == call("pid", x=2).outputs


def test_every_task_is_bound_to_its_cores_whatever_the_one_before_did(call):
    (bound,) = {tuple(cores) for cores in call("cores", x=1).outputs["result"]}
    assert len(bound) == 1
    host = call("unbind", x=2).outputs
    found = call("cores", x=3).outputs["result"]
    assert len(found) > 1
    assert {tuple(cores) for cores in found} == {bound}
    assert call("pid", x=4).outputs == host


def test_an_exception_is_told_with_log_and_place(call):
    failure = call("noisy", x=3).failure
    assert failure.reason == "ValueError: no such 3"
    assert failure.cause == "job_error"
    assert "in noisy" in failure.log


def test_files_come_and_go(site, call):
    server, _ = site
    stored = server.blobs.put_bytes(b"quiet words")
    result = call("upper", text={"$file": stored.sha256, "size": stored.size, "name": "t"})
    assert result.outcome == "completed", result.failure
    assert server.content(result.attempt, result.outputs["result"]) == b"QUIET WORDS"


def test_a_crash_takes_only_its_own_host(call):
    failure = call("crash", x=1).failure
    assert "crashed (segmentation fault)" in failure.reason
    assert call("add", a=1, b=1).outputs == {"result": 2}


def test_exit_does_not_end_the_host(call):
    assert call("leave", x=1).failure.reason.startswith("SystemExit")
    assert call("add", a=1, b=1).outputs == {"result": 2}


def test_an_unknown_function_is_a_matter_of_definition(call):
    assert call("nothing", x=1).failure.cause == "definition"


def test_a_hanging_task_is_killed_with_its_host(site):
    server, running = site
    number = next(_NUMBERS)
    attempt = f"p.a{number}#1"
    server.add(task_job(number, "worker_test_tasks:hang", {"x": 1}, heartbeat_s=0.1))
    server.wait_for(
        lambda: any(
            b.progress and b.progress.step == 3
            for r in server.beats
            for b in r.beats
            if b.attempt == attempt
        ),
        "progress of a task",
    )
    before = {p.pid for p in psutil.Process(running.process.pid).children(recursive=True)}
    server.directives[attempt] = "stop"
    assert server.result(attempt).outcome == "stopped"

    def one_less() -> bool:
        now = {p.pid for p in psutil.Process(running.process.pid).children(recursive=True)}
        return bool(before - now)

    wait_until(one_less, "the end of the host")
