"""Unit tests of one workflow function: ``replay`` plays the engine, the test gives the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import Answer, Await, Declaration, Rest, Segment, Start
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, InRef, Literal, Source
from copernicus.model.values import to_plain
from copernicus.sdk.functions import Function
from copernicus.testing.courses import Course, check

MAX_AWAITS = 100_000


class NotYet(Exception):
    """Raised by an ``answer`` function: there is no value yet."""


Answering = Callable[[str, str], Any]
"""``answer(key, port)``: the value of an output, a ``Failure``, or ``NotYet``."""


@dataclass
class Replayed:
    """What a workflow function did."""

    segments: list[Segment] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    failure: Failure | None = None
    ended: bool = False

    @property
    def calls(self) -> dict[str, Declaration]:
        """All declared calls by the name of their key."""
        return {call.name: call for segment in self.segments for call in segment.declarations}

    @property
    def outputs(self) -> dict[str, Source]:
        """Where the outputs come from in the end."""
        return {p: source for segment in self.segments for p, source in segment.outputs.items()}

    @property
    def waits(self) -> dict[str, Await]:
        """What each branch still waits for."""
        last = {segment.branch: segment for segment in self.segments}
        return {name: segment.waits for name, segment in last.items() if segment.waits}


class _World:
    """Answers awaits out of an author's ``answer`` function and the inputs."""

    def __init__(self, inputs: Mapping[str, Any], answer: Answering) -> None:
        self._inputs = inputs
        self._answer = answer

    def value(self, source: Source) -> Any:
        if isinstance(source, Literal):
            return source.value
        if isinstance(source, Collect):
            return self._collected(source)
        found = (
            self._inputs[source.port]
            if isinstance(source, InRef)
            else to_plain(self._answer(source.path.rpartition("/")[2], source.port))
        )
        for step in () if isinstance(found, Failure) else source.steps:
            found = found[step]
        return found

    def _collected(self, source: Collect) -> list[Any]:
        found = []
        for item in source.items:
            try:
                found.append(self.value(item.source))
            except NotYet:
                if source.at_least is None:
                    raise
        if source.at_least is not None and len(found) < source.at_least:
            raise NotYet
        return found

    def to(self, waits: Await) -> Any:
        """The answer to an await; raises ``NotYet``."""
        if waits.kind == "first":
            return self._first(waits.sources)
        values = [self.value(source) for source in waits.sources]
        if waits.kind == "settle":
            return [
                {"failure": value} if isinstance(value, Failure) else {"value": value}
                for value in values
            ]
        if any(isinstance(value, Failure) for value in values):
            raise NotYet
        return values

    def _first(self, sources: tuple[Source, ...]) -> Any:
        for index, source in enumerate(sources):
            try:
                value = self.value(source)
            except NotYet:
                continue
            if not isinstance(value, Failure):
                return [index, value]
        raise NotYet


def replay(
    function: Function[..., Any],
    inputs: Mapping[str, Any],
    answer: Answering,
    seed: int = 1,
    max_declarations: int = 20_000,
    *,
    elsewhere: bool = True,
) -> Replayed:
    """Run a workflow function with these inputs, as far as ``answer`` has values.

    Then it is run again with the same answers, with those of its branches in other orders, and
    (``elsewhere``) in another process under another hash seed.

    Raises:
        Departed: Run again, it did something else.
    """
    plain = {name: to_plain(value) for name, value in inputs.items()}
    start = Start(
        path="test",
        eid="",
        number=1,
        entry=function.spec.entry,
        version=function.spec.version,
        inputs=plain,
        seed=seed,
        outputs=tuple(port.name for port in function.spec.outputs),
        max_declarations=max_declarations,
    )
    course = Course(function, start)
    seen = _play(Evaluation(start, function), _World(plain, answer), course)
    check(course, elsewhere=elsewhere)
    return seen


def _play(evaluation: Evaluation, world: _World, course: Course) -> Replayed:
    seen = Replayed()
    waiting: dict[str, Segment] = {}

    def note(rest: Rest) -> None:
        seen.segments.extend(rest.segments)
        course.took(evaluation, rest)
        for segment in rest.segments:
            waiting.pop(segment.branch, None)
            if segment.waits and segment.waits.kind != "branch":
                waiting[segment.branch] = segment

    note(evaluation.run())
    while not evaluation.ended and len(seen.answers) < MAX_AWAITS:
        answer = _possible(waiting.values(), world)
        if answer is None:
            break
        seen.answers.append(answer)
        course.answers.append(answer)
        note(evaluation.answer(answer))
    seen.ended, seen.failure = evaluation.ended, evaluation.failure
    evaluation.close()
    return seen


def _possible(waiting: Iterable[Segment], world: _World) -> Answer | None:
    """The answer to the first branch that can have one."""
    for segment in waiting:
        assert segment.waits is not None
        try:
            return Answer(segment.branch, segment.index, world.to(segment.waits))
        except NotYet:
            continue
    return None
