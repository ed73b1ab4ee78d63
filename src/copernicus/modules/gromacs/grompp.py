"""``gromacs.grompp``: from coordinates, topology and parameters to a run input file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from copernicus.errors import BadValue
from copernicus.modules.gromacs.common import (
    ENVIRONMENT,
    STRUCTURES,
    TRAJECTORIES,
    VERSIONS,
    gmx,
    put,
)
from copernicus.modules.gromacs.messages import GROMPP
from copernicus.sdk import Command, Done, File, Output, Placed, place, program

_OWN = ("topol.top", "grompp.mdp", "index.ndx", "topol.tpr", "mdout.mdp", "job.log")


@dataclass(frozen=True)
class Prepared:
    """What grompp makes.

    Attributes:
        tpr: The run input file.
        mdout: All parameters as GROMACS understood them, those with default values too.
        log: What grompp said: notes and warnings are worth reading.
    """

    tpr: File
    mdout: File
    log: str


@program("gromacs", VERSIONS, outputs=Prepared)
def grompp(
    conf: File,
    top: File,
    mdp: File,
    include: list[File] | None = None,
    ndx: File | None = None,
    ref: File | None = None,
    state: File | None = None,
    maxwarn: int = 0,
) -> Command:
    """Make a run input file (tpr) with ``gmx grompp``.

    What grompp objects to is the reason of the failure: its first error, or its first warning if
    there are more than ``maxwarn``.

    Args:
        conf: Starting structure (gro, g96, pdb).
        top: Topology.
        mdp: Parameters.
        include: Files that the topology includes, by their own names (itp, posre.itp, ...).
        ndx: Index groups.
        ref: Reference structure for position restraints.
        state: Full-precision coordinates and velocities to start from (cpt, trr).
        maxwarn: How many warnings are accepted.
    """
    if maxwarn < 0:
        raise BadValue(f"maxwarn is {maxwarn}: it must be 0 or more")
    files = [put("conf", conf, STRUCTURES), place("topol.top", top), place("grompp.mdp", mdp)]
    argv = ["-f", "grompp.mdp", "-c", files[0].path, "-p", "topol.top"]
    argv += ["-o", "topol.tpr", "-po", "mdout.mdp", "-maxwarn", str(maxwarn)]
    for option, stem, file, known in (
        ("-n", "index", ndx, (".ndx",)),
        ("-r", "ref", ref, STRUCTURES),
        ("-t", "state", state, TRAJECTORIES),
    ):
        if file is not None:
            files.append(put(stem, file, known))
            argv += [option, files[-1].path]
    files += _included(include or [], {placed.path for placed in files} | set(_OWN))
    return Command(
        lines=(gmx("grompp", *argv),),
        outputs=(
            Output("tpr", pattern="topol.tpr"),
            Output("mdout", pattern="mdout.mdp"),
            Output("log", "text", "job.log"),
        ),
        files=tuple(files),
        done_when=Done(files=("topol.tpr",), fatal=GROMPP),
        environment=ENVIRONMENT,
    )


def _included(include: list[File], taken: set[str]) -> list[Placed]:
    placed = []
    for file in include:
        name = PurePosixPath(file.name).name
        if name in taken:
            raise BadValue(
                f"include: {name!r} is there already: give every included file a name of its own, "
                f"and none of {', '.join(sorted(taken))}"
            )
        taken.add(name)
        placed.append(place(name, file))
    return placed
