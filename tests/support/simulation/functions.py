"""What the simulated projects are made of, and what its jobs give: pure functions of inputs."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from copernicus.model.jobs import Command
from copernicus.registry import Discovery
from copernicus.sdk import (
    Checkpoint,
    Line,
    Module,
    Net,
    Number,
    Output,
    Resources,
    RetryPolicy,
    place,
    program,
    task,
    workflow,
)

PROGRAM = "sim"
FORGED = "FORGED"
_PATIENT = RetryPolicy(job_errors=20, worker_losses=200)


def _command(n: int, priority: int = 0, **inputs: Any) -> Command:
    return Command(
        lines=(Line(("{program}",)),),
        files=(place("inputs.json", json.dumps({"n": n, **inputs}, sort_keys=True)),),
        outputs=(
            Output("y", "json", "y.json", partial=True),
            Output("by", "text", "by"),
            Output("file", pattern="file"),
        ),
        checkpoint=Checkpoint(("c",), ("c",), Number("c", r"(\d+)"), limit=n),
        resources=Resources(priority=priority),
    )


@program(
    PROGRAM,
    outputs={"y": Any, "by": str, "file": Any},
    on_change={"n": "extend"},
    retry=_PATIENT,
)
def run(conf: Any, n: int = 10, priority: int = 0) -> Command:
    """Takes n steps; more of them continue what there is."""
    return _command(n, priority, conf=conf)


@program(
    PROGRAM,
    outputs={"y": Any, "by": str, "file": Any},
    on_change={"conf": "cancel"},
    retry=RetryPolicy(job_errors=2, worker_losses=3),
    resources=Resources(cores=2),
)
def touchy(conf: Any, n: int = 10) -> Command:
    """Is stopped when its input changes; gives up soon."""
    return _command(n, conf=conf)


@task(outputs={"y": Any, "by": str}, retry=_PATIENT)
def short(x: Any) -> dict[str, Any]:
    """Has no checkpoints."""
    return {"x": x}


@task(outputs={"seeds": Any, "by": str}, retry=_PATIENT)
def model(xs: list[Any]) -> dict[str, Any]:
    """Proposes where to start from next."""
    return {"xs": xs}


@workflow(outputs={"model": Any})
async def adaptive(net: Net, starts: list[Any], generations: int) -> None:
    """Generations of runs, each from what the model of the last one proposes."""
    for g in range(generations):
        runs = [net.call("s.run", key=("run", g, i), conf=c, n=8) for i, c in enumerate(starts)]
        made = net.call("s.model", key=("model", g), xs=net.collect([r.out.y for r in runs]))
        net.output(model=made.out.seeds)
        starts = await made.out.seeds


@workflow(outputs={"best": Any, "y": Any})
async def racing(net: Net, starts: list[Any]) -> None:
    """Goes on with the first; tolerates failures."""
    runs = [net.call("s.touchy", key=i, conf=c) for i, c in enumerate(starts)]
    _, value = await net.first(*[r.out.y for r in runs])
    again = net.call("s.run", key="again", conf=value)
    outcomes = await net.settle([r.out.y for r in runs])
    net.output(best=again.out.y, y=[o.value for o in outcomes if o.failure is None])


MODULE = Module("s", "1", [run, touchy, short, model, adaptive, racing])
DISCOVERY = Discovery({"s": MODULE}, {})


def compute(function: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a job must give, whoever runs it and how often it was begun."""
    known = {name: value for name, value in inputs.items() if name != "priority"}
    mark = crc32(json.dumps(known, sort_keys=True).encode())
    if function == "s.model":
        return {"seeds": [(mark + i) % 7 for i in range(2)]}
    return {"y": mark % 1000}
