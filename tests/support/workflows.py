"""Workflow functions for the tests of the engine's rules."""

from __future__ import annotations

from typing import Any

from copernicus.model.functions import Port
from copernicus.model.types import AnyType, ListType
from copernicus.sdk import Module, Net, workflow
from support.world import World, task_spec

SPECS = (
    task_spec("m.md", "conf"),
    task_spec("m.model", [Port("xs", ListType(AnyType()))], "seeds"),
    task_spec("m.sum", [Port("xs", ListType(AnyType()))]),
    task_spec("m.newest", [Port("xs", AnyType(), latest=True)]),
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
]
MODULE = Module("w", version="1", functions=FUNCTIONS)
GUIDE: dict[str, Any] = {f.body.__name__: f for f in FUNCTIONS} | {"mood": MOOD}


def world(function: Any, **inputs: Any) -> World:
    """A project with one workflow instance, named by the first letters of its function."""
    w = World(*SPECS, workflows={f.body.__name__: f for f in FUNCTIONS})
    name = function.body.__name__
    w.add("ad" if name == "adaptive" else name[:3], f"w.{name}", **inputs)
    return w
