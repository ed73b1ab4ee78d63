"""What a worker asks for together with results, and what it does with the answer."""

from __future__ import annotations

import asyncio

import pytest

from copernicus.errors import CopernicusError, ServerBusy
from copernicus.model.jobs import JobSpec
from copernicus.model.resources import Offer, ProgramNeed
from copernicus.protocol import Assignment, LeaseReply, LeaseRequest
from copernicus.worker.backlog import Backlog
from copernicus.worker.leasing import Leasing

pytestmark = pytest.mark.anyio
JOB = Assignment(
    "p.a1#1", "p.a1", 1, "p", JobSpec("m.f", "1", ProgramNeed("p"), "", ""), 2, 120.0, 30.0
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never was so")


class Server:
    """The line to a server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[LeaseRequest] = asyncio.Queue()
        self.answers: asyncio.Queue[LeaseReply | CopernicusError] = asyncio.Queue()

    async def ask(self, path, body, reply, timeout_s):
        assert path == "/v1/work/lease"
        self.asked.put_nowait(body)
        answer = await self.answers.get()
        if isinstance(answer, CopernicusError):
            raise answer
        return answer

    async def persist(self, attempt, on_trouble, until):
        return await attempt()


class Worker:
    """What Leasing knows of one: two cores, what it was given, and its end."""

    def __init__(self) -> None:
        self.server, self.free = Server(), 2
        self.taken, self.given_back = [], []
        self.ending = asyncio.Event()
        self.leasing = Leasing(
            self.server, self._offer, self._take, Backlog(2), lambda *_: None, self.ending
        )
        self.leasing.give_back = self.given_back.append

    def _offer(self):
        return Offer((), self.free, 1000) if self.free else None

    def _take(self, assignment):
        self.taken.append(assignment)
        self.free -= 2

    def ended(self):
        self.free += 2
        self.leasing.room()


@pytest.fixture
async def worker():
    made = Worker()
    running = asyncio.create_task(made.leasing.run(lambda: True, None))
    await made.server.asked.get()
    assert made.leasing.along() is None, "what is polled for is offered once"
    made.server.answers.put_nowait(LeaseReply((JOB,)))
    await until(lambda: made.taken)
    yield made
    made.ending.set()
    made.leasing.room()
    made.server.answers.put_nowait(LeaseReply())
    await running


async def test_while_something_travels_along_there_is_no_poll(worker):
    worker.ended()
    request = worker.leasing.along()
    assert (request.offer.cores, request.wait_s) == (2, 0.0)
    assert worker.leasing.along() is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.server.asked.get(), 0.05)
    worker.leasing.came_along(LeaseReply((JOB,)))
    assert len(worker.taken) == 2
    worker.ended()
    worker.leasing.along()
    worker.leasing.came_along(LeaseReply())
    assert (await worker.server.asked.get()).wait_s > 0


async def test_what_may_have_been_granted_is_asked_for_by_its_id(worker):
    worker.ended()
    request = worker.leasing.along()
    worker.leasing.came_along(None)
    assert await worker.server.asked.get() == request
    assert worker.leasing.along() is None
    worker.server.answers.put_nowait(LeaseReply((JOB,)))
    await until(lambda: len(worker.taken) == 2)


async def test_what_comes_after_the_end_is_given_back(worker):
    worker.ended()
    worker.leasing.along()
    worker.ending.set()
    worker.leasing.room()
    await until(lambda: not worker.leasing._open)
    worker.leasing.came_along(LeaseReply((JOB,)))
    assert (len(worker.taken), worker.given_back) == (1, [JOB])
    assert worker.leasing.along() is None


async def test_a_lost_answer_is_asked_for_at_the_end_too(worker):
    worker.ended()
    request = worker.leasing.along()
    worker.ending.set()
    worker.leasing.room()
    await until(lambda: not worker.leasing._open)
    worker.leasing.came_along(None)
    assert await worker.server.asked.get() == request
    worker.server.answers.put_nowait(ServerBusy("not now"))


async def test_nobody_asks_along_before_it_begins_and_after_it_gave_up():
    idle = Worker()
    assert idle.leasing.along() is None
    await idle.leasing.run(lambda: True, 0.0)
    assert idle.leasing.along() is None
