"""Tools on what simulations have written: cut, convert, join, and read energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from copernicus.errors import BadValue
from copernicus.modules.gromacs.common import (
    ENVIRONMENT,
    STRUCTURES,
    TRAJECTORIES,
    VERSIONS,
    answer,
    gmx,
    put,
    put_all,
)
from copernicus.modules.gromacs.messages import ANY, ENERGY, TRJCONV
from copernicus.sdk import Command, Done, File, Output, Unit, place, program

Picoseconds = Annotated[float, Unit("ps")]


@dataclass(frozen=True)
class Trajectory:
    """A trajectory, or one frame of it.

    Attributes:
        trajectory: The new file.
    """

    trajectory: File


@dataclass(frozen=True)
class Energies:
    """Energies over time.

    Attributes:
        xvg: Time (ps) and the chosen terms (kJ/mol); gromacs.read_xvg gives them as numbers.
        averages: Average, error estimate, fluctuation and drift of every term, as a text.
    """

    xvg: File
    averages: str


@dataclass(frozen=True)
class JoinedEnergies:
    """Joined energies.

    Attributes:
        edr: The new file.
    """

    edr: File


@program("gromacs", VERSIONS, outputs=Trajectory)
def trjconv(
    trajectory: File,
    tpr: File,
    group: str = "System",
    center: str | None = None,
    pbc: Literal["none", "mol", "res", "atom", "nojump", "cluster", "whole"] = "none",
    start: Picoseconds | None = None,
    end: Picoseconds | None = None,
    every: Picoseconds | None = None,
    dump: Picoseconds | None = None,
    format: Literal["xtc", "trr", "gro", "g96", "pdb"] = "xtc",  # noqa: A002 - the port's name
    ndx: File | None = None,
) -> Command:
    """Cut, thin, centre or convert a trajectory, or take one frame out, with ``gmx trjconv``.

    Args:
        trajectory: What is read (xtc, trr, ...).
        tpr: Run input file of the simulation.
        group: The atoms that are written, an index group.
        center: The index group that is put into the middle of the box.
        pbc: How periodic boundaries are treated.
        start: Frames before this time are left out.
        end: Frames after this time are left out.
        every: Only frames at multiples of this time are kept.
        dump: Only the frame nearest to this time is taken (with format gro: a new start).
        format: Format of the result.
        ndx: Index groups of your own.
    """
    source = put("in", trajectory, TRAJECTORIES)
    files = [source, put("topol", tpr, STRUCTURES)]
    argv = ["-f", source.path, "-s", files[1].path, "-o", f"out.{format}", "-pbc", pbc]
    for option, time in (("-b", start), ("-e", end), ("-dt", every), ("-dump", dump)):
        if time is not None:
            argv += [option, repr(float(time))]
    if ndx is not None:
        files.append(place("index.ndx", ndx))
        argv += ["-n", "index.ndx"]
    groups = [answer(group, "group")]
    if center is not None:
        argv.append("-center")
        groups.insert(0, answer(center, "center"))
    if pbc == "cluster":
        groups.insert(0, groups[0])
    return Command(
        lines=(gmx("trjconv", *argv, stdin="".join(f"{name}\n" for name in groups)),),
        outputs=(Output("trajectory", pattern=f"out.{format}", name=_named(format, dump)),),
        files=tuple(files),
        done_when=Done(files=(f"out.{format}",), fatal=TRJCONV),
        environment=ENVIRONMENT,
    )


def _named(ending: str, dump: float | None) -> str:
    return f"{'traj' if dump is None else 'frame'}.{ending}"


@program("gromacs", VERSIONS, outputs=Trajectory)
def trjcat(trajectories: list[File], format: Literal["xtc", "trr"] = "xtc") -> Command:  # noqa: A002
    """Join trajectories by time with ``gmx trjcat``; of double times the later file counts.

    Args:
        trajectories: What is joined (xtc, trr), all of the same atoms.
        format: Format of the result.
    """
    files = put_all("in", trajectories, TRAJECTORIES, "trajectories")
    names = [file.path for file in files]
    return Command(
        lines=(gmx("trjcat", "-f", *names, "-o", f"whole.{format}"),),
        outputs=(Output("trajectory", pattern=f"whole.{format}", name=f"traj.{format}"),),
        files=tuple(files),
        done_when=Done(files=(f"whole.{format}",), fatal=ANY),
        environment=ENVIRONMENT,
    )


@program("gromacs", VERSIONS, outputs=JoinedEnergies)
def eneconv(energies: list[File]) -> Command:
    """Join energy files by time with ``gmx eneconv``; of double times the later file counts.

    Args:
        energies: What is joined (edr).
    """
    files = put_all("in", energies, (".edr",), "energies")
    names = [file.path for file in files]
    return Command(
        lines=(gmx("eneconv", "-f", *names, "-o", "whole.edr"),),
        outputs=(Output("edr", pattern="whole.edr", name="ener.edr"),),
        files=tuple(files),
        done_when=Done(files=("whole.edr",), fatal=ANY),
        environment=ENVIRONMENT,
    )


@program("gromacs", VERSIONS, outputs=Energies)
def energy(
    edr: File,
    terms: list[str],
    start: Picoseconds | None = None,
    end: Picoseconds | None = None,
) -> Command:
    """Read energies with ``gmx energy``.

    Args:
        edr: Energy file.
        terms: Names as GROMACS lists them: Potential, Total Energy, Temperature, ...
        start: Frames before this time are left out.
        end: Frames after this time are left out.
    """
    if not terms:
        raise BadValue("terms is empty: name at least one, for example Potential")
    # A selection is made of words: names with spaces are written with dashes.
    names = [answer(term, "terms").replace(" ", "-") for term in terms]
    argv = ["-f", "ener.edr", "-o", "energy.xvg"]
    for option, time in (("-b", start), ("-e", end)):
        if time is not None:
            argv += [option, repr(float(time))]
    asked = "".join(f"{name}\n" for name in names) + "\n"
    return Command(
        lines=(gmx("energy", *argv, stdin=asked, stdout="averages.txt"),),
        outputs=(
            Output("xvg", pattern="energy.xvg"),
            Output("averages", "text", "averages.txt"),
        ),
        files=(put("ener", edr, (".edr",)),),
        done_when=Done(files=("energy.xvg",), fatal=ENERGY),
        environment=ENVIRONMENT,
    )
