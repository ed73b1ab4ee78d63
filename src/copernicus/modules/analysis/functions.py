"""``analysis.ramachandran``: from all trajectories so far to a surface, and where to go on."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from copernicus.errors import BadValue
from copernicus.modules.analysis.dcd import dcd_info, read_dcd
from copernicus.modules.analysis.dihedrals import phi_psi
from copernicus.modules.analysis.pdb import write_frame
from copernicus.modules.analysis.surface import (
    Angles,
    Estimate,
    FreeEnergySurface,
    Seed,
    basin_populations,
    estimate_fractions,
    free_energy_surface,
    least_counts,
    without_start,
)
from copernicus.sdk import File, NewFile, Unit, current_task, task


@dataclass(frozen=True)
class Population:
    """A fraction of all frames, and its standard error over the trajectories, where it is known."""

    value: float
    error: float | None


@dataclass(frozen=True)
class Surface:
    """What all trajectories together say.

    Attributes:
        surface: free energy (kJ/mol), its error and the frames of every cell of the plane, CSV.
        plot: the surface as a picture, with the next starting points, PNG.
        angles: phi and psi in degrees, an array (frames, 2) for every trajectory, NPZ.
        populations: fractions of the frames in C5, C7eq, C7ax, alpha_R and alpha_L.
        positive_phi: fraction of the frames with phi > 0.
        visited: fraction of the cells of the plane that were visited.
        frames: how many frames were counted.
        starts: frames in the least visited cells, to start from next, PDB.
    """

    surface: File
    plot: File
    angles: File
    populations: dict[str, Population]
    positive_phi: Population
    visited: float
    frames: int
    starts: list[File]


@dataclass(frozen=True)
class _Counted:
    """What counts of one trajectory: its angles from frame ``first`` on."""

    file: File
    first: int
    angles: Angles


@task
def ramachandran(
    trajectories: list[File],
    structure: File,
    temperature: Annotated[float, Unit("K")],
    n_starts: int = 0,
    discard: Annotated[float, Unit("ps")] = 0.0,
    bins: int = 36,
    seed: int = 1,
) -> Surface:
    """Pool trajectories over (phi, psi): free-energy surface, populations, next starting points.

    The errors come from a bootstrap over whole trajectories: the frames of one are correlated.

    Args:
        trajectories: of one molecule, DCD.
        structure: of the same molecule, PDB.
        temperature: of the simulations.
        n_starts: how many next starting points are wanted.
        discard: beginning of every trajectory that does not count; needed where starting points
            are chosen on purpose and not by chance.
        bins: cells along each angle.
        seed: of the bootstrap, and of the choice among cells that were visited as seldom.

    Raises:
        BadValue: a trajectory is of another molecule, or nothing is left to count.
    """
    folder = current_task().folder
    counted = _counted(trajectories, structure.path, discard)
    angles = [each.angles for each in counted]
    surface = free_energy_surface(angles, temperature, bins=bins, seed=seed)
    seeds = least_counts(angles, n_starts, seed=seed)
    return Surface(
        surface=_surface_file(surface, folder / "surface.csv"),
        plot=_plot_file(surface, seeds, len(counted), folder / "ramachandran.png"),
        angles=_angles_file(angles, folder / "angles.npz"),
        populations={
            name: _population(estimate)
            for name, estimate in basin_populations(angles, seed=seed).items()
        },
        positive_phi=_positive_phi(angles, seed),
        visited=float(np.mean(surface.counts > 0)),
        frames=int(surface.counts.sum()),
        starts=_start_files(seeds, counted, structure.path, folder),
    )


def _counted(files: Sequence[File], structure: Path, discard: float) -> list[_Counted]:
    found = []
    for done, file in enumerate(files, start=1):
        info = dcd_info(file.path)
        first = math.ceil(discard / (info.interval * info.timestep_ps) - 1e-6)
        found += [
            _Counted(file, first, angles)
            for angles in without_start([phi_psi(read_dcd(file.path), structure)], first)
        ]
        current_task().report_progress(done, len(files))
    if not found:
        raise BadValue(
            f"none of {len(files)} trajectories is longer than discard = {discard:g} ps: simulate "
            "longer, or discard less"
        )
    return found


def _population(estimate: Estimate) -> Population:
    return Population(estimate.value, estimate.error if math.isfinite(estimate.error) else None)


def _positive_phi(trajectories: Sequence[Angles], seed: int) -> Population:
    counts = [[np.sum(angles[:, 0] > 0), np.sum(angles[:, 0] <= 0)] for angles in trajectories]
    return _population(estimate_fractions(np.array(counts), seed=seed)[0])


def _surface_file(surface: FreeEnergySurface, path: Path) -> File:
    with path.open("w", newline="", encoding="ascii") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["phi_deg", "psi_deg", "free_energy_kJ_mol", "error_kJ_mol", "frames"])
        for i, phi in enumerate(surface.centres):
            for j, psi in enumerate(surface.centres):
                energies = (surface.free_energy[i, j], surface.error[i, j])
                shown = [f"{energy:.4f}" if math.isfinite(energy) else "" for energy in energies]
                table.writerow([f"{phi:g}", f"{psi:g}", *shown, int(surface.counts[i, j])])
    return NewFile(path)


def _plot_file(
    surface: FreeEnergySurface, seeds: Sequence[Seed], trajectories: int, path: Path
) -> File:
    from copernicus.modules.analysis.plot import ramachandran as draw

    frames = int(surface.counts.sum())
    title = f"{frames:,} frames of {trajectories} runs at {surface.temperature_K:g} K"
    draw(surface, path, seeds=seeds, title=title)
    return NewFile(path)


def _angles_file(trajectories: Sequence[Angles], path: Path) -> File:
    arrays = {f"traj{index:04d}": angles for index, angles in enumerate(trajectories)}
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return NewFile(path)


def _start_files(
    seeds: Sequence[Seed], counted: Sequence[_Counted], structure: Path, folder: Path
) -> list[File]:
    starts = []
    for index, seed in enumerate(seeds):
        source = counted[seed.trajectory]
        frame = read_dcd(source.file.path)[source.first + seed.frame]
        path = folder / f"start{index}.pdb"
        write_frame(structure, frame, path)
        starts.append(NewFile(path))
    return starts
