"""Finds what an evaluation depends on beyond its history: order, hashes, state that is shared.

An equal history must give equal declarations (SEMANTICS 4.7), and branches must not share state
(4.1). So a course that was taken once is taken again in several ways, and all are compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from copernicus.errors import BadDefinition
from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import Answer, Rest, Segment, Start
from copernicus.sdk.functions import Function
from copernicus.testing.elsewhere import take_elsewhere

_ORDERS = 4

AGAIN = "run again with the same answers"
ORDER = "run again with the answers of its branches in another order"
HASHES = "run again in another process, under another hash seed,"
_REMEDIES = {
    AGAIN: "does it keep state outside, or look at a clock, a file or random numbers?",
    ORDER: "do its branches share state? Give every branch its own, and return what is joined",
    HASHES: "does it go through a set, or keep state outside? Sort what has no order",
}


class Departed(BadDefinition):
    """With an equal history a workflow function did something else (``copernicus.testing``)."""

    code = "departed"

    def __init__(self, message: str, line: str = "") -> None:
        """``line`` is the author's."""
        super().__init__(message)
        self.line = line


@dataclass
class Course:
    """What one evaluation did, by which answers; ``lines`` are where its keys are declared."""

    function: Function[..., object]
    start: Start
    answers: list[Answer] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)

    def took(self, evaluation: Evaluation, rest: Rest) -> None:
        """Write down what was done."""
        self.segments.extend(rest.segments)
        self.lines = evaluation.lines

    @property
    def recorded(self) -> Start:
        """The start of a recovery: with all the answers."""
        return msgspec.structs.replace(self.start, answers=tuple(self.answers))


def check(course: Course, *, elsewhere: bool = True) -> None:
    """Take a course again in all ways.

    Raises:
        Departed: It became another one.
    """
    _compare(course, AGAIN, *_again(course.function, course.recorded))
    branches = {segment.branch for segment in course.segments}
    for number in range(_ORDERS if len(branches) > 1 else 0):
        _compare(course, ORDER, *_reordered(course, random.Random(number)))  # noqa: S311
    if elsewhere:
        taken = take_elsewhere(course.function, course.recorded)
        if taken is not None:
            _compare(course, HASHES, taken.segments, taken.lines)


def _again(
    function: Function[..., object], start: Start
) -> tuple[Sequence[Segment], dict[str, str]]:
    evaluation = Evaluation(start, function)
    rest = evaluation.run()
    evaluation.close()
    return rest.segments, evaluation.lines


def _reordered(course: Course, luck: random.Random) -> tuple[Sequence[Segment], dict[str, str]]:
    """The same answers, given as another course of the world might have brought them."""
    evaluation = Evaluation(msgspec.structs.replace(course.start, answers=()), course.function)
    answers = {(one.branch, one.index): one for one in course.answers}
    segments = list(evaluation.run().segments)
    while not evaluation.ended:
        waiting = sorted(
            position
            for position in ((s.branch, s.index) for s in segments if s.waits)
            if position in answers
        )
        if not waiting:
            break
        segments += evaluation.answer(answers.pop(luck.choice(waiting))).segments
    evaluation.close()
    return segments, evaluation.lines


def _compare(course: Course, way: str, segments: Sequence[Segment], lines: dict[str, str]) -> None:
    first, then = _by_position(course.segments), _by_position(segments)
    for position in sorted(first.keys() | then.keys()):
        one, other = first.get(position), then.get(position)
        if one == other:
            continue
        what, line = _difference(one, other, course.lines, lines)
        raise Departed(
            f"{course.start.path or course.function.spec.name} ({course.function.spec.name}), "
            f"branch {position[0]}, after {position[1]} awaits: {way} it did something else: "
            f"{what}. {_REMEDIES[way]}",
            line,
        )


def _by_position(segments: Iterable[Segment]) -> dict[tuple[str, int], Segment]:
    return {(segment.branch, segment.index): segment for segment in segments}


def _difference(
    one: Segment | None, other: Segment | None, first: dict[str, str], then: dict[str, str]
) -> tuple[str, str]:
    """What differs, in words, and the author's line."""
    if one is None or other is None:
        there = one or other
        assert there is not None
        when = "first, not then" if one else "then, not first"
        return f"it came here {when}{_at(_line_of(there, first | then))}", _line_of(
            there, first | then
        )
    before = {call.name: call for call in one.declarations}
    after = {call.name: call for call in other.declarations}
    for name in [*before, *after]:
        if before.get(name) != after.get(name):
            line = first.get(name) or then.get(name, "")
            return f"the call {name!r} {_how(name in before, name in after)}{_at(line)}", line
    line = _line_of(other, then) or _line_of(one, first)
    if one.failure != other.failure:
        failure = other.failure or one.failure
        assert failure is not None
        return (
            f"it failed {'then' if other.failure else 'first'}: {failure.reason}{_at(line)}",
            line,
        )
    if list(before) != list(after):
        return f"calls were declared in another order{_at(line)}", line
    if one.outputs != other.outputs:
        return f"outputs come from elsewhere{_at(line)}", line
    return f"it went on to wait for something else{_at(line)}", line


def _how(before: bool, after: bool) -> str:
    if before and after:
        return "was declared with other inputs"
    return "was declared first, not then" if before else "was declared then, not first"


def _line_of(segment: Segment, lines: dict[str, str]) -> str:
    if segment.failure is not None and segment.failure.where:
        return segment.failure.where
    if segment.waits is not None and segment.waits.line:
        return segment.waits.line
    return next((lines[call.name] for call in segment.declarations if call.name in lines), "")


def _at(line: str) -> str:
    return f" (at {line})" if line else ""
