"""Evaluations: branches, positions, segments, decisions, failures at the author's line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copernicus.errors import BadDefinition, Conflict
from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import ROOT, Answer, Rest, Start
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef
from copernicus.sdk import File, Function, Module, Net, task, workflow
from copernicus.testing import NotYet, replay
from support.authors import adaptive, broken

FILE = File("ab" * 32, 3, "a.gro")


@task
def double(x: int, note: str | None = "none") -> int:
    return 2 * x


@task(outputs={"low": int, "high": int, "rows": list[dict[str, int]]})
def split(xs: list[int]) -> dict[str, Any]:
    return {}


Module("unit", "1", [double, split])


def flow(body: Any, outputs: dict[str, Any] | None = None) -> Function[..., Any]:
    """A workflow function in a module of its own."""
    function = workflow(outputs=outputs or {"result": Any})(body)
    Module("flows", "1", [function])
    return function


def begin(
    function: Function[..., Any], path: str = "wf", eid: str = "", **changes: Any
) -> tuple[Evaluation, Rest]:
    """An evaluation and its first rest."""
    limits = {"max_declarations": changes.pop("max_declarations", 20_000)}
    answers = changes.pop("answers", ())
    seed = changes.pop("seed", 7)
    start = Start(path, eid, 1, function.spec.entry, "1", changes, seed, answers=answers, **limits)
    evaluation = Evaluation(start, function)
    return evaluation, evaluation.run()


def failure(function: Function[..., Any], **changes: Any) -> Failure:
    """What a function fails with at once."""
    evaluation, rest = begin(function, **changes)
    assert evaluation.ended
    assert rest.segments[-1].failure is not None
    assert rest.segments[-1].declarations == ()
    return rest.segments[-1].failure


# --- segments and positions ----------------------------------------------------------------------


def test_a_segment_lies_between_two_awaits() -> None:
    async def body(net: Net, n: int) -> dict[str, Any]:
        x: Any = n
        for i in range(2):
            call = net.call(double, key=("d", i), x=x)
            net.output(result=call.out.result)
            x = await call.out.result
        return {"result": x}

    evaluation, rest = begin(flow(body), n=3)
    (first,) = rest.segments
    assert (first.branch, first.index, first.ended) == (ROOT, 0, False)
    (declared,) = first.declarations
    assert (declared.name, declared.function) == ("d-0", "unit.double")
    assert declared.inputs == {"x": Literal(3)}
    assert first.outputs == {"result": OutRef("wf/d-0", "result")}
    assert first.waits is not None
    assert (first.waits.kind, first.waits.sources) == ("value", (OutRef("wf/d-0", "result"),))
    assert first.waits.line.startswith("test_evaluator_runner.py:")

    (second,) = evaluation.answer(Answer(ROOT, 0, [6])).segments
    assert (second.index, second.declarations[0].inputs) == (1, {"x": Literal(6)})
    (last,) = evaluation.answer(Answer(ROOT, 1, [12])).segments
    assert (last.index, last.ended, last.waits) == (2, True, None)
    assert last.outputs == {"result": Literal(12)}
    assert evaluation.ended


def test_paths_lie_inside_the_element() -> None:
    async def body(net: Net) -> None:
        call = net.call(double, key="d", x=1)
        net.output(result=call.out.result)

    _, rest = begin(flow(body), path="top/fe", eid="e3")
    assert rest.segments[0].outputs == {"result": OutRef("top/fe@e3/d", "result")}


def test_inputs_can_be_connected_without_being_read() -> None:
    async def body(net: Net, xs: list[int]) -> None:
        net.call(split, key="s", xs=net.inputs.xs)
        net.call(double, key="d", x=net.inputs.xs[2])

    _, rest = begin(flow(body), eid="e1", xs=[1, 2, 3])
    whole, part = rest.segments[0].declarations
    assert whole.inputs == {"xs": InRef("wf", "xs", "e1")}
    assert part.inputs == {"x": InRef("wf", "xs", "e1", (2,))}


def test_parts_of_values_are_references_too() -> None:
    async def body(net: Net) -> None:
        call = net.call(split, key="s", xs=[1])
        net.call(double, key="d", x=call.out.rows[0].size)

    _, rest = begin(flow(body))
    ref = OutRef("wf/s", "rows", steps=(0, "size"))
    assert rest.segments[0].declarations[1].inputs == {"x": ref}


def test_lists_with_references_become_lists_of_items() -> None:
    async def body(net: Net) -> None:
        a, b = (net.call(double, key=("d", i), x=i) for i in range(2))
        net.call(split, key="mixed", xs=[a.out.result, 5, b.out.result, b.out.result])
        net.call(split, key="plain", xs=[1, 2])
        net.call(split, key="inputs", xs=net.collect([net.inputs.n]))

    function = flow(body)

    async def with_input(net: Net, n: int) -> None:
        await body(net)

    function = flow(with_input)
    _, rest = begin(function, n=1)
    mixed, plain, inputs = rest.segments[0].declarations[2:]
    collected = mixed.inputs["xs"]
    assert isinstance(collected, Collect)
    assert [item.eid for item in collected.items] == [
        "d-0",
        collected.items[1].eid,
        "d-1",
        "d-1~n2",
    ]
    assert collected.items[1].source == Literal(5)
    assert plain.inputs == {"xs": Literal([1, 2])}
    assert inputs.inputs == {"xs": Collect((Item("~in", InRef("wf", "n")),))}


def test_collect_at_least_is_a_decision_with_a_position_of_its_branch() -> None:
    async def body(net: Net) -> None:
        runs = [net.call(double, key=i, x=i).out.result for i in range(10)]
        net.call(split, key="s1", xs=net.collect(runs, at_least=0.85))
        await runs[0]
        net.call(split, key="s2", xs=net.collect(runs, at_least=3))
        net.spawn("b", side(net, runs))

    async def side(net: Net, runs: list[Any]) -> None:
        net.output(result=net.collect(runs, at_least=1))

    evaluation, rest = begin(flow(body), eid="e1")
    first = rest.segments[0].declarations[-1].inputs["xs"]
    assert isinstance(first, Collect)
    assert (first.at_least, first.decision, first.owner) == (9, "root:c0", ("wf", "e1"))
    root, side_segment = evaluation.answer(Answer(ROOT, 0, [0])).segments
    second = root.declarations[0].inputs["xs"]
    assert isinstance(second, Collect)
    assert (second.at_least, second.decision) == (3, "root:c1")
    third = side_segment.outputs["result"]
    assert isinstance(third, Collect)
    assert third.decision == "root/b:c0"


def test_mapped_calls_take_lists() -> None:
    async def body(net: Net) -> None:
        net.call(double, key="d", mapped=("x",), x=[1, 2])

    _, rest = begin(flow(body))
    (declared,) = rest.segments[0].declarations
    assert (declared.mapped, declared.inputs) == (("x",), {"x": Literal([1, 2])})


def test_nothing_is_a_value_only_where_the_port_says_so() -> None:
    async def body(net: Net) -> None:
        net.call(double, key="d", x=1, note=None)

    _, rest = begin(flow(body))
    assert rest.segments[0].declarations[0].inputs == {"x": Literal(1), "note": Literal(None)}


def test_seeds_follow_from_seed_path_and_key() -> None:
    async def body(net: Net) -> list[int]:
        return [net.seed("md", 0), net.seed("md", 1), net.seed("md", 0)]

    def seeds(**where: Any) -> list[int]:
        source = begin(flow(body), **where)[1].segments[0].outputs["result"]
        assert isinstance(source, Literal)
        return list(source.value)

    a, b, again = seeds()
    assert a == again
    assert all(0 < seed < 2**31 for seed in (a, b))
    assert len({a, b, seeds(seed=8)[0], seeds(path="other")[0], seeds(eid="e")[0]}) == 5


def test_awaited_files_are_files_and_inputs_are_what_their_hints_say() -> None:
    seen: list[Any] = []

    async def body(net: Net, start: File) -> None:
        seen.append(start)
        seen.append(await net.call(split, key="s", xs=[1]).out.rows)

    evaluation, _ = begin(flow(body), start=FILE.plain())
    evaluation.answer(Answer(ROOT, 0, [[{"f": FILE.plain()}]]))
    assert seen == [FILE, [{"f": FILE}]]


def test_an_awaited_call_gives_all_its_outputs() -> None:
    async def body(net: Net) -> dict[str, Any]:
        return {"result": await net.call(split, key="s", xs=[1])}

    evaluation, rest = begin(flow(body))
    assert rest.segments[0].waits is not None
    assert len(rest.segments[0].waits.sources) == 3
    (last,) = evaluation.answer(Answer(ROOT, 0, [1, 2, []])).segments
    assert last.outputs == {"result": Literal({"low": 1, "high": 2, "rows": []})}


# --- branches ------------------------------------------------------------------------------------


def walkers(fail: bool = False) -> Function[..., Any]:
    """Two branches with two awaits each, joined by the root in order."""

    async def walk(net: Net, w: int) -> int:
        total = 0
        for i in range(2):
            total += await net.call(double, key=("w", w, i), x=total).out.result
        if fail:
            raise ValueError(f"walker {w}")
        return total

    async def body(net: Net) -> list[int]:
        branches = [net.spawn(("walker", w), walk(net, w)) for w in range(2)]
        return [await branch for branch in branches]

    return flow(body)


def test_branches_run_in_the_order_of_their_spawning() -> None:
    _, rest = begin(walkers())
    assert [(s.branch, s.index) for s in rest.segments] == [
        (ROOT, 0),
        ("root/walker-0", 0),
        ("root/walker-1", 0),
    ]
    root = rest.segments[0]
    assert root.spawned == ("root/walker-0", "root/walker-1")
    assert root.waits is not None
    assert (root.waits.kind, root.waits.branch) == ("branch", "root/walker-0")


def test_branches_are_answered_independently_and_joins_count_as_awaits() -> None:
    evaluation, _ = begin(walkers())
    one = evaluation.answer(Answer("root/walker-1", 0, [5]))
    assert [(s.branch, s.index) for s in one.segments] == [("root/walker-1", 1)]
    two = evaluation.answer(Answer("root/walker-1", 1, [6]))
    assert [(s.branch, s.index, s.ended) for s in two.segments] == [("root/walker-1", 2, True)]
    evaluation.answer(Answer("root/walker-0", 0, [1]))
    last = evaluation.answer(Answer("root/walker-0", 1, [2]))
    assert [(s.branch, s.index, s.ended) for s in last.segments] == [
        ("root/walker-0", 2, True),
        (ROOT, 1, False),
        (ROOT, 2, True),
    ]
    assert last.segments[-1].outputs == {"result": Literal([3, 11])}


def test_recovery_takes_recorded_answers_and_gives_all_segments() -> None:
    live, first = begin(walkers())
    answers = (
        Answer("root/walker-1", 0, [5]),
        Answer("root/walker-1", 1, [6]),
        Answer("root/walker-0", 0, [1]),
    )
    told = [*first.segments, *(s for a in answers for s in live.answer(a).segments)]
    recovered, rest = begin(walkers(), answers=tuple(reversed(answers)))

    def order(segments: Any) -> list[Any]:
        return sorted(segments, key=lambda s: (s.branch, s.index))

    assert order(rest.segments) == order(told)
    assert (
        recovered.answer(Answer("root/walker-0", 1, [2])).segments
        == live.answer(Answer("root/walker-0", 1, [2])).segments
    )


def test_a_branch_that_fails_fails_the_evaluation() -> None:
    evaluation, _ = begin(walkers(fail=True))
    evaluation.answer(Answer("root/walker-1", 0, [5]))
    rest = evaluation.answer(Answer("root/walker-1", 1, [5]))
    found = rest.segments[-1].failure
    assert found is not None
    assert found.reason == "ValueError: walker 1"
    assert evaluation.ended
    with pytest.raises(Conflict, match="waits for no answer"):
        evaluation.answer(Answer("root/walker-0", 0, [1]))


def test_an_answer_must_fit_the_position() -> None:
    evaluation, _ = begin(walkers())
    with pytest.raises(Conflict, match="waits at 0, not at 1"):
        evaluation.answer(Answer("root/walker-0", 1, [1]))
    with pytest.raises(Conflict, match="waits for no answer"):
        evaluation.answer(Answer(ROOT, 0, [1]))
    with pytest.raises(Conflict, match="waits for no answer"):
        evaluation.answer(Answer("root/walker-9", 0, [1]))


def test_branches_that_nobody_joins_are_part_of_the_evaluation() -> None:
    async def side(net: Net) -> None:
        net.output(result=await net.call(double, key="d", x=1).out.result)

    async def body(net: Net) -> None:
        net.spawn("side", side(net))

    evaluation, rest = begin(flow(body))
    assert [(s.branch, s.ended) for s in rest.segments] == [(ROOT, True), ("root/side", False)]
    assert not evaluation.ended
    (last,) = evaluation.answer(Answer("root/side", 0, [2])).segments
    assert last.outputs == {"result": Literal(2)}
    assert evaluation.ended


def test_nested_branches_have_nested_names() -> None:
    async def leaf(net: Net) -> int:
        return 1

    async def middle(net: Net) -> int:
        return await net.spawn("x", leaf(net)) + await net.spawn("y", leaf(net))

    async def body(net: Net) -> int:
        return await net.spawn("x", middle(net))

    evaluation, rest = begin(flow(body))
    assert {s.branch for s in rest.segments} == {ROOT, "root/x", "root/x/x", "root/x/y"}
    assert evaluation.ended
    assert rest.segments[-1].outputs == {"result": Literal(2)}


def test_branches_that_wait_for_one_another_are_found_out() -> None:
    async def body(net: Net) -> None:
        branches: list[Any] = []

        async def one(other: int) -> None:
            await net.call(double, key=other, x=1).out.result
            await branches[other]

        branches.extend(net.spawn(f"b{i}", one(1 - i)) for i in range(2))
        await branches[0]

    evaluation, _ = begin(flow(body))
    evaluation.answer(Answer("root/b0", 0, [1]))
    rest = evaluation.answer(Answer("root/b1", 0, [1]))
    found = rest.segments[-1].failure
    assert found is not None
    assert found.reason == "the branches root, root/b0, root/b1 wait for one another"
    assert evaluation.ended


# --- decisions -----------------------------------------------------------------------------------


def test_first_gives_the_reference_that_came_and_its_value() -> None:
    async def body(net: Net) -> list[Any]:
        refs = [net.call(double, key=i, x=i).out.result for i in range(3)]
        winner, value = await net.first(*refs)
        return [refs.index(winner), value]

    evaluation, rest = begin(flow(body))
    assert rest.segments[0].waits is not None
    assert rest.segments[0].waits.kind == "first"
    (last,) = evaluation.answer(Answer(ROOT, 0, [2, 44])).segments
    assert last.outputs == {"result": Literal([2, 44])}


def test_as_completed_asks_for_the_first_of_those_left() -> None:
    async def body(net: Net) -> list[Any]:
        refs = [net.call(double, key=i, x=i).out.result for i in range(3)]
        return [value async for _, value in net.as_completed(refs)]

    evaluation, _ = begin(flow(body))
    (rest,) = evaluation.answer(Answer(ROOT, 0, [1, "b"])).segments
    assert rest.waits is not None
    assert rest.waits.sources == (OutRef("wf/0", "result"), OutRef("wf/2", "result"))
    assert rest.waits.line.startswith("test_evaluator_runner.py:")
    evaluation.answer(Answer(ROOT, 1, [1, "c"]))
    (last,) = evaluation.answer(Answer(ROOT, 2, [0, "a"])).segments
    assert last.outputs == {"result": Literal(["b", "c", "a"])}


def test_as_completed_may_be_left_early() -> None:
    async def body(net: Net) -> Any:
        refs = [net.call(double, key=i, x=i).out.result for i in range(3)]
        async for _, value in net.as_completed(refs):
            return value
        return None

    evaluation, _ = begin(flow(body))
    evaluation.answer(Answer(ROOT, 0, [1, "b"]))
    assert evaluation.ended


def test_settle_gives_values_and_failures() -> None:
    async def body(net: Net) -> list[Any]:
        refs = [net.call(double, key=i, x=i).out.result for i in range(2)]
        good, bad = await net.settle(refs)
        assert good.ok
        assert not bad.ok
        assert isinstance(bad.failure, Failure)
        return [good.value, bad.failure.reason]

    evaluation, _ = begin(flow(body))
    answer = [{"value": 3}, {"failure": {"reason": "blew up"}}]
    (last,) = evaluation.answer(Answer(ROOT, 0, answer)).segments
    assert last.outputs == {"result": Literal([3, "blew up"])}


def test_latest_and_gather() -> None:
    async def body(net: Net, n: int) -> list[Any]:
        a, b = (net.call(double, key=i, x=i).out.result for i in range(2))
        return [await net.latest(net.inputs.n), *await net.gather(b, a), await net.collect([a])]

    evaluation, rest = begin(flow(body), n=1)
    kinds = [rest.segments[0].waits]
    for index, value in enumerate([[9], ["b", "a"], [["c"]]]):
        (segment,) = evaluation.answer(Answer(ROOT, index, value)).segments
        kinds.append(segment.waits)
    assert [waits.kind for waits in kinds if waits] == ["latest", "value", "value"]
    assert segment.outputs == {"result": Literal([9, "b", "a", ["c"]])}


# --- failures ------------------------------------------------------------------------------------


def test_an_error_names_the_authors_line_and_tells_the_story() -> None:
    found = failure(broken, how="trouble")
    assert found.reason == "RuntimeError: trouble"
    assert found.cause == "definition"
    assert found.where.startswith("support/authors.py:")
    assert "raise RuntimeError(how)" in found.log


def test_a_key_declared_twice() -> None:
    found = failure(broken, how="twice")
    assert found.reason.startswith("key 'a' is declared twice in one evaluation, first at authors")
    assert found.where.startswith("support/authors.py:")


def test_a_swallowed_error_of_the_net_fails_all_the_same() -> None:
    async def body(net: Net) -> None:
        net.call(double, key="a", x=1)
        try:
            net.call(double, key="a", x=1)
        except BadDefinition:
            net.output(result=1)

    assert "declared twice" in failure(flow(body)).reason


def test_foreign_awaitables_are_refused_at_their_line() -> None:
    found = failure(broken, how="foreign")
    assert found.reason.startswith("awaits something that is no reference")
    assert found.where.startswith("support/authors.py:")


def test_the_clock_of_asyncio_is_refused() -> None:
    async def body(net: Net) -> None:
        await asyncio.sleep(1)

    assert "no running event loop" in failure(flow(body)).reason


def test_declarations_are_bounded_over_all_segments() -> None:
    async def body(net: Net) -> None:
        i = 0
        while True:
            net.call(double, key=i, x=i)
            i += 1
            if i % 10 == 0:
                await net.call(double, key=("look", i), x=i).out.result

    assert "more than 8 calls" in failure(flow(body), max_declarations=8).reason
    evaluation, _ = begin(flow(body), max_declarations=15)
    (last,) = evaluation.answer(Answer(ROOT, 0, [1])).segments
    assert last.failure is not None
    assert "endless loop" in last.failure.reason


async def _unknown_input(net: Net) -> None:
    net.call(double, key="d", x=1, y=2)


async def _missing(net: Net) -> None:
    net.call(double, key="d")


async def _wrong_type(net: Net) -> None:
    net.call(double, key="d", x="three")


async def _unknown_output(net: Net) -> None:
    net.output(other=1)


async def _unknown_port(net: Net) -> None:
    net.output(result=net.call(double, key="d", x=1).out.other)


async def _tested(net: Net) -> None:
    if net.call(double, key="d", x=1).out.result:
        net.output(result=1)


async def _iterated(net: Net) -> None:
    for _ in net.call(double, key="d", x=1).out.result:
        pass


async def _object(net: Net) -> None:
    net.call(double, key="d", x=object())


async def _whole_call(net: Net) -> None:
    net.call(double, key="d", x=net.call(double, key="e", x=1))


async def _bad_key(net: Net) -> None:
    net.call(double, key=1.5, x=1)  # type: ignore[arg-type]


async def _never(net: Net) -> None:
    net.collect([net.call(double, key="e", x=1).out.result], at_least=2)


async def _twice_spawned(net: Net) -> None:
    net.spawn("b", _missing(net))
    net.spawn("b", _missing(net))


async def _no_coroutine(net: Net) -> None:
    net.spawn("b", _missing)  # type: ignore[arg-type]


async def _bad_return(net: Net) -> dict[str, Any]:
    return {"nonsense": 1}


async def _first_of_values(net: Net) -> None:
    await net.first(1, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_unknown_input, "unit.double has no input 'y'; it has: x, note"),
        (_missing, "unit.double (key d) needs x"),
        (_wrong_type, "expected int at unit.double (key d), input x, got str 'three'"),
        (_unknown_output, "has no output 'other'; it has: result"),
        (_unknown_port, "unit.double has no output 'other'; it has: result"),
        (_tested, "is a reference, not yet a value: await it"),
        (_iterated, "not iterable"),
        (_object, "is neither a reference nor a plain value"),
        (_whole_call, "connect one of its outputs, call.out.NAME"),
        (_bad_key, "1.5 is no key"),
        (_never, "can never be there"),
        (_twice_spawned, "branch 'b' is spawned twice"),
        (_no_coroutine, "needs a coroutine"),
        (_bad_return, "has no output 'nonsense'"),
        (_first_of_values, "first: 1 is no reference"),
    ],
)
def test_misuse_of_the_net_is_told_at_the_line(body: Any, said: str) -> None:
    found = failure(
        flow(body, {"result": Any, "second": Any}) if body is _bad_return else flow(body)
    )
    if body is _unknown_output:
        found = failure(flow(body, {"result": int}))
    assert said in found.reason
    code = body.__code__
    line = int(found.where.rpartition(":")[2])
    assert code.co_firstlineno <= line <= code.co_firstlineno + 4


def test_inputs_of_another_type_are_told() -> None:
    assert (
        "expected int at toy.adaptive.in.generations"
        in failure(adaptive, starts=[], generations="x").reason
    )


# --- replay --------------------------------------------------------------------------------------


def test_replay_runs_an_adaptive_workflow() -> None:
    def answer(key: str, port: str) -> Any:
        if port == "seeds" and key.startswith("msm"):
            return [{"conf": File("cd" * 32, 1, f"{key}.gro"), "weight": 1.0}]
        raise NotYet

    seen = replay(adaptive, {"starts": [FILE, FILE], "generations": 3}, answer)
    assert seen.ended
    assert seen.failure is None
    assert sorted(seen.calls) == ["md-0-0", "md-0-1", "md-1-0", "md-2-0"] + [
        f"msm-{g}" for g in range(3)
    ]
    assert seen.calls["md-2-0"].inputs["conf"] == Literal(
        {"$file": "cd" * 32, "size": 1, "name": "msm-1.gro"}
    )
    assert seen.outputs["last"] == OutRef("test/msm-2", "table")


def test_replay_finds_what_depends_on_luck() -> None:
    count = iter(range(100))

    async def body(net: Net) -> None:
        await net.call(double, key=next(count), x=1).out.result

    with pytest.raises(Exception, match="did something else"):
        replay(flow(body), {}, lambda key, port: 1)


def test_a_thousand_generations_are_linear() -> None:
    seen = replay(
        adaptive,
        {"starts": [FILE], "generations": 1000},
        lambda key, port: [{"conf": FILE.plain(), "weight": 1.0}],
    )
    assert seen.ended
    assert len(seen.segments) == 1001
