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
PATIENT = COUNT_TOML + "\n[retry]\njob_errors = 100\nworker_losses = 100\n"


class Workload:
    """Counts with checkpoints, turned files, and workflows that look at what they made.

    It grows by a share for every kill, so that there is always something to disturb, however
    quick the machine is.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.luck = random.Random(SEED)
        self.shares = 0
        self.project.define(env.write("count.toml", PATIENT))
        self.project.define(env.write("shift.toml", SHIFT_TOML))

    @property
    def project(self) -> Project:
        return self.env.project()

    def grow(self) -> None:
        n = self.shares
        source = self.env.write(f"f{n}", self.luck.randbytes(self.luck.choice((10, 90_000))))
        project = self.project
        with project.transaction():
            project.add(f"turn{n}", "bytes.shift", active=True)
            project.set(f"turn{n}.in.source", source)
            project.add(f"count{n}", "slow.count", map="last", active=True)
            project.set(f"count{n}.in.last", [100 + self.luck.randrange(100) for _ in range(2)])
            project.add(f"flow{n}", "counting.count", active=True)
            project.set(f"flow{n}.in.n", 2 + n % 3)
        self.shares += 1

    def results(self) -> dict[str, Any]:
        """All outputs; a file is its hash."""
        found: dict[str, Any] = {}
        for n in range(self.shares):
            for output in (f"count{n}.out.result[0]", f"count{n}.out.result[1]"):
                found[output] = self.project.get(output)
            found[f"turn{n}"] = self.project.get(f"turn{n}.out.result").sha256
            found[f"flow{n}"] = self.project.get(f"flow{n}.out.total")
        return found


def dealt(kills: int) -> list[str]:
    """Whom to kill, one after another: every kind has its share."""
    repeats = -(-kills // len(VICTIMS))
    deck = [*VICTIMS * repeats]
    random.Random(SEED).shuffle(deck)
    return deck[:kills]


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

    def strike(self, wanted: str) -> None:
        """Wait a random while, then kill a process of this kind, as soon as there is one."""
        pause = self.luck.uniform(0.05, 0.7)
        with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
            psutil.Process(self.env.server_process.pid).wait(pause)
        self.revive()
        if wanted == "server":
            self.env.server_process.kill()
            self.env.server_process.wait()
            self.env.start_server()
        elif wanted == "worker":
            self._kill_worker()
        else:
            wait_until(lambda: self.revive() or self._kill_below(wanted), f"a {wanted} runs", 120)
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

    def _kill_below(self, wanted: str) -> bool:
        """Kill a process that the server or a worker has started; False if there is none."""
        roots = [self.env.server_process] if wanted == "evaluator" else []
        roots = roots or [w.process for w in self.env.workers if w.process.poll() is None]
        name = "copernicus.evaluator" if wanted == "evaluator" else "count.sh.py"
        with contextlib.suppress(psutil.NoSuchProcess):
            below = [process for root in roots for process in family(root.pid)[1:]]
            found = [one for one in below if any(name in word for word in one.cmdline())]
            if found:
                self.luck.choice(found).kill()
                return True
        return False


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
    found = []
    for name in ("quiet", "disturbed"):
        env = prepared(tmp_path / name)
        with contextlib.closing(env):
            disturber = Disturber(env, SEED)
            workload = Workload(env)
            for number in range(2):
                disturber.start_worker(f"w{number}")
            for victim in dealt(kills):
                workload.grow()
                if name == "disturbed":
                    disturber.strike(victim)
            wait_until(
                lambda: disturber.revive() or is_done(env.project()),  # noqa: B023
                "all is done",
                60 + 20 * kills,
            )
            found.append(workload.results())
            for worker in env.workers:
                if worker.process.poll() is None:
                    worker.end()
            assert env.stop_server() == 0
            check_made_once(env)
    assert found[0] == found[1]
    assert disturber.killed == Counter(dealt(kills))
    record_property("fault", f"kill -9: {kills} ({dict(disturber.killed)}), 0 lost, 0 double")
