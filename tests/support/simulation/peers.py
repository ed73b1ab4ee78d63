"""A second server, which works for that of the projects: the real relay over the simulated network.

``PeerWorld`` has some of its workers behind it. What goes wrong beside: it dies and comes back, the
line between the servers is cut for longer than a lease, either side suspends the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from random import Random
from typing import Any

from copernicus.calling.outbox import Outbox
from copernicus.errors import ServerBusy, ServerUnreachable
from copernicus.model.verification import Verification
from copernicus.protocol import (
    Assignment,
    CheckpointRequest,
    HeartbeatReply,
    LeaseReply,
    ResultOutcome,
    ResultReply,
    ResultRequest,
    ResultsReply,
)
from copernicus.scheduling.lending import Lent
from copernicus.scheduling.rows import JobRow, job_of_attempt
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server.batch import Batch
from copernicus.server.http.borrowing import set_suspended
from copernicus.server.peers import PEERS, PeerRecord, Used
from copernicus.server.relay.relay import Relay
from copernicus.server.relay.way import Kept, Way
from copernicus.server.verifications import RULES, Checked, KeptRule
from support.simulation.disk import Staged
from support.simulation.machine import Machine
from support.simulation.network import LostError
from support.simulation.server import SimServer
from support.simulation.watch import Watch, never
from support.simulation.workers import SERVER, Worker
from support.simulation.world import World

RELAY = "relay"
_VERIFIED = 0.2
"""So much of what comes from the relay is run again at home."""


class SimLink:
    """Requests of the relay, as ``calling.link.Link``; what it is told is held to be true."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._info = WorkerInfo(RELAY, RELAY)

    async def ask(self, path: str, body: Any, _reply: type[Any], *, timeout_s: float = 60.0) -> Any:
        watch = self._world.watch
        match path.rpartition("/")[2]:
            case "lease":
                found = await self._call("lease", body, body.wait_s, timeout_s=timeout_s)
                for given in found:
                    watch.granted(RELAY, (), given)
                return LeaseReply(tuple(found))
            case "heartbeat":
                return HeartbeatReply(tuple(await self._call("heartbeat", body)))
            case "result":
                if body.checkpoint is not None:
                    watch.sends(body.checkpoint)
                verdict = await self._call("result", body)
                watch.result_kept(body, verdict)
                return ResultReply(verdict)
            case "results":
                return ResultsReply(tuple(await self._results(body.results)))
        raise NotImplementedError(path)

    async def _results(self, several: Sequence[ResultRequest]) -> list[ResultOutcome]:
        for one in several:
            if one.checkpoint is not None:
                self._world.watch.sends(one.checkpoint)
        outcomes: list[ResultOutcome] = await self._call("results", several)
        for one, outcome in zip(several, outcomes, strict=True):
            if outcome.verdict is not None:
                self._world.watch.result_kept(one, outcome.verdict)
        return outcomes

    async def tell(self, path: str, body: CheckpointRequest) -> None:
        assert path.endswith("/checkpoint")
        self._world.watch.sends(body)
        await self._call("checkpoint", body)
        self._world.watch.checkpoint_kept(body)

    async def _call(self, method: str, *args: Any, timeout_s: float = 60.0) -> Any:
        return await self.bare(method, self._info, *args, timeout_s=timeout_s)

    async def bare(self, method: str, *args: Any, timeout_s: float = 60.0) -> Any:
        try:
            return await self._world.network.call(RELAY, SERVER, method, *args, timeout_s=timeout_s)
        except LostError:
            raise ServerUnreachable("nothing came back") from None


class SimCarrier:
    """Files of the relay, as ``calling.transfer.Carrier``."""

    def __init__(self, link: SimLink, blobs: Any) -> None:
        self._link, self._blobs = link, blobs

    async def fetch(self, _attempt: str, sha256: str, _size: int) -> None:
        while not self._blobs.has(sha256):
            try:
                self._blobs.put_bytes(await self._link.bare("download", sha256))
            except (ServerUnreachable, ServerBusy):
                await asyncio.sleep(10)

    async def upload(self, _attempt: str, files: Sequence[Kept]) -> None:
        for file in files:
            await self._link.bare("upload", file.read().decode())


