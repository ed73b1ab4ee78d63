"""Model workers: they repeat until they are answered, keep what they finished, and crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from copernicus.errors import BadValue, CopernicusError, NotAllowed, ServerBusy
from copernicus.model.jobs import Failure, StoredFile
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import (
    Ahead,
    Assignment,
    Beat,
    CheckpointRequest,
    Directive,
    HeartbeatRequest,
    LeaseRequest,
    PartialRequest,
    ResultRequest,
)
from copernicus.scheduling.workers import WorkerInfo
from support.simulation.functions import FORGED, PROGRAM, compute
from support.simulation.network import LostError
from support.simulation.server import sha_of
from support.simulation.watch import never

if TYPE_CHECKING:
    from support.simulation.machine import Machine
    from support.simulation.world import World

SERVER = "home"


class _Attempt:
    """What a worker knows of an attempt that it runs."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.seq = 0
        ref = assignment.checkpoint
        self.step = float(ref.step or 0) if ref else 0.0
        self.ended = False

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    @property
    def resumable(self) -> bool:
        return self.assignment.spec.command is not None

    def inputs(self) -> dict[str, Any]:
        spec = self.assignment.spec
        if spec.task is not None:
            return spec.task.inputs
        assert spec.command is not None
        found: dict[str, Any] = json.loads(spec.command.files[0].text or "")
        return found

    def state(self) -> str:
        """What a checkpoint holds."""
        spec = self.assignment.spec
        return f"{spec.checkpoint_key} at {self.step:.3f} by {self.assignment.attempt} {self.seq}"


