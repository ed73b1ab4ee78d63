"""A world in virtual time around the scheduler: a lossy network, crashing workers, a crashing
server that keeps only what it stored, a liar, and an observer that knows what must never happen.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import msgspec

from copernicus.errors import BadValue, Conflict, NotAllowed
from copernicus.model.jobs import CheckpointRef, Failure, StoredFile
from copernicus.model.reports import JobEnded
from copernicus.protocol import Assignment, Beat, CheckpointRequest, LeaseRequest, ResultRequest
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow, Row
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo
from support.scheduling import key_of, offer, spec

LEASE_S = 120.0
CALM, END = 12_000.0, 24_000.0


class ViolationError(Exception):
    """Something happened that must never happen."""


class Observer:
    """Sees what is stored, told and acknowledged; kept outside the server."""

    def __init__(self) -> None:
        self.holder: dict[str, str] = {}
        self.highest: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.acknowledged: dict[str, Any] = {}
        self.seqs: dict[str, int] = {}

    def assigned(self, worker: str, assignment: Assignment) -> None:
        known = self.holder.setdefault(assignment.attempt, worker)
        if known != worker:
            raise ViolationError(f"I3 {assignment.attempt} granted to {known} and to {worker}")

    def stored(self, row: Row) -> None:
        if isinstance(row, CheckpointRow):
            for ref in row.refs:
                self._checkpoint(ref)
            last = [ref.index for ref in row.refs]
            if last and max(last) < self.highest.get(row.key, 0):
                raise ViolationError(f"I4 index of {row.key} back to {max(last)}")
            self.highest[row.key] = max([*last, self.highest.get(row.key, 0)])
        elif isinstance(row, JobRow) and row.digest:
            known = self.results.setdefault(row.id, row.outputs)
            if known != row.outputs:
                raise ViolationError(f"I1 two results of {row.id}: {known}, {row.outputs}")
            if row.outputs == {"out": "FORGED"}:
                raise ViolationError(f"I6 forged result of {row.id}")

    def _checkpoint(self, ref: CheckpointRef) -> None:
        """Within one attempt, a later index was sent later."""
        attempt = f"{ref.job}#{ref.attempt}"
        seq = int(ref.files[0].sha256)
        for index, other in self._seqs(attempt).items():
            if (index < ref.index) != (other < seq) and index != ref.index:
                raise ViolationError(f"I4 {attempt}: message {seq} entered as {ref.index}")
        self.seqs[f"{attempt}/{ref.index}"] = seq

    def _seqs(self, attempt: str) -> dict[int, int]:
        prefix = f"{attempt}/"
        return {
            int(key.removeprefix(prefix)): seq
            for key, seq in self.seqs.items()
            if key.startswith(prefix)
        }


class World:
    """One run: everything that happens follows from the seed."""

    def __init__(
        self, seed: int, scheduler: type[Scheduler] = Scheduler, *, stores_late: bool = False
    ) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.observer = Observer()
        self.disk: dict[tuple[str, ...], bytes] = {}
        self.unstored: list[Row] = []
        self.ended: dict[str, JobEnded] = {}
        self._kind, self._late = scheduler, stores_late
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._events = 0
        self._loss = self.random.choice([0.0, 0.02, 0.1])
        self._copies = self.random.choice([0.0, 0.05, 0.2])
        self._latency = self.random.choice([0.1, 10.0, 200.0])
        self._crash_s = self.random.choice([400.0, 2000.0, 20_000.0])
        self._down = -1.0
        self.server = self._new_server()
        self.jobs = [f"p{n % 2}.a{n}" for n in range(8)]
        self.cancelled: set[str] = set()
        self._start()

    # --- time

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self._events += 1
        heapq.heappush(self._heap, (self.now + delay, self._events, action))

    def run(self) -> None:
        while self._heap and self._heap[0][0] < END:
            self.now, _, action = heapq.heappop(self._heap)
            if self.now > CALM:
                self._loss = self._copies = 0.0
                self._latency = 0.1
            action()
            if self.now > CALM and self._all_over():
                break
        self.store()
        self._judge()

    def _all_over(self) -> bool:
        return all(job in self.ended or job in self.cancelled for job in self.jobs)

    def _judge(self) -> None:
        for job, outputs in self.observer.acknowledged.items():
            row = msgspec.msgpack.decode(self.disk["job", job], type=JobRow)
            if row.outputs != outputs:
                raise ViolationError(
                    f"I2 acknowledged result of {job} lost: {outputs}, {row.outputs}"
                )
        open_jobs = [
            job for job in self.jobs if job not in self.ended | dict.fromkeys(self.cancelled)
        ]
        if open_jobs:
            raise ViolationError(f"I5 never ended: {open_jobs}")
        self.server.check()

    # --- the server

    def _new_server(self) -> Scheduler:
        self.settings = SchedulerSettings(lease_s=LEASE_S, keep_ended=1000, avoid_s=200.0)
        server = self._kind(self.settings)
        rows: list[list[Any]] = [[], [], []]
        kinds = {"job": (0, JobRow), "attempt": (1, AttemptRow), "checkpoint": (2, CheckpointRow)}
        for (kind, *_), data in self.disk.items():
            place, cls = kinds[kind]
            rows[place].append(msgspec.msgpack.decode(data, type=cls))
        server.restore(*rows, now=self.now)
        return server

    def call(self, action: Callable[[], Any]) -> Any:
        """One request: act, store, and only then answer."""
        try:
            answer = action()
        except (Conflict, NotAllowed, BadValue) as error:
            answer = error
        self.unstored.extend(self.server.take_records())
        for note in self.server.take_notes():
            if isinstance(note.report, JobEnded):
                self.ended.setdefault(note.job, note.report)
        if not self._late or self.random.random() < 0.3:
            self.store()
        return answer

    def store(self) -> None:
        for row in self.unstored:
            self.observer.stored(row)
            self.disk[key_of(row)] = msgspec.msgpack.encode(row)
        self.unstored.clear()

    def _crash_server(self) -> None:
        if self.now < CALM:
            self.unstored.clear()
            self._down = self.now + self.random.expovariate(1 / 60)
            self.server = self._new_server()
            self.at(self.random.expovariate(1 / 1500), self._crash_server)

    def _tick(self) -> None:
        if self.now >= self._down:
            self.call(lambda: self.server.tick(self.now))
            self.server.check()
        self.at(10, self._tick)

    # --- the others

    def _start(self) -> None:
        for number, job in enumerate(self.jobs):
            self.at(self.random.random() * 600, self._submitter(job, number))
        self.at(self.random.random() * 4000, self._canceller(self.random.choice(self.jobs)))
        self.workers = [_Worker(self, f"w{number}", self._crash_s) for number in range(4)]
        self.at(self.random.expovariate(1 / 600), self._cut)
        self.at(self.random.expovariate(1 / 1500), self._crash_server)
        self.at(5, self._tick)
        self.at(100, self._lie)

    def _submitter(self, job: str, number: int) -> Callable[[], None]:
        wanted = spec(
            job, checkpoint=number % 4 != 3, cores=1 + number % 3, job_errors=50, worker_losses=500
        )

        def act() -> None:
            if self.now < self._down:
                self.at(20, act)
            else:
                self.call(
                    lambda: self.server.submit(job, job[:2], 1, wanted, None, False, self.now)
                )

        return act

    def _canceller(self, job: str) -> Callable[[], None]:
        def act() -> None:
            if self.now < self._down:
                self.at(20, act)
                return
            if job not in self.ended:
                self.cancelled.add(job)
            self.call(lambda: self.server.cancel(job, 2, True, self.now))

        return act

    def _lie(self) -> None:
        job = self.random.choice(self.jobs)
        forged = ResultRequest(
            f"{job}#{self.random.randrange(1, 4)}", 1, "completed", {"out": "FORGED"}
        )
        if self.now >= self._down:
            self.call(lambda: self.server.result("mallory", forged, self.now))
        if self.now < CALM:
            self.at(200, self._lie)

    def _cut(self) -> None:
        """A worker's network is gone for a while, often longer than a lease."""
        if self.now < CALM:
            worker = self.random.choice(self.workers)
            worker.cut_until = self.now + self.random.expovariate(1 / 300)
            self.at(self.random.expovariate(1 / 600), self._cut)

    def send(
        self, worker: _Worker, action: Callable[[], Any], reply: Callable[[Any], None]
    ) -> None:
        """A request through the network: lost, delayed, doubled; its answer too."""
        if self.now < min(worker.cut_until, CALM):
            return
        for _ in range(2 if self.random.random() < self._copies else 1):
            if self.random.random() >= self._loss:
                self.at(self.random.random() * self._latency, lambda: self._arrive(action, reply))

    def _arrive(self, action: Callable[[], Any], reply: Callable[[Any], None]) -> None:
        if self.now < self._down:
            return
        answer = self.call(action)
        if self.random.random() >= self._loss:
            self.at(self.random.random() * self._latency, lambda: reply(answer))


