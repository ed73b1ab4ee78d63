"""``analysis.adaptive_sampling``: generations of simulations, steered by what they have found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from copernicus.errors import BadValue
from copernicus.modules.analysis.functions import Population, ramachandran
from copernicus.modules.openmm.functions import simulate
from copernicus.sdk import File, Module, Net, Ref, Unit, workflow
from copernicus.version import __version__


@dataclass(frozen=True)
class Sampled:
    """What is known so far; it moves with every generation.

    Attributes:
        surface: free energy (kJ/mol), its error and the frames of every cell of the plane, CSV.
        plot: the surface as a picture, with the next starting points, PNG.
        populations: fractions of the frames in C5, C7eq, C7ax, alpha_R and alpha_L.
        positive_phi: fraction of the frames with phi > 0.
        visited: fraction of the cells of the plane that were visited.
        frames: how many frames were counted.
        trajectories: of all simulations, generation by generation, DCD.
    """

    surface: File
    plot: File
    populations: dict[str, Population]
    positive_phi: Population
    visited: float
    frames: int
    trajectories: list[File]


@workflow(outputs=Sampled)
async def adaptive_sampling(
    net: Net,
    structures: list[File],
    generations: int = 3,
    steps: int = 500_000,
    temperature: Annotated[float, Unit("K")] = 600.0,
    per_generation: int | None = None,
    discard: Annotated[float, Unit("ps")] = 200.0,
    report_interval: int = 500,
) -> None:
    """Sample the (phi, psi) plane of a small peptide where least is known of it.

    Each generation simulates from several starting points; then all trajectories so far are pooled,
    and the next generation begins in the cells of the plane that were visited least.

    Args:
        net: the network inside.
        structures: starting points of the first generation, PDB.
        generations: how many.
        steps: of each simulation (2 fs each); more of them make finished simulations longer.
        temperature: of all simulations.
        per_generation: simulations in each later generation; as many as structures, by default.
        discard: beginning of every trajectory that does not count, so that the choice of its
            starting point does not bias the populations: a few times the slowest relaxation.
        report_interval: steps between frames.
    """
    if not structures:
        raise BadValue("structures is empty: give at least one starting point")
    starts = [net.inputs.structures[i] for i in range(len(structures))]
    trajectories: list[Ref] = []
    for generation in range(generations):
        for i, start in enumerate(starts):
            run = net.call(
                simulate,
                key=("md", generation, i),
                structure=start,
                n_steps=steps,
                temperature=temperature,
                seed=net.seed("md", generation, i),
                report_interval=report_interval,
            )
            trajectories.append(run.out.trajectory)
        pooled = net.call(
            ramachandran,
            key=("surface", generation),
            trajectories=net.collect(trajectories),
            structure=net.inputs.structures[0],
            temperature=temperature,
            n_starts=per_generation or len(structures),
            discard=discard,
            seed=net.seed("surface", generation),
        )
        net.output(
            surface=pooled.out.surface,
            plot=pooled.out.plot,
            populations=pooled.out.populations,
            positive_phi=pooled.out.positive_phi,
            visited=pooled.out.visited,
            frames=pooled.out.frames,
            trajectories=net.collect(trajectories),
        )
        found = await pooled.out.starts
        starts = [pooled.out.starts[i] for i in range(len(found))]


module = Module(
    "analysis",
    __version__,
    [ramachandran, adaptive_sampling],
    doc="Free-energy surfaces over backbone angles, and sampling that is steered by them.",
)
