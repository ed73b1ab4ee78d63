"""What a run simulates: its settings, the OpenMM system built from a PDB file, and its binding."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from copernicus.errors import BadSettings
from copernicus.modules.analysis.pdb import read_atoms

if TYPE_CHECKING:
    from openmm import Context, Platform, System
    from openmm.app import Topology

# Measured in vacuum with one thread: Reference is 8 times faster than CPU at 22 atoms, equal near
# 150, 3 times slower at 264.
_REFERENCE_UP_TO_ATOMS = 150
_INTEGRATOR_FIELDS = (
    "temperature_K",
    "timestep_fs",
    "friction_per_ps",
    "seed",
    "report_interval",
    "constraints",
)

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one run, as they stand in ``settings.json``.

    Attributes:
        n_steps: integration steps of the whole run, over all of its parts.
        temperature_K: temperature of the Langevin thermostat.
        timestep_fs: integration step in femtoseconds.
        friction_per_ps: collision rate of the thermostat.
        seed: from it come the start velocities and the random forces.
        report_interval: steps between frames, which is also between rows of the energies.
        checkpoint_interval_s: seconds of wall time between checkpoints.
        platform: OpenMM platform, or ``auto``: chosen by the number of atoms.
        threads: threads of the CPU platform.
        solvent: only ``none``: the molecule is in vacuum, all pairs interact.
        constraints: bonds of fixed length.
        force_field: force-field files, as OpenMM finds them.
        minimize: relax the start structure before the first step.
    """

    n_steps: Count
    temperature_K: Positive = 300.0  # noqa: N815
    timestep_fs: Positive = 2.0
    friction_per_ps: Positive = 1.0
    seed: int = 1
    report_interval: Count = 500
    checkpoint_interval_s: Positive = 30.0
    platform: Literal["auto", "Reference", "CPU", "CUDA", "OpenCL", "HIP"] = "auto"
    threads: Count = 1
    solvent: Literal["none"] = "none"
    constraints: Literal["none", "HBonds", "AllBonds"] = "HBonds"
    force_field: tuple[str, ...] = ("amber99sbildn.xml",)
    minimize: bool = False

    def random_seed(self, purpose: str, step: int = 0) -> int:
        """A seed for OpenMM (1 to 2^31 - 1; it takes 0 as "anything") from seed and step."""
        digest = hashlib.sha256(f"{self.seed}:{purpose}:{step}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % (2**31 - 1) + 1


def read_settings(path: Path) -> Settings:
    """Read ``settings.json``.

    Raises:
        BadSettings: the file is missing, is not JSON, or a setting is unknown or out of range.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        raise BadSettings(f"there is no settings file {path}") from None
    except msgspec.MsgspecError as error:
        raise BadSettings(f"{path.name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Model:
    """A molecule that is ready to be simulated.

    Attributes:
        settings: the settings of the run.
        structure: the PDB file that it starts from.
        topology: OpenMM topology.
        system: OpenMM system: masses, forces, constraints.
        positions: start coordinates, an OpenMM quantity.
        binding: what a checkpoint must agree with, by name.
    """

    settings: Settings
    structure: Path
    topology: Topology
    system: System
    positions: Any
    binding: dict[str, str]

    @property
    def atoms(self) -> int:
        """How many atoms there are."""
        return int(self.system.getNumParticles())

    @property
    def degrees_of_freedom(self) -> int:
        """Those that carry kinetic energy: the motion of the centre of mass is removed."""
        return 3 * self.atoms - int(self.system.getNumConstraints()) - 3


def build_model(settings: Settings, structure: Path) -> Model:
    """Build the system of a PDB file with the force field of the settings.

    Raises:
        BadSettings: no such file, or the force field does not know a residue or file.
    """
    from openmm import app

    if not structure.is_file():
        raise BadSettings(f"there is no structure file {structure}")
    named = len(read_atoms(structure))
    try:
        pdb = app.PDBFile(str(structure))
        force_field = app.ForceField(*settings.force_field)
        pdb.topology.setPeriodicBoxVectors(None)
        system = force_field.createSystem(
            pdb.topology,
            nonbondedMethod=app.NoCutoff,
            constraints=None
            if settings.constraints == "none"
            else getattr(app, settings.constraints),
        )
    except (ValueError, KeyError, IndexError) as error:
        raise BadSettings(
            f"{structure.name} cannot be simulated with {', '.join(settings.force_field)}: {error}"
        ) from error
    if system.getNumParticles() != named:
        raise BadSettings(
            f"{structure.name} has {named} atom records, but OpenMM makes "
            f"{system.getNumParticles()} particles of it: remove alternate locations"
        )
    return Model(
        settings=settings,
        structure=structure,
        topology=pdb.topology,
        system=system,
        positions=pdb.positions,
        binding=_binding(settings, structure, system),
    )


def _binding(settings: Settings, structure: Path, system: System) -> dict[str, str]:
    """The version of OpenMM is left out: a run may go on with another build of it."""
    from openmm import XmlSerializer

    xml = re.sub(r'openmmVersion="[^"]*" ', "", XmlSerializer.serialize(system), count=1)
    return {
        "system": hashlib.sha256(xml.encode()).hexdigest(),
        "structure": hashlib.sha256(structure.read_bytes()).hexdigest(),
        **{name: str(getattr(settings, name)) for name in _INTEGRATOR_FIELDS},
    }


def binding_digest(binding: dict[str, str]) -> str:
    """One digest of a binding."""
    return hashlib.sha256(json.dumps(binding, sort_keys=True).encode()).hexdigest()


def choose_platform(settings: Settings, atoms: int) -> tuple[Platform, dict[str, str]]:
    """The OpenMM platform and its properties.

    ``auto`` takes Reference for small molecules, where starting threads costs more than the
    forces do, and else the platform that OpenMM rates fastest on this machine.

    Raises:
        BadSettings: the platform named is not on this machine.
    """
    from openmm import Platform

    known = {
        platform.getName(): platform
        for platform in map(Platform.getPlatform, range(Platform.getNumPlatforms()))
    }
    name = settings.platform
    if name == "auto":
        fastest = max(known.values(), key=lambda platform: float(platform.getSpeed()))
        name = "Reference" if atoms <= _REFERENCE_UP_TO_ATOMS else fastest.getName()
    if name not in known:
        raise BadSettings(
            f"OpenMM has no platform {name} on this machine: choose one of {', '.join(known)}"
        )
    properties = {}
    if name == "CPU":
        properties = {"Threads": str(settings.threads), "DeterministicForces": "true"}
    return known[name], properties


def make_context(model: Model, step: int) -> Context:
    """A context for the part of the run that begins at this step.

    OpenMM's portable state does not hold the state of the random numbers, so every part draws
    from its own stream, which follows from the seed and the step.
    """
    from openmm import Context, LangevinMiddleIntegrator, unit

    settings = model.settings
    integrator = LangevinMiddleIntegrator(
        settings.temperature_K * unit.kelvin,
        settings.friction_per_ps / unit.picosecond,
        settings.timestep_fs * unit.femtosecond,
    )
    integrator.setRandomNumberSeed(settings.random_seed("forces", step))
    platform, properties = choose_platform(settings, model.atoms)
    return Context(model.system, integrator, platform, properties)


def prepare_start(model: Model, context: Context) -> None:
    """Start coordinates (relaxed if asked for) that satisfy the constraints, random velocities."""
    from openmm import LocalEnergyMinimizer, unit

    context.setPositions(model.positions)
    if model.settings.minimize:
        LocalEnergyMinimizer.minimize(context)
    context.applyConstraints(1e-6)
    context.setVelocitiesToTemperature(
        model.settings.temperature_K * unit.kelvin, model.settings.random_seed("velocities")
    )
