"""The cases of SEMANTICS.md sections 4, 5 and 6, by their numbers."""

from typing import Any

from copernicus.model.functions import Port
from copernicus.model.types import AnyType, ListType
from copernicus.sdk import Module, Net, workflow
from support.world import World, task_spec

MD = task_spec("m.md", "conf")
MODEL = task_spec("m.model", [Port("xs", ListType(AnyType()))], "seeds")
SUM = task_spec("m.sum", [Port("xs", ListType(AnyType()))])


@workflow(outputs={"model": Any})
async def adaptive(net: Net, starts: list[Any], generations: int):
    """Generations of runs, each from what the model of the last one proposes."""
    for g in range(generations):
        runs = [net.call("m.md", key=("md", g, i), conf=c) for i, c in enumerate(starts)]
        model = net.call("m.model", key=("model", g), xs=net.collect([r.out.y for r in runs]))
        net.output(model=model.out.seeds)
        starts = await model.out.seeds


MODULE = Module("w", version="1", functions=[adaptive])


def compute(function: str, inputs: dict[str, Any]) -> Any:
    if function == "m.md":
        return inputs["conf"] + 1
    if function == "m.model":
        return {"seeds": [x * 10 for x in inputs["xs"]]}
    return sum(inputs["xs"])


def world(generations: int = 3) -> World:
    w = World(MD, MODEL, SUM, workflows={"adaptive": adaptive})
    w.add("ad", "w.adaptive", starts=[1, 2], generations=generations)
    return w


def test_adaptive_runs_to_its_end():
    w = world()
    w.work(compute)
    assert w.status("ad") == "done", w.state.instances["ad"].elements[""].evaluation
    assert w.value("ad.out.model") == [
        ((1 + 1) * 10 + 1) * 10 * 10 + 10,
        ((2 + 1) * 10 + 1) * 100 + 10,
    ]
    w.check()
