"""How fast a system runs with a number of cores: measured by ``gmx mdrun`` itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from copernicus.errors import BadValue
from copernicus.modules.gromacs.common import ENVIRONMENT, VERSIONS, gmx
from copernicus.modules.gromacs.messages import MDRUN
from copernicus.sdk import Command, Done, File, Output, Resources, Unit, place, program, task

_RATE = r"(?m)^Performance:\s+([\d.eE+-]+)"
_LOG = "bench.log"


@dataclass(frozen=True)
class Benchmarked:
    """What a benchmark gives.

    Attributes:
        rate: How fast it was.
        log: The log of the run.
    """

    rate: Annotated[float, Unit("ns/day")]
    log: File


@program("gromacs", VERSIONS, outputs=Benchmarked, stochastic=True)
def benchmark(tpr: File, cores: int = 1, nsteps: int = 5000, labels: str = "") -> Command:
    """Run a system for a short while with so many cores. Map it over cores to compare.

    Args:
        tpr: Run input file.
        cores: How many cores it gets.
        nsteps: Length of the run; the first half of it is not counted.
        labels: On which workers: an expression over their labels.
    """
    if cores < 1 or nsteps < 100:
        raise BadValue(f"cores is {cores} and nsteps {nsteps}: at least 1, and 100")
    run = gmx(
        *("mdrun", "-s", "topol.tpr", "-deffnm", "bench", "-nsteps", str(nsteps)),
        *("-resethway", "-noconfout", "-ntmpi", "1", "-ntomp", "{cores}"),
        *("-pin", "off", "-nb", "cpu"),
    )
    return Command(
        lines=(run,),
        outputs=(
            Output("rate", "number", _LOG, regex=_RATE),
            Output("log", pattern=_LOG),
        ),
        files=(place("topol.tpr", tpr),),
        done_when=Done(files=(_LOG,), fatal=MDRUN),
        environment=ENVIRONMENT,
        resources=Resources(cores=cores, labels=labels),
    )


@dataclass(frozen=True)
class Tuned:
    """What benchmarks tell.

    Attributes:
        cores: The most cores that are still used well.
        fastest: The number of cores with the highest rate.
    """

    cores: int
    fastest: int


@task
def tune(
    cores: list[int], rates: Annotated[list[float], Unit("ns/day")], efficient: float = 0.8
) -> Tuned:
    """Choose the number of cores for a system from benchmarks with several.

    Args:
        cores: How many cores each benchmark had.
        rates: How fast each was.
        efficient: The part of the best rate per core that must be kept.
    """
    if not rates or len(cores) != len(rates) or min(cores) < 1:
        raise BadValue(
            f"{len(cores)} numbers of cores and {len(rates)} rates: give one rate for each, and "
            "one number at least"
        )
    measured = dict(zip(cores, rates, strict=True))
    best = max(rate / number for number, rate in measured.items())
    kept = max(number for number, rate in measured.items() if rate / number >= efficient * best)
    return Tuned(kept, min(measured, key=lambda number: (-measured[number], number)))
