"""Faults 20 to 23: jobs that do not let go, that flood, that kill; workers that swallow jobs."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psutil
import pytest

from copernicus.client import Project
from support.e2e import Env, Worker, all_done, element, family, is_alive, states, wait_until

SHELL = '[programs.sh]\ncommand = ["/bin/sh"]\n'

SCRIPT_TOML = """
name = "any.script"
program = "sh"

[inputs.text]
type = "str"

[[run]]
argv = ["{program}", "-c", "{in.text}"]
stdout = "out"

[outputs.out]
text = "out"
"""

# Detached twice, with an environment of its own, deaf to everything it can be deaf to.
DAEMON = (
    "trap '' TERM HUP INT; (setsid env -i sh -c 'trap \"\" TERM HUP INT; "
    "(setsid env -i sleep {mark} &) ; sleep {mark}' &) ; sleep {mark} & "
    "while :; do sleep 1; done"
)


@pytest.fixture
def sh(env: Env) -> Path:
    """What makes the shell known to a worker."""
    return env.write("sh.toml", SHELL)


def script(project: Project, name: str, text: str, *, env: Env) -> None:
    """An active job that is this shell script."""
    if "any.script" not in {view.function for view in project.instances()}:
        project.define(env.write("script.toml", SCRIPT_TOML))
    with project.transaction():
        project.add(name, "any.script", active=True)
        project.set(f"{name}.in.text", text)


def sleepers(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == ["sleep", mark] and is_alive(process):
                found.append(process)
    return found


def mark_of(env: Env) -> str:
    """A number of seconds that only this test's processes sleep."""
    return f"9{abs(hash(str(env.root))) % 10**6:06d}"


def test_fault_20_a_cancelled_job_takes_its_daemons_with_it(env: Env, sh: Path) -> None:
    project, mark = env.open(), mark_of(env)
    script(project, "d", DAEMON.format(mark=mark), env=env)
    worker = env.start_worker("w", "--programs", sh)
    wait_until(lambda: len(sleepers(mark)) == 3, "its daemons run")

    env.cpc("cancel", "d", "--yes")

    # A heartbeat (1 s) until it is told, and not much more.
    wait_until(lambda: not sleepers(mark), "the whole tree ends", 15)
    wait_until(lambda: "given up" in worker.said, "it says so")
    assert worker.process.poll() is None


@pytest.mark.parametrize("other", [0, 1])
def test_fault_20_nothing_outlives_worker_and_warden_killed_together(
    env: Env, sh: Path, other: int
) -> None:
    """Neither of the two that watch over the programs is needed, if the other is there."""
    project, mark = env.open(), mark_of(env)
    script(project, "d", DAEMON.format(mark=mark), env=env)
    worker = env.start_worker("w", "--programs", sh)
    wait_until(lambda: len(sleepers(mark)) == 3, "its daemons run")
    both = [psutil.Process(worker.process.pid), wardens(worker)[other]]
    for process in both:
        process.suspend()
    for process in both:
        process.kill()
    worker.process.wait()
    wait_until(lambda: not sleepers(mark), "the whole tree ends", 15)


