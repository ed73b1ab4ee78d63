"""Workflow functions for the tests of the engine's rules."""

from __future__ import annotations

from typing import Any

from copernicus.model.functions import Port
from copernicus.model.types import AnyType, ListType
from copernicus.sdk import Final, Latest, Module, Net, workflow
from support.world import World, task_spec

SPECS = (
    task_spec("m.md", "conf"),
    task_spec("m.model", [Port("xs", ListType(AnyType()))], "seeds"),
    task_spec("m.sum", [Port("xs", ListType(AnyType()))]),
    task_spec("m.newest", [Port("xs", AnyType(), latest=True)]),
    task_spec("m.watch", [Port("xs", AnyType(), streaming=True)]),
)


def compute(function: str, inputs: dict[str, Any]) -> Any:
    """What the simulated programs give."""
    if function == "m.md":
        return inputs["conf"] + 1
    if function == "m.model":
        return {"seeds": [x * 10 for x in inputs["xs"]]}
    return sum(inputs["xs"])


@workflow(outputs={"model": Any})
async def adaptive(net: Net, starts: list[Any], generations: int):
    """Generations of runs, each from what the model of the last one proposes."""
    for g in range(generations):
        runs = [net.call("m.md", key=("md", g, i), conf=c) for i, c in enumerate(starts)]
        model = net.call("m.model", key=("model", g), xs=net.collect([r.out.y for r in runs]))
        net.output(model=model.out.seeds)
        starts = await model.out.seeds


@workflow(outputs={"y": Any})
async def wandering(net: Net, late: bool):
    """Declares one call before or after an await."""
    if not late:
        net.call("m.md", key="mover", conf=1)
    early = net.call("m.md", key="early", conf=1)
    await early.out.y
    mover = net.call("m.md", key="mover", conf=1) if late else None
    net.output(y=(mover or early).out.y)


async def chain(net: Net, name: str) -> Any:
    """Three calls one after another."""
    value = 0
    for i in range(3):
        value = await net.call("m.md", key=(name, i), conf=value).out.y
    return value


@workflow(outputs={"y": Any})
async def two_branches(net: Net):
    """Two branches that know nothing of each other."""
    a = net.spawn("a", chain(net, "a"))
    b = net.spawn("b", chain(net, "b"))
    net.output(y=[await a, await b])


@workflow(outputs={"y": Any})
async def shifty(net: Net, kind: str):
    """The same key for different functions."""
    if kind == "md":
        it = net.call("m.md", key="it", conf=1)
    else:
        it = net.call("m.sum", key="it", xs=[1, 2])
    net.output(y=it.out.y)


MOOD: list[str] = []


@workflow(outputs={"y": Any})
async def fickle(net: Net):
    """Looks at something outside: not deterministic."""
    it = net.call("m.md", key="it", conf="".join(MOOD) or "first")
    net.output(y=await it.out.y)


@workflow(outputs={"model": Any})
async def one_chain(net: Net, start: Any):
    """One run and its model."""
    run = net.call("m.md", key="md", conf=start)
    model = net.call("m.model", key="model", xs=[run.out.y])
    net.output(model=(await model.out.seeds)[0])


@workflow(outputs={"total": Any})
async def outer(net: Net, starts: list[Any]):
    """A workflow mapped inside a workflow."""
    inner = net.call("w.one_chain", key="inner", mapped=["start"], start=starts)
    total = net.call("m.sum", key="total", xs=inner.out.model)
    net.output(total=total.out.y)


@workflow(outputs={"y": Any})
async def wrong(net: Net):
    """Calls what nobody has."""
    net.output(y=net.call("m.none", key="x").out.y)


@workflow(outputs={"best": Any, "rest": Any})
async def racing(net: Net, starts: list[Any], at_least: int):
    """Takes the first, and the first few."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    chosen, value = await net.first(*[r.out.y for r in runs])
    del chosen
    enough = net.collect([r.out.y for r in runs], at_least=at_least)
    total = net.call("m.sum", key="total", xs=enough)
    net.output(best=value, rest=total.out.y)


@workflow(outputs={"good": Any})
async def tolerant(net: Net, starts: list[Any]):
    """Goes on with those that did not fail."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    outcomes = await net.settle([r.out.y for r in runs])
    good = [o.value for o in outcomes if o.failure is None]
    total = net.call("m.sum", key="total", xs=good)
    net.output(good=total.out.y)


