"""A worker on somebody's own machine: its hours, its battery, its priority."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import pytest

from support.e2e import CPC, Env, Worker, states, wait_until
from support.mounts import needs_root

pytestmark = pytest.mark.e2e

LONG = """
name = "demo.long"
program = "sh"
[inputs.n]
type = "int"
[[run]]
argv = ["{program}", "-c", "nice > nice.txt; for i in $(seq $1); do sleep 0.1; done", "x", "{in.n}"]
[outputs.nice]
number = {file = "nice.txt", regex = '(\\d+)'}
"""


def prepared(env: Env, n: int):
    """A project with one job of about ``n`` tenths of a second, and a programs file."""
    project = env.open()
    env.cpc("define", env.write("long.toml", LONG))
    env.cpc("add", "run", "demo.long")
    env.cpc("set", "run.in.n", n)
    env.cpc("activate", "run")
    return project, env.write("programs.toml", '[programs.sh]\ncommand = ["/bin/sh"]\n')


def on_battery(env: Env, mains: Path, *options: object) -> Worker:
    """A worker in a world of its own, where ``mains/AC0/online`` says whether there are mains."""
    argv = [*CPC, "worker", "start", "--bundle", str(env.bundle), "--work-dir", str(env.root / "w")]
    argv += ["--cores", "1", "--pause-on-battery", *map(str, options)]
    mount = f'mount --bind {mains} /sys/class/power_supply && exec "$@"'
    worker = Worker(
        "w", env.root / "w", ["unshare", "-m", "sh", "-c", mount, "sh", *argv], env.environment()
    )
    env.workers.append(worker)
    return worker


@pytest.fixture
def mains(tmp_path: Path) -> Path:
    needs_root("another view of /sys/class/power_supply")
    if not Path("/sys/class/power_supply").is_dir() or shutil.which("unshare") is None:
        pytest.skip("this machine knows nothing of batteries")
    folder = tmp_path / "power"
    facts = {"capacity": 80, "energy_now": 80, "energy_full": 100, "power_now": 10}
    (folder / "BAT0").mkdir(parents=True)
    (folder / "AC0").mkdir()
    for name, value in facts.items():
        (folder / "BAT0" / name).write_text(f"{value}\n")
    (folder / "AC0" / "online").write_text("1\n")
    return folder


def sleepers(worker: Worker) -> list[str]:
    """How the job's shell is: sleeping, or stopped."""
    found = []
    for process in worker.running("sh"):
        try:
            found.append(process.status())
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.timeout(300)
def test_jobs_are_suspended_on_battery_and_go_on_with_mains(env: Env, mains: Path) -> None:
    project, programs = prepared(env, 150)
    worker = on_battery(env, mains, "--programs", programs, "--leaving", "suspend", "--nice", 7)
    wait_until(lambda: sleepers(worker), "the job runs")
    (mains / "AC0" / "online").write_text("0\n")
    wait_until(lambda: psutil.STATUS_STOPPED in sleepers(worker), "it is suspended")
    said = "takes no work: the machine runs on battery"
    wait_until(lambda: said in worker.said, "it says so")
    assert states(project, "run") == ["running"]
    (mains / "AC0" / "online").write_text("1\n")
    wait_until(lambda: states(project, "run") == ["done"], "it is done", 120)
    assert "takes work again" in worker.said
    assert project.get("run.out.nice") >= 7


def test_jobs_are_handed_back_on_battery(env: Env, mains: Path) -> None:
    project, programs = prepared(env, 6000)
    worker = on_battery(env, mains, "--programs", programs, "--leaving", "hand-back")
    wait_until(lambda: sleepers(worker), "the job runs")
    (mains / "AC0" / "online").write_text("0\n")
    wait_until(lambda: states(project, "run") == ["queued"], "it is handed back")
    assert not sleepers(worker)
    (mains / "AC0" / "online").write_text("1\n")
    wait_until(lambda: sleepers(worker), "the job runs again")


def test_outside_of_its_hours_a_worker_takes_nothing(env: Env) -> None:
    project, programs = prepared(env, 1)
    hour = time.localtime().tm_hour
    later = f"{(hour + 3) % 24:02}:00-{(hour + 5) % 24:02}:00"
    worker = env.start_worker("w1", "--programs", programs, "--hours", later)
    wait_until(lambda: f"takes no work: it works only {later}" in worker.said, "it says so")
    env.start_worker(
        "w2", "--programs", programs, "--hours", f"{hour:02}:00-{(hour + 3) % 24:02}:00"
    )
    wait_until(lambda: states(project, "run") == ["done"], "the other one does it")
    assert "started run" not in worker.said


def test_wrong_hours_are_refused_at_the_start(env: Env) -> None:
    env.open()
    done = env.run("worker", "start", "--bundle", env.bundle, "--hours", "8pm-7am")
    assert done.returncode == 1
    assert "write them as 20:00-07:00" in done.stderr
