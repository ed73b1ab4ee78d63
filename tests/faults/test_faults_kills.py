"""Real servers and workers, killed with -9 again and again; the results are as if they were not."""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from copernicus.client import Project
from copernicus.errors import ServerBusy
from support.crashes import check_made_once
from support.e2e import Env, Worker, family, is_alive, wait_until
from support.e2e_programs import COUNT_TOML, SHIFT_TOML, programs_file
from support.evaluators import TESTS, install

KILLS = 20
SEED = 7
VICTIMS = ("server",) * 7 + ("worker",) * 5 + ("evaluator",) * 3 + ("program",) * 5
JOBS_PER_KILL = 2
PATIENT = COUNT_TOML + "\n[retry]\njob_errors = 100\nworker_losses = 100\n"


def submit(env: Env, jobs: int) -> Project:
    """Counts with checkpoints, turned files, and workflows that look at what they made."""
    project = env.project()
    project.define(env.write("count.toml", PATIENT))
    project.define(env.write("shift.toml", SHIFT_TOML))
    luck = random.Random(SEED)
    files = [
        env.write(f"f{n}", luck.randbytes(luck.choice((10, 90_000)))) for n in range(jobs // 4)
    ]
    with project.transaction():
        project.add("turn", "bytes.shift", map="source", active=True)
        project.set("turn.in.source", files)
        project.add("count", "slow.count", map="last", active=True)
        project.set("count.in.last", [100 + luck.randrange(100) for _ in range(jobs)])
        for n in range(2):
            project.add(f"flow{n}", "counting.count", active=True)
            project.set(f"flow{n}.in.n", max(jobs // 8, 2) + n)
    return project


def results(project: Project, jobs: int) -> dict[str, Any]:
    """All outputs; a file is its hash."""
    counted = [project.get(f"count.out.result[{n}]") for n in range(jobs)]
    turned = [project.get(f"turn.out.result[{n}]").sha256 for n in range(jobs // 4)]
    flows = [project.get(f"flow{n}.out.total") for n in range(2)]
    return {"count": counted, "turn": turned, "flow": flows}


def is_done(project: Project) -> bool:
    with contextlib.suppress(ServerBusy):
        views = project.instances()
        assert not [view.failure for view in views if view.failure]
        return all(view.state == "done" for view in views if "/" not in view.path)
    return False


class Disturber:
    """Kills what its seed says, when it says; what died is started again, as by a supervisor."""

    def __init__(self, env: Env, seed: int) -> None:
        self.env = env
        self.luck = random.Random(seed)
        self.programs = programs_file(env)
        self.killed: Counter[str] = Counter()

    def start_worker(self, name: str) -> Worker:
        more = ("--programs", self.programs, "--retry", 0.5)
        return self.env.start_worker(name, *more, cores=2, wait=False)

    def strike(self) -> None:
        """Wait a random while, then kill one of the processes that are there."""
        pause = self.luck.uniform(0.05, 0.7)
        with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
            psutil.Process(self.env.server_process.pid).wait(pause)
        self.revive()
        wanted = self.luck.choice(VICTIMS)
        if wanted == "server":
            self.env.server_process.kill()
            self.env.server_process.wait()
            self.env.start_server()
        elif wanted == "worker":
            self._kill_worker()
        else:
            process = self._find(wanted)
            if process is None:
                return
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.killed[wanted] += 1

    def revive(self) -> None:
        """Start again what ended by itself: a worker does where its server is away at its start."""
        newest = {worker.name: worker for worker in self.env.workers}
        for name, worker in newest.items():
            if worker.process.poll() is not None:
                self.start_worker(name)

    def _kill_worker(self) -> None:
        alive = [w for w in self.env.workers if w.process.poll() is None]
        victim = self.luck.choice(alive)
        below = self.env.kill_worker(victim)
        wait_until(lambda: not any(map(is_alive, below)), "its programs end", 15)
        self.start_worker(victim.name)

    def _find(self, wanted: str) -> psutil.Process | None:
        roots = [self.env.server_process] if wanted == "evaluator" else []
        roots = roots or [w.process for w in self.env.workers if w.process.poll() is None]
        name = "copernicus.evaluator" if wanted == "evaluator" else "count.sh.py"
        found = []
        for process in (one for root in roots for one in family(root.pid)[1:]):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(name in word for word in process.cmdline()):
                    found.append(process)
        return self.luck.choice(found) if found else None


def prepared(root: Path) -> Env:
    root.mkdir()
    env = Env(root)
    install(root / "lib", {"counting": "support.server_functions"})
    paths = [str(root / "lib"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    env.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    env.open(lease_s=4.0, evaluator_restarts=50)
    return env


@pytest.mark.timeout(7200)
def test_fault_01_the_results_after_many_kills_are_those_of_an_undisturbed_run(
    tmp_path: Path, request: pytest.FixtureRequest, record_property
) -> None:
    kills = request.config.getoption("--kills") or KILLS
    jobs = kills * JOBS_PER_KILL
    found = []
    for name in ("quiet", "disturbed"):
        env = prepared(tmp_path / name)
        with contextlib.closing(env):
            disturber = Disturber(env, SEED)
            project = submit(env, jobs)
            for number in range(2):
                disturber.start_worker(f"w{number}")
            while name == "disturbed" and disturber.killed.total() < kills:
                disturber.strike()
            wait_until(
                lambda: disturber.revive() or is_done(env.project()),  # noqa: B023
                "all is done",
                60 + 10 * jobs,
            )
            found.append(results(project, jobs))
            for worker in env.workers:
                if worker.process.poll() is None:
                    worker.end()
            assert env.stop_server() == 0
            check_made_once(env)
    assert found[0] == found[1]
    assert len(disturber.killed) == 4
    record_property("fault", f"kill -9: {kills} ({dict(disturber.killed)}), 0 lost, 0 double")