class SimWay(Way):
    """The real way, but for what it goes over."""

    def __init__(self, world: World, site: Any, peer: str) -> None:
        super().__init__(site, peer)
        self._sim = SimLink(world)
        self._sent = Outbox(self._sim)
        self._ids = Random(f"{world.seed}/{site.clock.now()}")

    async def link(self) -> Any:
        assert self.record.lends
        return self._sim

    async def outbox(self) -> Outbox:
        return self._sent

    async def carrier(self) -> Any:
        return SimCarrier(self._sim, self._site.blobs)

    def _new_id(self) -> str:
        return f"{self._ids.getrandbits(64):x}"


class SimRelay(Relay):
    """The real relay; nothing is told of how much there is."""

    def __init__(self, world: World, site: Any) -> None:
        super().__init__(site)
        self._world = world

    def way_to(self, peer: str) -> Way:
        found = self._ways.get(peer)
        if found is None:
            found = self._ways[peer] = SimWay(self._world, self._site, peer)
        return found

    def _tell_all(self) -> None:
        """It is only shown to people."""


class RelayWatch(Watch):
    """A relay forgets what was delivered; what it holds is what the other server gave it."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.disk)
        self._home = machine.world.home
        self.sent = self._home.watch.sent
        self.lent: dict[str, Lent] = {}

    def committed(self, staged: Staged) -> None:
        super().committed(staged)
        for name in staged.forgotten:
            job, lent = self.jobs.pop(name, None), self.lent.get(name)
            if job is not None and lent is not None:
                never(self._is_thrown_away(lent, job), "I2 a result was thrown away", lent)
        assert self.holdings is not None
        self.lent = dict(self.holdings.peers.lent)
        for lent in self.lent.values():
            row = self._home.disk.attempt(lent.attempt)
            never(row is None or row.worker != RELAY, "I6 a lent job that nobody lent", lent)

    def is_forgotten(self, attempt: str) -> bool:
        place = job_of_attempt(attempt)
        return place is not None and self._disk.job(place[0]) is None

    def granted(self, worker: str, projects: tuple[str, ...], assignment: Assignment) -> None:
        attempt = assignment.attempt
        if self.is_forgotten(attempt):
            # The peer wanted it no more while the grant was on its way.
            never(attempt not in self.attempts, "I2 granted, but never kept", attempt)
        else:
            super().granted(worker, projects, assignment)

    def checkpoint_kept(self, request: CheckpointRequest) -> None:
        if not self.is_forgotten(request.attempt):
            super().checkpoint_kept(request)

    def result_kept(self, request: ResultRequest, verdict: str) -> None:
        if not self.is_forgotten(request.attempt):
            super().result_kept(request, verdict)

    def _is_thrown_away(self, lent: Lent, job: JobRow) -> bool:
        """Whether a result is lost here that the other server would have taken."""
        attempt, wanted = self._home.disk.attempt(lent.attempt), job_of_attempt(lent.attempt)
        if job.state != "done" or attempt is None or wanted is None or attempt.state == "ended":
            return False
        theirs = self._home.disk.job(wanted[0])
        return theirs is not None and not theirs.digest and theirs.state != "failed"


class PeerMachine(Machine):
    """A server that has the other as its peer."""

    def __init__(self, world: World, name: str, projects: list[str], peer: PeerRecord) -> None:
        super().__init__(world, name, projects)
        self._peer = peer
        self.relay: SimRelay | None = None

    def make_server(self) -> SimServer:
        return SimServer(
            self.disk,
            self.world.settings,
            Random(f"{self._seed}/server/{self.crashes}"),
            lambda: 0.0 if self.world.is_calm else self.world.death_rate,
            lambda: self.world.spawn(self.crash_and_start()),
            self.name,
            clock_is_right=True,
        )

    async def start(self) -> None:
        await super().start()
        assert self.server is not None
        if self._peer.id not in self.server.holdings.peers.records:
            await self._while_busy(self.server, self._add)
        if self._peer.lends:
            self.relay = SimRelay(self.world, self.server.site)
            self.server.spawn(self.relay.run())

    async def suspend(self, suspended: bool) -> None:
        """As ``cpc peer suspend``, or ``resume``, at this server."""
        server = self.server
        if server is None:
            return
        peer = self._peer.id

        def change(batch: Batch) -> None:
            set_suspended(batch, batch.holdings.peers.get(peer), suspended=suspended)

        await self._while_busy(server, change)
        server.runtime.send_away(peer)
        if self.relay is not None:
            if suspended:
                await self.relay.give_back(peer)
            self.relay.look_again()

    async def _while_busy(self, server: SimServer, change: Any) -> None:
        while server is self.server:
            try:
                async with asyncio.timeout(60):
                    await server.runtime.do(change)
            except (ServerBusy, TimeoutError):
                await asyncio.sleep(5)
            else:
                return

    def _add(self, batch: Batch) -> None:
        batch.holdings.peers.records[self._peer.id] = self._peer
        batch.write(PEERS.keep(self._peer.id, self._peer))
        rule = KeptRule(Verification(_VERIFIED), self.name)
        for project in self.projects:
            batch.holdings.verifications.rules[project] = rule
            batch.write(RULES.keep(project, rule))


class RelayMachine(PeerMachine):
    """The one that works for the other."""

    def make_watch(self) -> Watch:
        return RelayWatch(self)


class PeerWorld(World):
    """Two servers: one has the projects, the other has most of the workers."""

    cuttable = ("w0", "r0", "r1", RELAY, RELAY, RELAY, "user of p0")

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        borrower = PeerRecord(RELAY, RELAY, "", borrows=True)
        lender = PeerRecord(SERVER, SERVER, "", lends=True)
        self.home = PeerMachine(self, SERVER, self.home.projects, borrower)
        self.relay = RelayMachine(self, RELAY, [], lender)
        self.machines = [self.home, self.relay]

    def make_workers(self) -> list[Worker]:
        behind = [Worker(self, f"r{n}", at=self.relay) for n in range(self.chance.randint(1, 3))]
        return [*behind, Worker(self, "w0"), Worker(self, "w-p1", projects=("p1",))]

    def troubles(self) -> Iterator[Coroutine[Any, Any, Any]]:
        yield from super().troubles()
        yield self._suspend()
        yield self._believe()

    async def _believe(self) -> None:
        """All that differs makes the relay doubted (whoever made it is named in a result)."""
        chance = Random(f"{self.seed}/believes")
        while True:
            await asyncio.sleep(chance.expovariate(1 / self.lease_s))
            server = self.home.server
            if server is not None and server.holdings.peers.records[RELAY].doubt:
                await self.home.suspend(False)

    async def _suspend(self) -> None:
        chance = Random(f"{self.seed}/suspends")
        while True:
            await asyncio.sleep(chance.expovariate(1 / (20 * self.lease_s)))
            if self.is_calm:
                return
            side = chance.choice([self.home, self.relay])
            await side.suspend(True)
            await asyncio.sleep(chance.expovariate(1 / self.lease_s))
            await side.suspend(False)

    def judge(self) -> None:
        super().judge()
        here, there = self.home.server, self.relay.server
        assert here is not None
        assert there is not None
        left = there.holdings.peers.lent
        never(left, "I5 lent jobs that never ended", left)
        lent = {key[2]: used for key, used in there.holdings.peers.used.items()}
        borrowed = {key[2]: used for key, used in here.holdings.peers.used.items()}
        for project in sorted({*lent, *borrowed}):
            ours, theirs = lent.get(project, Used()), borrowed.get(project, Used())
            differ = abs(ours.core_s - theirs.core_s) > 1e-6
            never(differ, "I9 the accounts differ", (project, ours, theirs))
        verified = here.holdings.verifications
        told = sum(tally.same + tally.differed for tally in verified.tallies.values())
        counted = verified.checked.get(RELAY, Checked()).verified
        never(told != counted, "I9 what was verified is counted twice over", (told, counted))
