"""``gromacs.mdrun``: simulations that can be stopped, moved, continued and extended.

Every attempt writes files of its own (``-noappend``: ``md.part0002.xtc``, numbered by GROMACS
from the checkpoint), so a checkpoint and the parts before it are all that travels. A part that an
attempt had begun after the checkpoint it left is written anew by the next one, under the same
number. When the last step is reached the parts are joined; frames that two parts have are taken
from the later one, since the earlier went on beyond the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from copernicus.errors import BadValue
from copernicus.modules.gromacs.common import ENVIRONMENT, VERSIONS, gmx
from copernicus.modules.gromacs.messages import DAMAGED, MDRUN
from copernicus.sdk import (
    Checkpoint,
    Command,
    Done,
    File,
    Join,
    Line,
    Number,
    Output,
    Progress,
    Resources,
    Series,
    Unit,
    place,
    program,
)

LOGS = "md.part*.log"
STRUCTURE = "md.part*.gro"
STATE = "md.cpt"
# What mdrun keeps of the checkpoint before the last one.
SPARE = "md_prev.cpt"
PARTS = tuple(f"md.part*.{ending}" for ending in ("xtc", "trr", "edr", "log", "xvg"))

# The log of a part names the step that it starts from, and every checkpoint. Its "Statistics over
# N steps" counts the steps of that part only.
STEP = r"(?:^Writing checkpoint, step |^  step: +)(\d+)"

_MINIMISED = (
    r"^(?:Steepest Descents|Polak-Ribiere Conjugate Gradients|Low-Memory BFGS Minimizer) "
    r"(?:converged|did not converge)"
)
# A minimisation writes no checkpoints; once it says how it ended, its nsteps counts as reached.
REACHED = (
    r"(?:^Writing checkpoint, step |^  step: +|^ +nsteps += (?=\d+$[\s\S]*"
    + _MINIMISED
    + r"))(\d+)"
)
FINISHED = r"^Finished mdrun on rank (\d+)"

PROGRESS = (
    r"^ +dt += (?P<per_step>[\d.eE+-]+)$"
    r"|^ +nsteps += (?P<total>\d+)$"
    r"|(?:^ +Step +Time\n +|^Writing checkpoint, step |^  step: +)(?P<step>\d+)"
    r"|^Performance: +(?P<rate>[\d.]+)"
)

# The averages at the end have another heading, which no "Step Time" stands above.
ENERGIES = (
    r"^ +Step +Time\n +(?P<step>\d+) +(?P<time>\S+)\n(?:(?! +Step +Time\n).*\n){0,12}?"
    r" +Energies \(kJ/mol\)\n(?P<block>(?:.+\n)+)\n"
)
_UNITS = {
    "time": "ps",
    "Potential": "kJ/mol",
    "Kinetic En.": "kJ/mol",
    "Total Energy": "kJ/mol",
    "Temperature": "K",
}

# From picoseconds per second to nanoseconds per day.
_NS_PER_DAY = 86400 / 1000

_WRITE_MIN = 1.0


@dataclass(frozen=True)
class Simulated:
    """What mdrun makes.

    Attributes:
        conf: Final structure (gro).
        xtc: Compressed trajectory, joined; of a run that writes none, its final structure alone.
        trr: Full-precision trajectory in the parts that attempts wrote; gromacs.trjcat joins them.
        edr: Energies, joined.
        dhdl: Free energy derivatives (dhdl) in parts; gromacs.join_xvg joins them.
        logs: The log of every part.
        cpt: The last state, to go on from elsewhere (grompp's state); none of a minimisation.
    """

    conf: File
    xtc: File
    trr: list[File]
    edr: File
    dhdl: list[File]
    logs: list[File]
    cpt: File | None


@program(
    "gromacs",
    VERSIONS,
    outputs=Simulated,
    on_change={
        "nsteps": "extend",
        "cores": "extend",
        "max_cores": "extend",
        "gpus": "extend",
        "checkpoint_every": "extend",
    },
)
def mdrun(
    tpr: File,
    nsteps: int | None = None,
    cores: int = 1,
    gpus: int = 0,
    checkpoint_every: Annotated[float, Unit("min")] = 5.0,
    max_cores: int | None = None,
) -> Command:
    """Run a simulation or an energy minimisation with ``gmx mdrun``.

    It goes on from its last checkpoint on any worker. Raising nsteps continues it, also when it
    was finished. It is complete when the final structure is there and the last step is reached;
    exit codes are only hints.

    Args:
        tpr: Run input file.
        nsteps: Length of the run in steps from its start, instead of what the tpr says.
        cores: How many cores it uses.
        gpus: How many GPUs it uses.
        checkpoint_every: How often its state is taken to the server, in minutes.
        max_cores: It may use up to so many: where others are idle, or as measured rates decide.
    """
    _check(nsteps, cores, gpus, checkpoint_every)
    if max_cores is not None and max_cores < cores:
        raise BadValue(f"max_cores is {max_cores}: it must be {cores} (cores) or more")
    write_every = min(_WRITE_MIN, checkpoint_every)
    return Command(
        lines=(*_running(nsteps, gpus, write_every), *_joining()),
        outputs=_outputs(),
        files=(place("topol.tpr", tpr),),
        checkpoint=Checkpoint(
            files=(STATE, SPARE, *PARTS),
            required=(STATE,),
            step=Number(LOGS, STEP),
            limit=nsteps,
            interval_s=60 * checkpoint_every,
            growing=PARTS,
            damaged=DAMAGED,
            spares={STATE: SPARE},
        ),
        series=(Series("energies", LOGS, ENERGIES, units=_UNITS),),
        progress=Progress(LOGS, PROGRESS, total=nsteps, unit="ns/day", scale=_NS_PER_DAY),
        done_when=Done(
            files=(STRUCTURE,),
            number=Number(LOGS, FINISHED if nsteps is None else REACHED),
            at_least=nsteps,
            fatal=MDRUN,
        ),
        environment=ENVIRONMENT,
        resources=Resources(cores=cores, max_cores=max_cores, gpus=gpus),
    )


def _outputs() -> tuple[Output, ...]:
    return (
        Output("conf", pattern=STRUCTURE, name="final.gro"),
        Output(
            "xtc",
            pattern="whole.xtc",
            name="traj.xtc",
            partial=True,
            so_far="md.part*.xtc",
            join=_joined("trjcat", "{filled:md.part*.xtc}", "so_far.xtc"),
        ),
        Output("trr", "files", "md.part*.trr", optional=True, partial=True),
        Output(
            "edr",
            pattern="whole.edr",
            name="ener.edr",
            partial=True,
            so_far="md.part*.edr",
            join=_joined("eneconv", "{filled:md.part*.edr}", "so_far.edr"),
        ),
        Output("dhdl", "files", "md.part*.xvg", optional=True, partial=True),
        Output("logs", "files", LOGS, partial=True),
        Output("cpt", pattern=STATE, optional=True, name="state.cpt"),
    )


def _check(nsteps: int | None, cores: int, gpus: int, checkpoint_every: float) -> None:
    if nsteps is not None and nsteps < 1:
        raise BadValue(f"nsteps is {nsteps}: it must be 1 or more")
    if cores < 1:
        raise BadValue(f"cores is {cores}: it must be 1 or more")
    if gpus < 0:
        raise BadValue(f"gpus is {gpus}: it must be 0 or more")
    if checkpoint_every <= 0:
        raise BadValue(f"checkpoint_every is {checkpoint_every} min: it must be more than 0")


def _running(nsteps: int | None, gpus: int, write_every: float) -> tuple[Line, ...]:
    tpr = "topol.tpr" if nsteps is None else "run.tpr"
    start = ["mdrun", "-s", tpr, "-deffnm", "md", "-cpo", STATE, "-cpt", f"{write_every:g}"]
    start += ["-noappend", "-ntmpi", "1", "-ntomp", "{cores}", "-pin", "off"]
    if not gpus:
        start += ["-nb", "cpu"]
    # 1: mdrun was stopped by a signal, or failed; the log and the files say which.
    lines = [
        gmx(*start, when="fresh", ok=(0, 1)),
        gmx(*start, "-cpi", STATE, when="resume", ok=(0, 1)),
    ]
    if nsteps is not None:
        lines.insert(0, gmx("convert-tpr", "-s", "topol.tpr", "-nsteps", str(nsteps), "-o", tpr))
    return tuple(lines)


def _joined(tool: str, files: str, makes: str) -> Join:
    """One file of the parts of a running job."""
    return Join(gmx(tool, "-f", files, "-o", makes).argv, makes)


def _joining() -> tuple[Line, ...]:
    last = ("-f", f"{{glob:{STRUCTURE}}}", "-s", "topol.tpr", "-o", "traj.xtc")
    return (
        # With no file named, trjcat reads traj.xtc: all that is left of a run without a trajectory.
        gmx("trjconv", *last, stdin="System\n", when="complete"),
        gmx("trjcat", "-f", "{filled:md.part*.xtc}", "-o", "whole.xtc", when="complete"),
        gmx("eneconv", "-f", "{glob:md.part*.edr}", "-o", "whole.edr", when="complete"),
    )