class Worker:
    """One machine, through all its lives; what it has finished outlives a crash."""

    def __init__(
        self, world: World, name: str, projects: tuple[str, ...] = (), at: Machine | None = None
    ) -> None:
        self.world, self.name, self.projects = world, name, projects
        at = at or world.home
        self.server, self.watch = at.name, at.watch
        self.chance = Random(f"{world.seed}/{name}")
        self.info = WorkerInfo(name, f"host-{name}", projects=projects)
        self.cores = self.chance.choice([2, 4])
        self.ahead = self.chance.choice([(), (Ahead("s.run", 2),)])
        self.speed = self.chance.choice([0.5, 1.0, 2.0]) / world.step_s
        self.crash_s = self.chance.choice([5.0, 20.0, 300.0]) * world.lease_s
        self.held: dict[str, _Attempt] = {}
        self.unsent: list[tuple[ResultRequest, list[str]]] = []
        self.asks = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Live, crash, live again."""
        while True:
            self._spawn(self._live())
            await asyncio.sleep(self.chance.expovariate(1 / self.crash_s))
            if self.world.is_calm:
                await asyncio.sleep(self.world.end_s)
            self.crash()
            await asyncio.sleep(self.chance.expovariate(1 / self.world.lease_s))

    def crash(self) -> None:
        """Forget everything but what is on its disk."""
        for task in self._tasks:
            task.cancel()
        self.held.clear()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.world.fail(error)

    async def _live(self) -> None:
        self._spawn(self._beat())
        self._spawn(self._deliver())
        while True:
            used = sum(one.assignment.cores for one in self.held.values())
            if used < self.cores:
                await self._ask(self.cores - used)
            await asyncio.sleep(self.world.lease_s / 4)

    async def _call(self, method: str, *args: Any) -> Any:
        """One try."""
        return await self.world.network.call(
            self.name, self.server, method, self.info, *args, timeout_s=self.world.lease_s / 2
        )

    async def _ask(self, free: int) -> None:
        self.asks += 1
        programs = (ProgramOffer(PROGRAM, "1"), ProgramOffer("module/s", "1"))
        offer = Offer(programs, free, memory_mb=100_000)
        request = LeaseRequest(f"{self.asks}", offer, ahead=self.ahead)
        while True:
            try:
                found = await self._call("lease", request, self.world.lease_s / 4)
            except (LostError, ServerBusy):
                await asyncio.sleep(self.chance.random() * self.world.lease_s / 4)
            else:
                break
        for assignment in found:
            self.watch.granted(self.name, self.projects, assignment)
            if assignment.attempt not in self.held:
                self.held[assignment.attempt] = attempt = _Attempt(assignment)
                self._spawn(self._work(attempt))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.world.lease_s / 4)
            beats = tuple(Beat(name, one.next_seq()) for name, one in self.held.items())
            if beats:
                try:
                    self._obey(await self._call("heartbeat", HeartbeatRequest(beats)))
                except (LostError, ServerBusy):
                    continue

    def _obey(self, directives: list[Directive]) -> None:
        for directive in directives:
            attempt = self.held.get(directive.attempt)
            if attempt is None:
                continue
            if directive.action == "discard":
                attempt.ended = True
                del self.held[directive.attempt]
            elif directive.action == "stop":
                self._spawn(self._end(attempt, "stopped"))
            elif directive.share is not None and directive.share.regular:
                self._spawn(self._share(attempt, directive.share.wish))

    # --- the work itself

    async def _work(self, attempt: _Attempt) -> None:
        every = self.world.lease_s * self.chance.uniform(0.5, 2.0)
        n = float(attempt.inputs().get("n", 5))
        begun = attempt.step
        while not attempt.ended and attempt.step < n:
            await asyncio.sleep(min(every, (n - attempt.step) / self.speed + 0.001))
            attempt.step = min(n, attempt.step + every * self.speed)
            if self.chance.random() < 0.02:
                await self._end(attempt, self.chance.choice(["failed", "stopped"]))
            elif attempt.resumable and not attempt.ended and attempt.step > begun:
                self._spawn(self._save(attempt))
        await self._end(attempt, "completed")

    def _point(self, attempt: _Attempt) -> tuple[CheckpointRequest, str]:
        seq, key = attempt.next_seq(), attempt.assignment.spec.checkpoint_key
        text = attempt.state()
        files = (StoredFile("c", sha_of(text), len(text)),)
        point = CheckpointRequest(attempt.assignment.attempt, seq, key, files, attempt.step)
        self.watch.sends(point)
        return point, text

    async def _upload(self, text: str) -> None:
        while True:
            try:
                await self.world.network.call(self.name, self.server, "upload", text)
            except (LostError, ServerBusy):
                await asyncio.sleep(self.chance.random() * self.world.lease_s / 4)
            else:
                return

    async def _save(self, attempt: _Attempt) -> None:
        point, text = self._point(attempt)
        await self._upload(text)
        try:
            await self._call("checkpoint", point)
        except (LostError, CopernicusError):
            return
        self.watch.checkpoint_kept(point)

    async def _share(self, attempt: _Attempt, wish: int) -> None:
        given = {"y": int(attempt.step)}
        name = attempt.assignment.attempt
        try:
            await self._call("partial", PartialRequest(name, attempt.next_seq(), given, wish=wish))
        except (LostError, CopernicusError):
            return

    async def _end(self, attempt: _Attempt, outcome: Any) -> None:
        """Finish: the result is kept here until the server has it."""
        if attempt.ended:
            return
        attempt.ended = True
        name, spec = attempt.assignment.attempt, attempt.assignment.spec
        outputs: dict[str, Any] = {}
        files = []
        if outcome == "completed":
            outputs = {**compute(spec.function, attempt.inputs()), "by": f"{self.name} {name}"}
            if attempt.resumable:
                text = f"made by {name} of {self.name}"
                files.append(text)
                file = {"$file": sha_of(text), "size": len(text), "name": "file"}
                outputs["file"] = file
        point = None
        if attempt.resumable and attempt.step:
            point, text = self._point(attempt)
            files.append(text)
        for text in files:
            await self._upload(text)
        cause = self.chance.choice(["job_error", "infrastructure", "resource"])
        failure = Failure("no", cause) if outcome == "failed" else None
        seq = attempt.next_seq()
        request = ResultRequest(name, seq, outcome, outputs, failure, point)
        self.unsent.append((request, files))
        self.held.pop(name, None)

    async def _deliver(self) -> None:
        while True:
            await asyncio.sleep(self.chance.random() * self.world.lease_s / 4)
            for kept in list(self.unsent):
                request, files = kept
                try:
                    verdict = await self._call("result", request)
                except (LostError, ServerBusy):
                    continue
                except NotAllowed as refused:
                    may_be = self.watch.is_forgotten(request.attempt)
                    never(not may_be, "I6 a holder may not report", (self.name, request, refused))
                    self.unsent.remove(kept)
                except BadValue:
                    # Its files were swept while it was away.
                    for text in files:
                        await self._upload(text)
                else:
                    self.watch.result_kept(request, verdict)
                    self.unsent.remove(kept)


class Liar:
    """A worker that reports what it was never given, and repeats what others said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/liar")
        self.info = WorkerInfo("mallory", "host-mallory")

    async def run(self) -> None:
        """Lie until it is calm."""
        while not self.world.is_calm:
            await asyncio.sleep(self.chance.expovariate(1 / self.world.lease_s))
            held = sorted(self.world.watch.holders)
            if not held:
                continue
            attempt = self.chance.choice(held)
            text = f"forged {attempt}"
            files = (StoredFile("c", sha_of(text), len(text)),)
            key = self._key_of(attempt)
            lies = [
                ("result", ResultRequest(attempt, 10**6, "completed", {"y": FORGED, "by": FORGED})),
                ("result", ResultRequest(attempt, 10**6, "failed", failure=Failure("forged"))),
                ("checkpoint", CheckpointRequest(attempt, 10**6, key, files, 1e9)),
                ("heartbeat", HeartbeatRequest((Beat(attempt, 10**6),))),
                ("partial", PartialRequest(attempt, 10**6, {"y": FORGED})),
            ]
            try:
                await self.world.network.call("mallory", SERVER, "upload", text)
                method, lie = self.chance.choice(lies)
                answer = await self.world.network.call("mallory", SERVER, method, self.info, lie)
            except (LostError, CopernicusError):
                continue
            never(method != "heartbeat", "I6 a lie was taken", (method, lie, answer))

    def _key_of(self, attempt: str) -> str:
        row = self.world.disk.job(attempt.rpartition("#")[0])
        return row.spec.checkpoint_key if row and row.spec else ""