@workflow(outputs={"order": Any})
async def ordered(net: Net, starts: list[Any]):
    """In the order of completion."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    order = []
    async for _ref, value in net.as_completed([r.out.y for r in runs]):
        order.append(value)
    net.output(order=order)


@workflow(outputs={"last": Any})
async def asynchronous(net: Net, walkers: int, rounds: int):
    """Each walker starts its next run from the newest model, without waiting for the others."""

    async def walk(name: int) -> None:
        conf = name
        for r in range(rounds):
            run = net.call("m.md", key=("run", name, r), conf=conf)
            net.call("m.sum", key=("model", name, r), xs=[run.out.y])
            await run.out.y
            conf = await net.latest(net.call("m.newest", key=("best", name, r), xs=run.out.y).out.y)

    for walker in range(walkers):
        net.spawn(("walker", walker), walk(walker))
    net.output(last=walkers)


@workflow(outputs={"y": Any})
async def single(net: Net, conf: Any):
    """One run, looked at."""
    net.output(y=await net.call("m.md", key="md", conf=conf).out.y)


@workflow(outputs={"y": Any})
async def nested(net: Net, n: int):
    """Workflows inside a workflow."""
    calls = [net.call("w.single", key=("s", i), conf=i) for i in range(n)]
    net.output(y=[c.out.y for c in calls])


@workflow(outputs={"y": Any})
async def twice(net: Net, conf: Any):
    """Two runs, each looked at."""
    seen = await net.call("m.md", key="md", conf=conf).out.y
    net.output(y=await net.call("m.md", key="again", conf=seen).out.y)


@workflow(outputs={"y": Any})
async def some_twice(net: Net, n: int):
    """Workflows inside a workflow, with several answers each."""
    calls = [net.call("w.twice", key=("s", i), conf=i) for i in range(n)]
    net.output(y=[c.out.y for c in calls])


@workflow(outputs={"y": Any})
async def sometimes(net: Net, on: bool):
    """Spawns a branch, or does not."""
    await net.call("m.md", key="before", conf=0).out.y
    other = net.spawn("b", run_of(net, "inside")) if on else None
    seen = await net.call("m.md", key="after", conf=1).out.y
    net.output(y=[seen, await other if other else None])


@workflow(outputs={"y": Any})
async def pair(net: Net, conf: Any):
    """One run after another; nothing is looked at."""
    a = net.call("m.md", key="a", conf=conf)
    net.output(y=net.call("m.md", key="b", conf=a.out.y).out.y)


@workflow(outputs={"y": Any, "z": Any})
async def two_outputs(net: Net):
    """Two runs, each an output."""
    runs = {name: net.call("m.md", key=name, conf=0) for name in ("y", "z")}
    net.output(**{name: run.out.y for name, run in runs.items()})


@workflow(outputs={"y": Any})
async def nested_later(net: Net, conf: Any):
    """A workflow that is declared behind an await."""
    await net.call("m.md", key="first", conf=conf).out.y
    net.output(y=net.call("w.pair", key="inner", conf=1).out.y)


@workflow(outputs={"y": Any})
async def referring(net: Net, how: str):
    """Decides about runs whose inputs change without the evaluation having looked at them."""
    pre = [net.call("m.md", key=("pre", i), conf=i) for i in range(3)]
    refs = [net.call("m.md", key=("run", i), conf=p.out.y).out.y for i, p in enumerate(pre)]
    got: Any = None
    if how == "at_least":
        got = await net.collect(refs, at_least=2)
    elif how == "first":
        got = [(await net.first(*refs))[1]]
    elif how == "settle":
        got = ["failed" if o.failure else o.value for o in await net.settle(refs)]
    if got is None:
        net.output(y=net.collect(refs, at_least=2))
    else:
        net.output(y=net.call("m.sum", key="end", xs=got).out.y)


@workflow(outputs={"y": Any})
async def connected(net: Net, kind: str):
    """A key that changes its function, and something connected to it."""
    if kind == "md":
        it = net.call("m.md", key="it", conf=1)
    else:
        it = net.call("m.sum", key="it", xs=[1, 2])
    net.output(y=net.call("m.md", key="below", conf=it.out.y).out.y)


async def run_of(net: Net, name: str) -> Any:
    """One run in a branch."""
    return await net.call("m.md", key=name, conf=0).out.y


@workflow(outputs={"y": Any})
async def joining(net: Net):
    """Goes on with what a branch has seen."""
    seen = await net.spawn("a", run_of(net, "a"))
    next_one = await net.call("m.md", key="c", conf=seen).out.y
    net.output(y=net.call("m.md", key="d", conf=next_one).out.y)


@workflow(outputs={"y": Any})
async def halves(net: Net, starts: list[Any]):
    """Half of what there is, if there is anything."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    enough = net.collect([r.out.y for r in runs], at_least=0.5)
    net.output(y=net.call("m.sum", key="total", xs=enough).out.y)


