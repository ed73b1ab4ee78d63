"""Carries out on a shadow what needs an evaluator, until nothing goes on without a job's result.

A generator: it gives requests to an evaluator and takes replies, so that it knows nothing of
processes and time. The evaluator is one that nobody else uses.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from copernicus.engine.shadow import Outside, Shadow
from copernicus.evaluator.frames import (
    Begin,
    Continue,
    Describe,
    Description,
    End,
    Gone,
    Refused,
    Reply,
    Request,
)
from copernicus.evaluator.frames import Rested as RestedFrame
from copernicus.model.effects import DescribeJob, EndEvaluation, Evaluate, SendAnswer
from copernicus.model.evaluation import Start
from copernicus.model.jobs import Failure
from copernicus.model.reports import Described, EvaluationBroke, Report, Rested

_ALL_NUMBERS: Final = 2**53

Asking = Generator[Request, Reply, None]


class Trial:
    """One shadow's dealings with one evaluator, in which it goes by ``name``.

    ``described`` bounds how many jobs are described: only to see whether they can be.
    """

    def __init__(self, shadow: Shadow, name: str, described: int) -> None:
        self.shadow = shadow
        self._name = name
        self._to_describe = described
        self._begun: set[tuple[str, str]] = set()

    def requests(self) -> Asking:
        """What the evaluator is to be asked, in turn."""
        pending = self.shadow.pending
        while pending:
            yield from self._carry_out(pending.popleft())

    def farewells(self) -> Iterator[Request]:
        """What makes the evaluator forget all of it."""
        for path, eid in self._begun:
            yield End(path, eid, _ALL_NUMBERS, self._name)

    def _carry_out(self, effect: Outside) -> Asking:
        match effect:
            case Evaluate(start=start):
                yield from self._begin(start)
            case SendAnswer(path=path, eid=eid, number=number):
                reply = yield Continue(path, eid, number, effect.answer, self._name)
                start_again = self.shadow.start_of(path, eid, number)
                if not isinstance(reply, Gone):
                    self._rested(path, eid, number, reply)
                elif start_again is not None:
                    yield from self._begin(start_again)
            case EndEvaluation(path=path, eid=eid, number=number):
                yield End(path, eid, number, self._name)
            case DescribeJob() if self._to_describe > 0:
                self._to_describe -= 1
                reply = yield Describe(effect.activation, effect.entry, effect.inputs)
                self._described(effect.activation, reply)

    def _begin(self, start: Start) -> Asking:
        wanted = self.shadow.start_of(start.path, start.eid, start.number)
        if wanted is not None:
            self._begun.add((start.path, start.eid))
            reply = yield Begin(start, self._name)
            self._rested(start.path, start.eid, start.number, reply)

    def _rested(self, path: str, eid: str, number: int, reply: Reply) -> None:
        report: Report = EvaluationBroke(path, eid, number, _nonsense(reply))
        if isinstance(reply, RestedFrame):
            report = Rested(reply.rest)
        self.shadow.report(report)

    def _described(self, activation: str, reply: Reply) -> None:
        if not isinstance(reply, Description):
            self.shadow.report(Described(activation, failure=_nonsense(reply)))
        elif reply.failure is not None:
            self.shadow.report(Described(activation, failure=reply.failure))
        else:
            self.shadow.report(Described(activation, reply.command))


def _nonsense(reply: Reply) -> Failure:
    said = reply.message if isinstance(reply, Refused) else type(reply).__name__
    return Failure(f"the evaluator refused: {said}", "infrastructure")
