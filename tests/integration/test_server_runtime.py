"""The single writer itself: group commits, a full disk, bugs in the middle, a disk that fails."""

from __future__ import annotations

import asyncio
import contextlib
import copy

import msgspec
import pytest

from copernicus.engine.core import fold
from copernicus.errors import Conflict, InternalError, ServerBusy
from copernicus.model.edits import AddInstance, Define, SetInput
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import Beat, HeartbeatRequest, LeaseRequest
from copernicus.scheduling import SchedulerSettings, WorkerInfo
from copernicus.server import attempts
from copernicus.server.clock import Clock
from copernicus.server.feed import Feed
from copernicus.server.holdings import Holdings
from copernicus.server.runtime import Runtime
from copernicus.server.waiting import Waiting
from copernicus.store.records import MemberRecord, UserRecord
from copernicus.store.store import Store
from support.server_client import echo_function

pytestmark = pytest.mark.anyio
WORKER = WorkerInfo("w1", "host")
OFFER = Offer((ProgramOffer("echo", "1"),), 4)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class House:
    """A runtime over a real store, and what it told the outside."""

    def __init__(self, folder) -> None:
        self.store = Store.open(folder, create=True)
        with self.store.transaction() as transaction:
            transaction.add_user(UserRecord("ann", "", admin=False, created=0.0))
        self.holdings = Holdings(SchedulerSettings())
        self.feed = Feed(self.store, 1.0)
        self.ended = asyncio.Event()
        clock = Clock()
        self.holdings.load(self.store, clock.now())
        self.runtime = Runtime(
            self.holdings, self.store, self.feed, clock, lambda effects: None, self.ended.set
        )

    async def create(self, name: str):
        project = await self.runtime.do(lambda b: b.create_project(f"p-{name}", name, "ann", 1))
        await self.edit(name, Define(echo_function()))
        return project

    async def edit(self, project: str, *edits):
        return await self.runtime.do(
            lambda b: b.edit(b.holdings.projects.get(project), edits, "ann", None)
        )

    async def add(self, project: str, name: str):
        return await self.edit(
            project, AddInstance(name, "mine.echo", held=False), SetInput(f"{name}.in.text", name)
        )

    def check(self) -> None:
        """Memory and journal tell the same."""
        records = {record.id: record for record in self.store.projects()}
        assert self.holdings.projects.ids() == set(records)
        for project in self.holdings.projects:
            assert project.record == records[project.record.id]
            assert project.state.facts() == fold(self.store.load_project(project.record.id)).facts()
        live = {row.id: row.state for row in self.store.live_jobs()}
        for project in self.holdings.projects:
            rows = self.holdings.scheduler.jobs_of(project.record.id)
            assert {r.id: r.state for r in rows if r.state in ("queued", "leased")} == {
                key: state for key, state in live.items() if key.startswith(project.record.id)
            }

    def pages(self, most: int) -> None:
        """Bound the size of the database: a full disk, as SQLite sees it."""
        with self.store.database._writer.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={most}")


@contextlib.asynccontextmanager
async def house(folder):
    made = House(folder)
    running = asyncio.create_task(made.runtime.run())
    try:
        yield made
    finally:
        made.runtime.stop()
        with contextlib.suppress(OSError):
            await running
        made.store.close()


def waiting(request: str, wait_s: float = 30.0) -> Waiting:
    return Waiting(WORKER, LeaseRequest(request, OFFER, wait_s), wait_s)