@workflow(outputs={"seen": Any, "y": Any})
async def peeking(net: Net):
    """Looks at a run while it runs, and begins another from there."""
    run = net.call("m.md", key="run", conf=1)
    seen = await net.peek(run.out.y)
    other = net.call("m.md", key="other", conf=seen)
    net.output(seen=seen, y=other.out.y)


@workflow(outputs={"y": Any, "all": Any})
async def inner_run(net: Net, conf: Any):
    """A run inside, given out as it is."""
    run = net.call("m.md", key="run", conf=conf)
    net.output(y=run.out.y)


@workflow(outputs={"y": Any, "late": Any})
async def quorum(net: Net, starts: list[Any], at_least: int):
    """The first few, and beside it what came too late for them."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    enough = net.collect([r.out.y for r in runs], at_least=at_least)
    total = net.call("m.sum", key="total", xs=enough)
    late = net.call("m.newest", key="late", xs=enough.late)
    net.output(y=total.out.y, late=late.out.y)


@workflow(outputs={"y": Any})
async def forgiving(net: Net, starts: list[Any], tolerate: Any):
    """All of them, but for a few that may fail."""
    runs = [net.call("m.md", key=("md", i), conf=c) for i, c in enumerate(starts)]
    good = net.collect([r.out.y for r in runs], tolerate=tolerate)
    net.output(y=net.call("m.sum", key="total", xs=await good).out.y)


@workflow(outputs={"y": Final[Any]})
async def at_the_end(net: Net, n: int):
    """An output that is set only at the end."""
    for i in range(n):
        run = net.call("m.md", key=i, conf=i)
        net.output(y=run.out.y)
        await run.out.y


@workflow(outputs={"y": Any})
async def bound_later(net: Net):
    """An output that is a run which has long begun."""
    run = net.call("m.md", key="run", conf=0)
    await net.call("m.md", key="first", conf=1).out.y
    net.output(y=run.out.y)


@workflow(outputs={"y": Any})
async def following(net: Net, conf: Latest[Any]):
    """Takes the newest there is of its input."""
    net.output(y=await net.call("m.md", key="md", conf=conf).out.y)


FUNCTIONS = [
    adaptive,
    wandering,
    two_branches,
    shifty,
    fickle,
    one_chain,
    outer,
    wrong,
    racing,
    tolerant,
    ordered,
    asynchronous,
    single,
    nested,
    twice,
    some_twice,
    sometimes,
    pair,
    two_outputs,
    nested_later,
    referring,
    connected,
    joining,
    halves,
    peeking,
    inner_run,
    quorum,
    forgiving,
    at_the_end,
    bound_later,
    following,
]
MODULE = Module("w", version="1", functions=FUNCTIONS)
GUIDE: dict[str, Any] = {f.body.__name__: f for f in FUNCTIONS} | {"mood": MOOD}


def world(function: Any, **inputs: Any) -> World:
    """A project with one workflow instance, named by the first letters of its function."""
    w = World(*SPECS, workflows={f.body.__name__: f for f in FUNCTIONS})
    name = function.body.__name__
    w.add("ad" if name == "adaptive" else name[:3], f"w.{name}", **inputs)
    return w
