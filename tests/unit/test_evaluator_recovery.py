"""Whatever the program and the order of answers: the same history, and recovery ends in it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import Answer, Segment, Start
from copernicus.model.network import OutRef
from copernicus.sdk import Function, Module, Net, task, workflow


@task
def step(x: int) -> int:
    return x


Module("history", "1", [step])


@dataclass(frozen=True)
class Plan:
    """What a branch does, in order; a plan in it is a branch that it spawns and may join."""

    acts: tuple[str | Plan, ...]
    join: bool = True


PLANS = st.recursive(
    st.builds(Plan, st.lists(st.sampled_from(["ask", "call", "decide", "race"])).map(tuple)),
    lambda inner: st.builds(
        Plan,
        st.lists(st.one_of(st.sampled_from(["ask", "race", "output"]), inner), max_size=4).map(
            tuple
        ),
        st.booleans(),
    ),
    max_leaves=6,
)


async def _follow(net: Net, plan: Plan, name: str) -> int:
    total, branches = 0, []
    for i, act in enumerate(plan.acts):
        key = f"{name}_{i}"
        if isinstance(act, Plan):
            branch = net.spawn(i, _follow(net, act, key))
            branches += [branch] if act.join else []
            continue
        calls = [net.call(step, key=(key, n), x=total + n).out.result for n in range(2)]
        if act == "ask":
            total += await calls[0]
        elif act == "race":
            winner, value = await net.first(*calls)
            total += value + calls.index(winner)
        elif act == "decide":
            net.output(chosen=net.collect(calls, at_least=1))
        elif act == "output":
            net.output(result=calls[1])
    for branch in branches:
        total += await branch
    return total


def program_of(plan: Plan) -> Function[..., Any]:
    @workflow(outputs={"result": int, "chosen": list[int]})
    async def history(net: Net) -> None:
        total = await _follow(net, plan, "k")
        net.output(result=total)

    Module("histories", "1", [history])
    return history


def start(function: Function[..., Any], answers: tuple[Answer, ...] = ()) -> Evaluation:
    return Evaluation(Start("wf", "e1", 1, function.spec.entry, "1", {}, 5, (), answers), function)


def answer_to(segment: Segment) -> Answer:
    """An answer that depends on nothing but the position."""
    assert segment.waits is not None
    value: list[Any] = [segment.index % len(segment.waits.sources), len(segment.branch)]
    if segment.waits.kind == "value":
        (source,) = segment.waits.sources
        assert isinstance(source, OutRef)
        value = [len(source.path)]
    return Answer(segment.branch, segment.index, value)


def live(function: Function[..., Any], random: Random) -> tuple[list[Segment], list[Answer]]:
    """All segments, and the answers in the random order in which they were given."""
    evaluation = start(function)
    told, answers = list(evaluation.run().segments), []
    open_awaits = {s.branch: s for s in told if s.waits and s.waits.kind != "branch"}
    while open_awaits:
        branch = random.choice(sorted(open_awaits))
        answers.append(answer_to(open_awaits.pop(branch)))
        fresh = evaluation.answer(answers[-1]).segments
        told += fresh
        open_awaits |= {s.branch: s for s in fresh if s.waits and s.waits.kind != "branch"}
    assert evaluation.ended
    assert evaluation.failure is None
    return told, answers


def history(segments: list[Segment]) -> dict[tuple[str, int], Segment]:
    """Segments by position; each position is there once."""
    found = {(segment.branch, segment.index): segment for segment in segments}
    assert len(found) == len(segments)
    return found


@settings(max_examples=60, deadline=None)
@given(PLANS, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_the_order_of_answers_changes_nothing(plan: Plan, one: Random, other: Random) -> None:
    function = program_of(plan)
    assert history(live(function, one)[0]) == history(live(function, other)[0])


@settings(max_examples=60, deadline=None)
@given(PLANS, st.randoms(use_true_random=False), st.floats(0, 1))
def test_recovery_from_any_prefix_ends_in_the_same_history(
    plan: Plan, random: Random, part: float
) -> None:
    function = program_of(plan)
    told, answers = live(function, random)
    cut = round(part * len(answers))
    recorded = answers[:cut]
    random.shuffle(recorded)
    evaluation = start(function, tuple(recorded))
    again = list(evaluation.run().segments)
    for answer in answers[cut:]:
        again += evaluation.answer(answer).segments
    assert evaluation.ended
    assert history(again) == history(told)
    evaluation.close()
