"""Results on their way: what travels together, and what stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copernicus.calling.outbox import Outbox
from copernicus.errors import Conflict, InternalError, NotFound, ServerBusy, ServerUnreachable
from copernicus.model.resources import Offer
from copernicus.protocol import (
    ErrorBody,
    LeaseReply,
    LeaseRequest,
    ResultOutcome,
    ResultReply,
    ResultRequest,
    ResultsReply,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Line:
    """Keeps what is sent; the answer to a request comes when the line is ``free``."""

    def __init__(self, *, several: bool = True) -> None:
        self.several = several
        self.sent: list[list[str]] = []
        self.free = asyncio.Event()
        self.under_way = asyncio.Event()
        self.broken = False

    async def ask(self, path: str, body: Any, reply: type[Any]) -> Any:
        results = (body,) if isinstance(body, ResultRequest) else body.results
        self.sent.append([one.attempt for one in results])
        self.under_way.set()
        await self.free.wait()
        if self.broken:
            raise ServerUnreachable("the line is broken")
        if path == "/v1/work/result":
            assert reply is ResultReply
            return self._said(results[0].attempt)
        if not self.several:
            raise NotFound("no such path")
        return ResultsReply(tuple(map(self._outcome, results)))

    def _said(self, attempt: str) -> ResultReply:
        if attempt == "bad":
            raise Conflict("it was ended before")
        if attempt == "bug":
            raise InternalError("this is a bug of the server")
        return ResultReply("accepted")

    def _outcome(self, result: ResultRequest) -> ResultOutcome:
        try:
            return ResultOutcome(verdict=self._said(result.attempt).verdict)
        except (Conflict, InternalError) as error:
            return ResultOutcome(error=ErrorBody(error.code, error.message))


async def started(outbox: Outbox, *attempts: str) -> list[asyncio.Task[ResultReply]]:
    """Results that are given to it, and are in its hands."""
    made = [ResultRequest(one, 1, "completed") for one in attempts]
    tasks = [asyncio.create_task(outbox.send(one)) for one in made]
    await asyncio.sleep(0)
    return tasks


async def first_under_way(line: Line) -> tuple[Outbox, list[asyncio.Task[ResultReply]]]:
    outbox = Outbox(line)
    tasks = await started(outbox, "first")
    await line.under_way.wait()
    return outbox, tasks


async def test_what_comes_meanwhile_travels_together_and_is_answered_one_by_one():
    line = Line()
    outbox, first = await first_under_way(line)
    later = await started(outbox, "a", "bad", "b")
    line.free.set()
    replies = await asyncio.gather(*first, *later, return_exceptions=True)
    assert line.sent == [["first"], ["a", "bad", "b"]]
    assert isinstance(replies[2], Conflict)
    assert [replies[n].verdict for n in (0, 1, 3)] == ["accepted"] * 3


async def test_what_its_sender_has_given_up_is_not_sent():
    line = Line()
    outbox, first = await first_under_way(line)
    given_up, kept = await started(outbox, "given up", "kept")
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    line.free.set()
    await asyncio.gather(*first, kept)
    assert line.sent == [["first"], ["kept"]]


async def test_nothing_is_sent_where_all_were_given_up_and_the_next_goes_out():
    line = Line()
    outbox, first = await first_under_way(line)
    (given_up,) = await started(outbox, "given up")
    given_up.cancel()
    line.free.set()
    await asyncio.gather(*first)
    (last,) = await started(outbox, "last")
    assert (await last).verdict == "accepted"
    assert line.sent == [["first"], ["last"]]


async def test_a_broken_line_is_told_to_everybody_who_waits():
    line = Line()
    line.broken = True
    outbox, first = await first_under_way(line)
    later = await started(outbox, "a", "b")
    line.free.set()
    for reply in await asyncio.gather(*first, *later, return_exceptions=True):
        assert isinstance(reply, ServerUnreachable)


async def test_a_server_of_before_gets_them_one_by_one():
    line = Line(several=False)
    outbox, first = await first_under_way(line)
    later = await started(outbox, "a", "bad")
    line.free.set()
    replies = await asyncio.gather(*first, *later, return_exceptions=True)
    assert line.sent == [["first"], ["a", "bad"], ["a"], ["bad"]]
    assert isinstance(replies[2], Conflict)
    assert replies[1].verdict == "accepted"


async def test_what_a_bug_of_the_server_did_not_take_is_sent_again():
    line = Line()
    outbox, first = await first_under_way(line)
    later = await started(outbox, "bug", "a")
    line.free.set()
    replies = await asyncio.gather(*first, *later, return_exceptions=True)
    assert isinstance(replies[1], ServerBusy)
    assert replies[2].verdict == "accepted"


class Asking:
    """Wants work with every request."""

    def __init__(self) -> None:
        self.answers: list[LeaseReply | None] = []

    def along(self) -> LeaseRequest:
        return LeaseRequest("next", Offer((), 1, 1000), 0.0)

    def came_along(self, reply: LeaseReply | None) -> None:
        self.answers.append(reply)


@pytest.mark.parametrize("case", ["old", "broken", "without /results"])
async def test_who_asks_along_is_told_what_is_known_of_the_answer(case):
    line, asking = Line(several=case != "without /results"), Asking()
    line.broken = case == "broken"
    line.free.set()
    outbox = Outbox(line)
    outbox.asking = asking
    await asyncio.gather(*await started(outbox, "a"), return_exceptions=True)
    # One of the version before has given nothing; what a broken line has lost nobody knows.
    assert asking.answers == [None if case == "broken" else LeaseReply()]
