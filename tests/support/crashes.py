"""Servers that die at a named place, and work that goes on however often they do."""

from __future__ import annotations

import contextlib
import hashlib
import random
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from copernicus.cli.checking import check_folder
from copernicus.client import Project
from copernicus.errors import Conflict, ServerBusy, ServerUnreachable
from copernicus.model.events import ActivationEnded
from copernicus.scheduling.rows import AttemptRow
from copernicus.store.store import Store
from support.e2e import Env, wait_until
from support.e2e_programs import COUNT_TOML, SHIFT_TOML

KILLED = -signal.SIGKILL

# Which test comes to which places.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "making": (
        "database.made",
        "database.named",
        "migration.begun",
        "migration.done",
    ),
    "starting": (
        "start.counted",
        "start.committed",
        "epoch.written",
        "server.loaded",
        "server.reopened",
    ),
    "serving": (
        "server.announced",
        "transaction.begun",
        "transaction.written",
        "transaction.committed",
        "batch.applied",
        "batch.committed",
        "batch.answered",
        "batch.published",
        "batch.carried_out",
        "blob.written",
        "blob.renamed",
        "blob.settled",
        "blob.complete",
        "blob.listed",
        "lease.granted",
        "checkpoint.stored",
        "result.stored",
        "result.taken",
        "sweep.sorted",
        "sweep.manifests",
    ),
    "removing": ("collect.decided",),
    "files of peers": ("removal.manifests", "cache.removed"),
    "snapshots": ("snapshot.made", "snapshot.kept"),
    "backing up": ("backup.copied", "backup.whole"),
    "stopping": ("stop.begun", "stop.answered"),
}

SIZE = 2_200_000
"""Bytes of a piece's file: three chunks, and too many to travel in a message."""

LAST = 80


@dataclass(frozen=True)
class Piece:
    """Some work whose results are known beforehand: a turned file, a count with checkpoints."""

    number: int

    @property
    def names(self) -> tuple[str, str]:
        return f"shift{self.number}", f"count{self.number}"

    @property
    def content(self) -> bytes:
        return random.Random(self.number).randbytes(SIZE)

    def submit(self, env: Env, project: Project) -> None:
        """Ask for it; asking again after a lost answer changes nothing."""
        shift, count = self.names
        source = env.root / f"source{self.number}"
        if not source.exists():
            source.write_bytes(self.content)
        with contextlib.suppress(Conflict), project.transaction():
            project.add(shift, "bytes.shift", active=True)
            project.set(f"{shift}.in.source", source)
            project.add(count, "slow.count", active=True)
            project.set(f"{count}.in.last", LAST)

    def is_done(self, project: Project) -> bool:
        views = {view.path: view.state for view in project.instances()}
        return all(views.get(name) == "done" for name in self.names)

    def check(self, project: Project) -> None:
        shift, count = self.names
        turned = bytes((byte + 1) % 256 for byte in self.content)
        found = project.get(f"{shift}.out.result")
        assert found.sha256 == hashlib.sha256(turned).hexdigest()
        assert project.get(f"{count}.out.result") == LAST


class Workload:
    """Pieces of work, submitted to a server that may be away."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.pieces: list[Piece] = []
        self._asked = False

    @property
    def project(self) -> Project:
        return self.env.project()

    def define(self) -> None:
        self.project.define(self.env.write("shift.toml", SHIFT_TOML))
        self.project.define(self.env.write("count.toml", COUNT_TOML))

    def go_on(self) -> None:
        """Submit a piece if all others are done; what the server cannot take comes again."""
        with contextlib.suppress(ServerUnreachable, ServerBusy):
            if self._asked and self.pieces[-1].is_done(self.project):
                self._asked = False
            if not self._asked:
                if not self.pieces or self._submitted():
                    self.pieces.append(Piece(len(self.pieces)))
                self.pieces[-1].submit(self.env, self.project)
                self._asked = True

    def _submitted(self) -> bool:
        found = {view.path for view in self.project.instances()}
        return set(self.pieces[-1].names) <= found

    def finish(self) -> None:
        """Wait for all of it, and check that it is what an undisturbed run gives, made once."""
        if self.pieces:
            self.pieces[-1].submit(self.env, self.project)
        project = self.project
        wait_until(lambda: all(p.is_done(project) for p in self.pieces), "all is done", 90)
        for piece in self.pieces:
            piece.check(project)


def check_made_once(env: Env) -> None:
    """Of the folder of a stopped server: all is whole, and nothing was made twice."""
    report = check_folder(env.server)
    assert report.problems == []
    with Store.open(env.server) as store:
        for project in store.projects():
            events = list(store.load_project(project.id))
            ended = Counter(e.id for e in events if isinstance(e, ActivationEnded))
            assert set(ended.values()) <= {1}, ended
            for job in store.jobs(project.id):
                _check_attempts(store.attempts(job.id))


def _check_attempts(attempts: list[AttemptRow]) -> None:
    numbers = [attempt.number for attempt in attempts]
    assert len(set(numbers)) == len(numbers)
    completed = [attempt for attempt in attempts if attempt.outcome == "completed"]
    assert len(completed) <= 1, completed
    for done in completed:
        again = [a.number for a in attempts if a.granted > done.ended]
        assert not again, f"finished by {done.id}, run again as {again}"


def dies_of(env: Env, load: Workload, point: str, count: int) -> None:
    """Start a server that dies at a point, and give it work until it has."""
    process = env.launch_server(CPC_CRASH_AT=f"{point}:{count}")
    wait_until(lambda: env.running_server() or process.poll() is not None, "it starts or dies", 60)

    def dead() -> bool:
        if process.poll() is None:
            load.go_on()
        return process.poll() is not None

    wait_until(dead, f"the server dies at {point}", 60)
    assert process.returncode == KILLED, env.server_log[-3000:]
