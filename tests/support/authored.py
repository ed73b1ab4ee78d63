"""A module as an author writes it, with workflow functions that are wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.sdk import (
    Command,
    File,
    Line,
    Module,
    Net,
    Output,
    current_task,
    place,
    program,
    task,
    workflow,
)


@dataclass(frozen=True)
class Mean:
    """A mean.

    Attributes:
        value: The mean.
        files: How many files were read.
    """

    value: float
    files: int


@program("counter", outputs={"numbers": File, "count": int})
def count(start: File, to: int = 3) -> Command:
    """Count."""
    return Command(
        lines=(Line(("{program}", "count.sh", "start.txt", str(to)), stdout="numbers.txt"),),
        files=(
            place("start.txt", start),
            place("count.sh", 'cat $1; for i in $(seq $2); do echo $i; done; echo "done $2" >&2\n'),
        ),
        outputs=(
            Output("numbers", pattern="numbers.txt"),
            Output("count", how="number", pattern="job.log", regex=r"done (\d+)"),
        ),
    )


@program("counter", outputs={"never": File})
def broken() -> Command:
    """Fail."""
    return Command(
        lines=(Line(("{program}", "-c", "echo it hurts >&2; exit 3")),),
        outputs=(Output("never", pattern="never"),),
    )


@program("counter", outputs={})
def endless() -> Command:
    """Sleep."""
    return Command(lines=(Line(("{program}", "-c", "sleep 60")),))


@task
def mean(files: list[File]) -> Mean:
    """The mean of the numbers in files."""
    numbers = [float(line) for file in files for line in file.path.read_text().split()]
    (current_task().folder / "seen.txt").write_text(str(len(numbers)))
    return Mean(sum(numbers) / len(numbers), len(files))


@task
def report(value: float) -> File:
    """Write it down."""
    path = current_task().folder / "report.txt"
    path.write_text(f"{value:g}")
    return File.new(path)


@task
def refuse(value: float) -> float:
    """Refuse what is too much."""
    if value > 1:
        raise ValueError(f"{value} is too much")
    return value


@workflow(outputs={"mean": float, "report": File, "rounds": int})
async def grow(net: Net, start: File, least: float) -> None:
    """Count further until the mean is large enough."""
    runs = []
    for r in range(10):
        runs.append(net.call(count, key=("count", r), start=net.inputs.start, to=r + 1))
        found = net.call(mean, key=("mean", r), files=net.collect(run.out.numbers for run in runs))
        net.output(mean=found.out.value, rounds=r + 1)
        if await found.out.value >= least:
            break
    net.output(report=net.call(report, key="report", value=found.out.value).out.result)


@workflow(outputs={"last": float})
async def branches(net: Net, start: File) -> None:
    """Two branches, each with its own state, and a race between them."""

    async def one(key: str) -> float:
        total = 0.0
        for i in range(3):
            run = net.call(count, key=(key, i), start=net.inputs.start, to=i + 1)
            total += await run.out.count
        return total

    spawned = [net.spawn(key, one(key)) for key in ("a", "b")]
    net.output(last=sum([await branch for branch in spawned]))


@workflow(outputs={})
async def shared(net: Net, start: File) -> None:
    """Two branches that write to one list: an author's error."""
    seen: list[int] = []

    async def one(key: str) -> None:
        for i in range(2):
            run = net.call(count, key=(key, i), start=net.inputs.start, to=len(seen) + 1)
            seen.append(await run.out.count)

    for branch in [net.spawn(key, one(key)) for key in ("a", "b")]:
        await branch


@workflow(outputs={})
async def hashed(net: Net, start: File) -> None:
    """Declares in the order of a set: an author's error."""
    names = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}
    for i, name in enumerate(names):
        net.call(count, key=(name, i), start=net.inputs.start)


@workflow(outputs={"good": int})
async def tolerant(net: Net, values: list[float]) -> None:
    """Goes on without what has failed."""
    calls = [net.call(refuse, key=i, value=value) for i, value in enumerate(values)]
    outcomes = await net.settle([call.out.result for call in calls])
    net.output(good=sum(outcome.failure is None for outcome in outcomes))


CALLS: list[int] = []


@workflow(outputs={})
async def remembers(net: Net, start: File) -> None:
    """Keeps state outside: an author's error."""
    CALLS.append(1)
    net.call(count, key="x", start=net.inputs.start, to=len(CALLS))


FUNCTIONS = (count, broken, endless, mean, report, refuse, grow)
FUNCTIONS += (tolerant, branches, shared, hashed, remembers)  # type: ignore[assignment]
module = Module("authored", "1.0", FUNCTIONS)
