"""``openmm.simulate``: molecular dynamics as a job that can be stopped, moved and extended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from copernicus.errors import BadValue
from copernicus.modules.openmm.output import ENERGIES, FINAL, PROGRESS, TRAJECTORY
from copernicus.modules.openmm.system import Settings
from copernicus.sdk import (
    Checkpoint,
    Command,
    Done,
    File,
    Join,
    Line,
    Module,
    Number,
    Output,
    Progress,
    Resources,
    Series,
    Unit,
    place,
    program,
)
from copernicus.version import __version__

_SETTINGS, _STRUCTURE = "settings.json", "structure.pdb"
_RUN = ("{program}", "--settings", _SETTINGS, "--structure", _STRUCTURE)
_STEP = Number("state.json", r'"step": (\d+)')
_PROGRESS = r"step=(?P<step>\d+) total=(?P<total>\d+) ns_per_day=(?P<rate>[\d.]+)"

_DAMAGED = (
    r"^the checkpoint \S+ (is damaged or incomplete|belongs to another run).*$",
    r"^.* but the checkpoint counted .*$",
    r"^.* is missing: the checkpoint counts .*$",
)

# The runner ends with a sentence for people: the line that is found is shown as it stands.
_FATAL = (
    r"^.*the simulation blew up.*$",
    r"^.* cannot be simulated with .*$",
    r"^.* has no ATOM records.*$",
    r"^.* atom records, but OpenMM makes .*$",
    r"^the checkpoint \S+ is at step.*$",
    *_DAMAGED,
    r"^OpenMM (has no platform|is not installed).*$",
)

Platform = Literal["auto", "Reference", "CPU", "CUDA", "OpenCL", "HIP"]
_ON_GPU = ("CUDA", "OpenCL", "HIP")


@dataclass(frozen=True)
class Simulated:
    """What a simulation gives.

    Attributes:
        trajectory: frames as DCD, one every report_interval steps, the first after that many.
        final: coordinates after the last step, PDB.
        energies: step, time (ps), potential energy (kJ/mol), temperature (K), speed; CSV.
    """

    trajectory: File
    final: File
    energies: File


@program("openmm", ">=8", outputs=Simulated, on_change={"n_steps": "extend"})
def simulate(
    structure: File,
    n_steps: int,
    temperature: Annotated[float, Unit("K")] = 300.0,
    seed: int = 1,
    timestep: Annotated[float, Unit("fs")] = 2.0,
    friction: Annotated[float, Unit("1/ps")] = 1.0,
    report_interval: int = 500,
    minimize: bool = False,
    platform: Platform = "auto",
    threads: int = 1,
) -> Command:
    """Langevin dynamics of a molecule in vacuum with amber99sb-ildn, by OpenMM.

    A greater ``n_steps`` makes running and finished simulations longer: they go on from their last
    checkpoint.

    Args:
        structure: start coordinates, with all hydrogens, PDB.
        n_steps: integration steps in all.
        temperature: of the thermostat.
        seed: start velocities and random forces follow from it.
        timestep: integration step; bonds to hydrogens have fixed lengths.
        friction: collision rate of the thermostat.
        report_interval: steps between frames, and between rows of the energies.
        minimize: relax the start coordinates first.
        platform: what computes; auto chooses by the number of atoms.
        threads: cores of one simulation, on the platform CPU.
    """
    numbers = {
        "n_steps": n_steps,
        "temperature": temperature,
        "timestep": timestep,
        "friction": friction,
        "report_interval": report_interval,
        "threads": threads,
    }
    for name, number in numbers.items():
        if number <= 0:
            raise BadValue(f"{name} is {number:g}: it must be greater than 0")
    settings = Settings(
        n_steps=n_steps,
        temperature_K=temperature,
        timestep_fs=timestep,
        friction_per_ps=friction,
        seed=seed,
        report_interval=report_interval,
        platform=platform,
        threads=threads,
        minimize=minimize,
    )
    return Command(
        lines=(Line(_RUN, "fresh"), Line((*_RUN, "--must-resume"), "resume")),
        files=(
            place(_SETTINGS, msgspec.json.encode(settings).decode()),
            place(_STRUCTURE, structure),
        ),
        outputs=(
            _in_parts("trajectory", TRAJECTORY, "traj.part*.dcd", "so_far.dcd"),
            Output("final", pattern=FINAL),
            _in_parts("energies", ENERGIES, "energies.part*.csv", "so_far.csv"),
        ),
        checkpoint=Checkpoint(
            files=("state_prev.*", "traj.part*.dcd", "energies.part*.csv"),
            required=("state.xml", "state.json"),
            step=_STEP,
            limit=n_steps,
            growing=("energies.part*.csv",),
            damaged=_DAMAGED,
        ),
        series=(Series("energies", "energies.part*.csv"),),
        progress=Progress(PROGRESS, _PROGRESS, total=n_steps, unit="ns/day"),
        done_when=Done(
            files=(FINAL,), number=_STEP, at_least=n_steps, fatal=dict.fromkeys(_FATAL, "")
        ),
        resources=Resources(cores=threads, gpus=1 if platform in _ON_GPU else 0),
    )


def _in_parts(port: str, whole: str, parts: str, joined: str) -> Output:
    """An output that lies in parts until the run is done."""
    join = Join((*_RUN, "--join-so-far"), joined)
    return Output(port, pattern=whole, partial=True, so_far=parts, join=join, name=whole)


module = Module("openmm", __version__, [simulate], doc="Molecular dynamics with OpenMM.")
