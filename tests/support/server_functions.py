"""A module for servers under test: a loop that looks at values, and functions that misbehave."""

from __future__ import annotations

import os
import time

from copernicus.sdk import Command, Line, Module, Net, Output, program, task, workflow


@task(outputs={"y": int})
def plus(x: int) -> int:
    return x + 1


@workflow(outputs={"total": int})
async def count(net: Net, n: int):
    """Adds one, n times, looking at every sum."""
    value = 0
    for i in range(n):
        step = net.call(plus, key=("plus", i), x=value)
        value = await step.out.y
    net.output(total=step.out.y)


@program("echo", outputs={"said": str})
def shout(text: str) -> Command:
    """Describes a job, or breaks its evaluator, as the text says."""
    if text == "crash":
        os._exit(9)
    if text == "hang":
        time.sleep(3600)
    if text == "raise":
        raise ValueError("no such text")
    return Command(
        lines=(Line(("{program}", text.upper()), stdout="out.txt"),),
        outputs=(Output("said", "text", "out.txt"),),
    )


@workflow(outputs={"y": int})
async def fatal(net: Net, how: str):
    """Ends or hangs the process that evaluates it."""
    if how == "crash":
        os._exit(9)
    while True:
        pass


module = Module("counting", "1.0", [plus, count, shout, fatal])