def wardens(worker: Worker) -> list[psutil.Process]:
    """The guard, and the warden below it."""
    by_parent: dict[int, psutil.Process] = {}
    for process in family(worker.process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # what the job starts comes and goes
            if "copernicus.executors.warden" in process.cmdline():
                by_parent[process.ppid()] = process
    first = by_parent[worker.process.pid]
    return [first, by_parent[first.pid]]


def test_fault_20_a_worker_goes_on_after_its_warden_was_killed(env: Env, sh: Path) -> None:
    project, mark = env.open(), mark_of(env)
    script(project, "d", f"[ -e {env.root}/second ] || sleep {mark}; echo well", env=env)
    worker = env.start_worker("w", "--programs", sh)
    wait_until(lambda: len(sleepers(mark)) == 1, "it runs")
    (env.root / "second").touch()
    wardens(worker)[1].kill()
    wait_until(lambda: not sleepers(mark), "its program ends", 15)
    wait_until(lambda: all_done(project, "d", 1), "it is run again", 60)
    records = project.trace("d.out.out").attempts
    assert [record.outcome for record in records] == ["failed", "completed"]


def test_fault_21_a_flood_of_output_is_a_ring_of_ten_megabytes(env: Env, sh: Path) -> None:
    project = env.open()
    hold = env.root / "hold"
    hold.touch()
    flood = f"yes flood | head -c 100000000 >&2; while [ -e {hold} ]; do sleep 0.1; done"
    script(project, "f", flood, env=env)
    worker = env.start_worker("w", "--programs", sh)
    log = wait_until(lambda: next((env.root / "w").rglob("job.log"), None), "its log")
    largest = 0

    def flooded() -> bool:
        nonlocal largest
        largest = max(largest, log.stat().st_size)
        return largest > 5 << 20 and not worker.running("yes")

    wait_until(flooded, "the flood is over", 90)
    assert largest <= 10 << 20
    hold.unlink()
    wait_until(lambda: all_done(project, "f", 1), "it is done")


def test_fault_21_a_job_that_fills_the_disk_is_ended_at_its_quota(env: Env, sh: Path) -> None:
    project = env.open()
    project.define(env.write("script.toml", SCRIPT_TOML + "\n[retry]\njob_errors = 0\n"))
    flood = "i=0; while :; do head -c 1000000 /dev/zero > x$i; i=$((i+1)); done"
    script(project, "f", flood, env=env)
    script(project, "g", "echo well", env=env)
    worker = env.start_worker("w", "--programs", sh, "--job-disk", 50, cores=2)
    wait_until(lambda: states(project, "f") == ["failed"], "it is ended", 60)
    failure = element(project, "f").failure
    assert "and its worker allows a job 50 MiB" in failure.reason
    wait_until(lambda: states(project, "g") == ["done"], "the other is done")
    wait_until(lambda: not list((env.root / "w").glob("attempts/*")), "its files are removed")
    assert worker.process.poll() is None


@pytest.mark.timeout(300)
def test_fault_22_a_job_that_kills_its_workers_fails_at_the_fifth_and_harms_no_other(
    env: Env, sh: Path
) -> None:
    project = env.open(lease_s=3.0, heartbeat_s=1.0)
    env.cpc("project", "retries", "--backoff", 0.1)
    poison = "sleep 1.2; kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $(ps -o ppid= -p $$)))"
    script(project, "poison", poison, env=env)
    for number in range(4):
        script(project, f"good{number}", "sleep 2.5; echo well", env=env)

    def one_is_there() -> bool:
        if all(worker.process.poll() is not None for worker in env.workers):
            env.start_worker(f"w{len(env.workers)}", "--programs", sh, cores=2)
        return states(project, "poison") == ["failed"]

    wait_until(one_is_there, "it fails", 150)
    failure = element(project, "poison").failure
    assert failure.cause == "worker_lost"
    assert len(project.job(element(project, "poison").job or "").tries) == 5
    wait_until(lambda: one_is_there() and good(project) == ["done"] * 4, "the others are done", 60)


def good(project: Project) -> list[str]:
    return [states(project, f"good{number}")[0] for number in range(4)]


BROKEN = """#!/bin/sh
echo "error while loading shared libraries: libnowhere.so" >&2
exit 1
"""


def test_fault_23_a_worker_on_which_everything_fails_is_set_aside_and_shown(
    env: Env, sh: Path
) -> None:
    project = env.open(quarantine_s=600.0)
    for number in range(8):
        script(project, f"s{number}", "echo well", env=env)
    good_one = env.start_worker("good", "--programs", sh)
    script_file = env.write("broken.sh", BROKEN)
    script_file.chmod(0o755)
    broken = env.write("broken.toml", f'[programs.sh]\ncommand = ["{script_file}"]\n')
    wait_until(lambda: done(project, 8), "all are done")
    good_one.process.send_signal(signal.SIGSTOP)
    hole = env.start_worker("hole", "--programs", broken, cores=2)
    for number in range(8, 16):
        script(project, f"s{number}", "echo well", env=env)
    wait_until(lambda: state_of(env, hole) == "quarantined", "it is set aside")
    (shown,) = [view for view in env.json("worker", "list") if view["id"] == hole.id]
    assert "jobs failed there" in shown["why"]
    assert shown["until"] > time.time()
    assert env.stop_server() == 0
    env.start_server()
    wait_until(lambda: state_of(env, hole) == "quarantined", "it is heard: a restart ends it not")
    good_one.process.send_signal(signal.SIGCONT)
    wait_until(lambda: done(project, 16), "no job is burnt", 60)

    script_file.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    env.cpc("worker", "resume", hole.id)
    assert state_of(env, hole) != "quarantined"
    assert good_one.end() == 0
    script(project, "last", "echo well", env=env)
    wait_until(lambda: states(project, "last") == ["done"], "it works again", 60)


def done(project: Project, count: int) -> bool:
    return all(states(project, f"s{number}") == ["done"] for number in range(count))


def state_of(env: Env, worker: Worker) -> str:
    return next(view.state for view in env.client.workers() if view.id == worker.id)
