"""A small module as a stranger would write it: every kind of function, good ones and bad ones."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from copernicus.sdk import (
    Command,
    File,
    Files,
    Final,
    Latest,
    Line,
    Module,
    Net,
    Output,
    Unit,
    current_task,
    place,
    program,
    report_progress,
    task,
    workflow,
)


@program(
    "fakemd", ">=2020", outputs={"xtc": File, "log": File | None}, on_change={"nsteps": "extend"}
)
def simulate(
    conf: File,
    seed: int,
    nsteps: int = 1000,
    temperature: Annotated[float, Unit("K")] = 300,
    ensemble: Literal["nvt", "npt"] = "nvt",
) -> Command:
    """Run a simulation.

    It is not a real one.

    Args:
        conf: Where it starts,
            with velocities.
        seed: Of the velocities.

    Outputs:
        xtc: The trajectory.
    """
    print("describing")
    if nsteps < 0:
        raise ValueError(f"nsteps is {nsteps}")
    if nsteps == 13:
        return None  # type: ignore[return-value]
    return Command(
        lines=(Line(("{program}", "-n", str(nsteps), "-t", f"{temperature:g}")),),
        files=(place("conf.gro", conf), place("seed.txt", f"{seed}")),
        outputs=(Output("xtc", pattern="*.xtc"),),
    )


@dataclass(frozen=True)
class Seed:
    """Where to go on."""

    conf: File
    weight: float = 1.0


@dataclass(frozen=True)
class Model:
    """A model of what was sampled.

    Attributes:
        count: How many frames.
        seeds: Where to go on.
        table: All of them.
    """

    count: int
    seeds: list[Seed]
    table: File | None


@task(cache=True)
def build(trajs: Files, lag: int = 1, weights: dict[str, float] | None = None) -> Model:
    """Build a model."""
    report_progress(1, 2, unit="files")
    text = "".join(file.path.read_text() for file in trajs)
    table = current_task().folder / "table.txt"
    table.write_text(text)
    seeds = [Seed(file, (weights or {}).get(file.name, 0.5)) for file in trajs]
    return Model(len(text) * lag, seeds, File.new(table, "all.txt"))


@task
def score(model: Seed, options: Any = None) -> float:
    return model.weight


@task(outputs={"total": int, "parts": list[int]})
def add(values: Latest[list[int]]) -> dict[str, Any]:
    return {"total": sum(values), "parts": values}


@task
def careless(how: str) -> File:
    path = current_task().folder / "gone.txt"
    returned: dict[str, Any] = {"type": 3, "unwritten": path, "none": None}
    return returned[how]


@task(outputs={"a": int, "b": int})
def forgetful(how: str) -> Any:
    return {"unknown": {"a": 1, "b": 2, "other": 3}, "missing": {"a": 1}, "list": [1, 2]}[how]


@dataclass(frozen=True)
class Found:
    """What the sampling gives."""

    table: File
    last: Final[File]


@workflow(outputs=Found)
async def adaptive(net: Net, starts: Files, generations: int = 2) -> None:
    """Sample where little is known."""
    print("evaluating")
    for g in range(generations):
        runs = [
            net.call(simulate, key=("md", g, i), conf=start, seed=net.seed("md", g, i))
            for i, start in enumerate(starts)
        ]
        model = net.call(build, key=("msm", g), trajs=net.collect(r.out.xtc for r in runs))
        net.output(table=model.out.table)
        seeds = await model.out.seeds
        starts = [seed["conf"] for seed in seeds]
    net.output(last=model.out.table)


@workflow(outputs={"result": Any})
async def broken(net: Net, how: str) -> dict[str, Any]:
    if how == "twice":
        net.call(add, key="a", values=[1])
        net.call(add, key="a", values=[2])
    if how == "foreign":
        await asyncio.sleep(0)
    if how == "crash":
        os._exit(9)
    if how == "hang":
        while True:
            pass
    if how == "memory":
        return {"result": "x" * 2**34}
    if how == "print":
        os.write(1, b"straight to the descriptor")
        return {"result": 1}
    raise RuntimeError(how)


module = Module(
    "toy",
    "1.2",
    [simulate, build, score, add, careless, forgetful, adaptive, broken],
    doc="A toy.",
)