async def test_many_requests_share_a_commit(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        commits = []
        h.feed.publish = lambda entries: commits.append(len(entries))
        replies = await asyncio.gather(*(h.add("one", f"i{n}") for n in range(50)))
        assert [reply.revision for reply in replies] == list(range(2, 52))
        assert len(commits) <= 3
        h.check()


async def test_what_happens_at_once_is_told_at_once(tmp_path):
    async with house(tmp_path / "s") as h:
        project = await h.create("one")
        following = h.feed.follow(project.record.id, 0)
        missed = await anext(following)
        coming = asyncio.create_task(anext(following))
        await h.edit("one", *(AddInstance(f"i{n}", "mine.echo", held=True) for n in range(20)))
        news = await coming
        assert [entry.position for entry in missed] == list(range(1, missed[-1].position + 1))
        assert news[0].position == missed[-1].position + 1
        assert [entry.kind for entry in news].count("instance_added") == 20
        await following.aclose()


async def test_a_refused_edit_leaves_its_neighbours_alone(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        replies = await asyncio.gather(
            h.add("one", "a"), h.add("one", "a"), h.add("one", "b"), return_exceptions=True
        )
        assert isinstance(replies[1], Conflict)
        assert [replies[0].revision, replies[2].revision] == [2, 3]
        h.check()


async def test_a_bug_in_a_request_costs_that_request_only(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")

        def bug(batch):
            project = batch.holdings.projects.get("one")
            batch.edit(project, [AddInstance("ghost", "mine.echo")], "ann", None)
            batch.create_project("p-two", "two", "ann", 1)
            raise ZeroDivisionError

        replies = await asyncio.gather(
            h.add("one", "a"), h.runtime.do(bug), h.add("one", "b"), return_exceptions=True
        )
        assert isinstance(replies[1], InternalError)
        assert "ZeroDivision" not in replies[1].message
        assert [replies[0].revision, replies[2].revision] == [2, 3]
        assert set(h.holdings.projects.get("one").state.instances) == {"a", "b"}
        h.check()


async def test_what_cannot_be_stored_is_refused_alone(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")

        def impossible(batch):
            batch.write(lambda tx: tx.set_member(MemberRecord("p-one", "nobody", "viewer")))

        replies = await asyncio.gather(
            h.add("one", "a"), h.runtime.do(impossible), h.add("one", "b"), return_exceptions=True
        )
        assert isinstance(replies[1], InternalError)
        assert [replies[0].revision, replies[2].revision] == [2, 3]
        h.check()


async def test_a_full_disk_refuses_all_and_changes_nothing_and_passes(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        await h.add("one", "first")
        before = copy.deepcopy(h.holdings.projects.get("one").state.facts())
        h.pages(1)
        big = "x" * 200_000
        refused = await asyncio.gather(
            h.edit("one", SetInput("first.in.text", big)),
            h.create("two"),
            h.runtime.lease(waiting("r1")),
            return_exceptions=True,
        )
        assert [type(error) for error in refused] == [ServerBusy] * 3
        assert h.holdings.projects.get("one").state.facts() == before
        h.check()
        later = asyncio.create_task(asyncio.sleep(0))
        h.runtime.post(
            lambda b: b.edit(
                b.holdings.projects.get("one"), [SetInput("first.in.text", big)], "ann", None
            )
        )
        await later
        h.pages(1_000_000)
        (grant,) = await h.runtime.lease(waiting("r2"))
        assert grant.number == 1
        await h.create("two")
        h.check()


async def test_a_store_that_fails_ends_the_process_before_any_answer(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        answered = asyncio.create_task(
            h.runtime.do(lambda b: b.write(lambda tx: (_ for _ in ()).throw(OSError("I/O error"))))
        )
        await asyncio.wait_for(h.ended.wait(), 10)
        assert not answered.done()
        answered.cancel()


async def test_waiting_workers_are_served_in_order_and_one_place_each(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        first = asyncio.create_task(h.runtime.lease(waiting("r1")))
        await h.runtime.do(lambda b: None)
        second = asyncio.create_task(h.runtime.lease(waiting("r2")))
        assert await first == []
        others = []
        for name in ("w2", "w3"):
            worker = msgspec.structs.replace(WORKER, id=name)
            request = LeaseRequest(name, msgspec.structs.replace(OFFER, cores=1), 30.0)
            others.append(asyncio.create_task(h.runtime.lease(Waiting(worker, request, 30.0))))
            await h.runtime.do(lambda b: None)
        await h.add("one", "a")
        assert [grant.number for grant in await second] == [1]
        await h.add("one", "b")
        assert len(await others[0]) == 1
        h.runtime.send_away("w3")
        assert await others[1] == []


async def test_a_worker_that_hangs_up_is_given_nothing(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        gone = asyncio.create_task(h.runtime.lease(waiting("r1")))
        await h.runtime.do(lambda b: None)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await h.add("one", "a")
        (grant,) = await h.runtime.lease(waiting("r2"))
        assert grant.number == 1


async def test_a_server_that_stops_refuses_what_comes_later(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        waits = asyncio.create_task(h.runtime.lease(waiting("r1")))
        await h.runtime.do(lambda b: None)
        h.runtime.stop()
        assert await waits == []
        with pytest.raises(ServerBusy, match="stopping"):
            await h.add("one", "late")


async def test_heartbeats_cost_no_commit(tmp_path):
    async with house(tmp_path / "s") as h:
        await h.create("one")
        await h.add("one", "a")
        (grant,) = await h.runtime.lease(waiting("r1"))
        beats = [HeartbeatRequest((Beat(grant.attempt, seq),)) for seq in range(3)]
        changed = []
        for beat in beats:

            def send(batch, beat=beat):
                directives = attempts.heartbeat(batch, "w1", beat)
                batch.settle()
                changed.append(batch.changed)
                return directives

            assert [d.action for d in await h.runtime.do(send)] == ["go"]
        assert changed[1:] == [False, False]