class _Worker:
    """A worker that repeats each request until it is answered, and forgets all when it crashes."""

    def __init__(self, world: World, name: str, crash_s: float) -> None:
        self.world, self.name, self.crash_s = world, name, crash_s
        self.life = 0
        self.cut_until = -1.0
        self.held: dict[str, Assignment] = {}
        self.seqs: dict[str, int] = {}
        self.steps: dict[str, float] = {}
        self.asks = 0
        world.at(world.random.random() * 60, self._ask)
        world.at(world.random.expovariate(1 / crash_s), self._crash)

    def _crash(self) -> None:
        if self.world.now < CALM:
            self.life += 1
            self.held.clear()
            self.world.at(self.world.random.expovariate(1 / 100), self._ask)
            self.world.at(self.world.random.expovariate(1 / self.crash_s), self._crash)

    def _until_answered(
        self, action: Callable[[], Any], reply: Callable[[Any], None], wanted: Callable[[], bool]
    ) -> None:
        life, done = self.life, [False]

        def answered(answer: Any) -> None:
            if self.life == life and not done[0]:
                done[0] = True
                reply(answer)

        def again() -> None:
            if self.life == life and not done[0] and wanted():
                self.world.send(self, action, answered)
                self.world.at(30 + self.world.random.random() * 30, again)

        again()

    def _ask(self) -> None:
        self.asks += 1
        used = sum(assignment.cores for assignment in self.held.values())
        request = LeaseRequest(f"{self.life}-{self.asks}", offer(4 - used))
        info = WorkerInfo(self.name)
        server = self.world
        life = self.life

        def got(found: list[Assignment]) -> None:
            for assignment in found:
                server.observer.assigned(self.name, assignment)
                self._begin(assignment)
            server.at(60, lambda: self._ask() if self.life == life else None)

        self._until_answered(
            lambda: server.server.lease(info, request, server.now), got, lambda: True
        )

    def _begin(self, assignment: Assignment) -> None:
        if assignment.attempt in self.held:
            return
        self.held[assignment.attempt] = assignment
        self.seqs.setdefault(assignment.attempt, 0)
        self.steps[assignment.attempt] = (assignment.checkpoint and assignment.checkpoint.step) or 0
        life = self.life
        self.world.at(30, lambda: self._beat(assignment, life))
        self.world.at(
            self.world.random.expovariate(1 / 600), lambda: self._finish(assignment, life)
        )

    def _seq(self, assignment: Assignment) -> int:
        self.seqs[assignment.attempt] += 1
        return self.seqs[assignment.attempt]

    def _holds(self, assignment: Assignment, life: int) -> bool:
        return self.life == life and assignment.attempt in self.held

    def _point(self, assignment: Assignment) -> CheckpointRequest:
        seq = self._seq(assignment)
        self.steps[assignment.attempt] += 10
        files = (StoredFile("c", str(seq), 1),)
        return CheckpointRequest(
            assignment.attempt,
            seq,
            assignment.spec.checkpoint_key,
            files,
            self.steps[assignment.attempt],
        )

    def _beat(self, assignment: Assignment, life: int) -> None:
        if not self._holds(assignment, life):
            return
        world = self.world
        beat = Beat(assignment.attempt, self._seq(assignment))

        def told(directives: Any) -> None:
            action = directives[0].action
            if action == "discard":
                self.held.pop(assignment.attempt, None)
            elif action == "stop" and self._holds(assignment, life):
                self._report(assignment, "stopped")

        world.send(
            self,
            lambda: world.server.heartbeat(self.name, [beat], world.now),
            lambda answer: told(answer) if self._holds(assignment, life) else None,
        )
        if assignment.spec.command is not None:
            point = self._point(assignment)
            world.send(
                self,
                lambda: world.server.checkpoint(self.name, point, world.now),
                lambda _: None,
            )
        world.at(30, lambda: self._beat(assignment, life))

    def _finish(self, assignment: Assignment, life: int) -> None:
        if self._holds(assignment, life):
            ends = ["completed"] * 6 + ["failed", "stopped"]
            self._report(assignment, self.world.random.choice(ends))

    def _report(self, assignment: Assignment, outcome: Any) -> None:
        del self.held[assignment.attempt]
        world = self.world
        causes = ["job_error", "infrastructure"]
        outputs = {"out": f"{self.name}.{self.life}.{assignment.attempt}"}
        request = ResultRequest(
            assignment.attempt,
            self._seq(assignment),
            outcome,
            outputs if outcome == "completed" else {},
            Failure("no", world.random.choice(causes)) if outcome == "failed" else None,
            self._point(assignment) if assignment.spec.command is not None else None,
        )

        def answered(verdict: Any) -> None:
            if isinstance(verdict, NotAllowed):
                raise ViolationError(f"I6 {self.name} may not report {assignment.attempt}")
            if outcome == "completed" and verdict == "accepted":
                known = world.observer.acknowledged.setdefault(assignment.job, outputs)
                if known != outputs:
                    raise ViolationError(f"I1 two results of {assignment.job} acknowledged")

        self._until_answered(
            lambda: world.server.result(self.name, request, world.now), answered, lambda: True
        )
