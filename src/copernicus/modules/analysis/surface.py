"""Free-energy surfaces over (phi, psi), basin populations with errors, and next starting points.

Angles are in degrees. A trajectory is an array (frames, 2) of (phi, psi). Trajectories are the
independent units of all error estimates: frames of one trajectory are correlated, so errors come
from resampling whole trajectories.

Pooled frequencies estimate the equilibrium only if every trajectory is long compared with the
slowest relaxation, or starts in equilibrium. Starting points that were chosen adaptively lie where
little is known, on purpose: drop the beginning of such trajectories (`without_start`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from copernicus.errors import BadValue

Angles = NDArray[np.floating]
Floats = NDArray[np.float64]

GAS_CONSTANT = 8.31446261815324e-3
"""kJ/(mol K)"""

BASINS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "C5": (-150.0, 150.0),
        "C7eq": (-80.0, 60.0),
        "C7ax": (60.0, -50.0),
        "alpha_R": (-80.0, -50.0),
        "alpha_L": (60.0, 40.0),
    }
)
"""Centres (phi, psi) of the named conformations of alanine dipeptide.

Names as in D. J. Tobias and C. L. Brooks III, J. Phys. Chem. 96, 3864 (1992). The centres of C5,
C7eq and C7ax are read off our own sampling with amber99sb-ildn in vacuum at 600 K; alpha_R and
alpha_L are the usual helical regions. A frame belongs to the centre that is nearest on the torus.
"""


@dataclass(frozen=True, slots=True)
class FreeEnergySurface:
    """F(phi, psi) = -kT ln p on a regular grid over the torus.

    Attributes:
        free_energy: kJ/mol, (bins, bins) indexed [phi, psi]; lowest cell 0, NaN where unvisited.
        error: standard error of the same by bootstrap, NaN where it cannot be told.
        counts: frames in every cell.
        edges: edges of the cells in degrees, the same for both angles.
        temperature_K: temperature of the sampling.
    """

    free_energy: Floats
    error: Floats
    counts: NDArray[np.int64]
    edges: Floats
    temperature_K: float  # noqa: N815

    @property
    def centres(self) -> Floats:
        """Centres of the cells in degrees."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and 95 % interval; NaN with fewer than two trajectories."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Seed:
    """A frame to start from next: which trajectory, which frame, and where it is."""

    trajectory: int
    frame: int
    phi: float
    psi: float


def wrap(degrees: Angles) -> Floats:
    """The same angles in [-180, 180)."""
    wrapped: Floats = (np.asarray(degrees, dtype=np.float64) + 180.0) % 360.0 - 180.0
    # A tiny negative angle plus 180 rounds up to the period itself.
    return np.where(wrapped >= 180.0, -180.0, wrapped)


def without_start(trajectories: Sequence[Angles], frames: int) -> list[Angles]:
    """The trajectories without their first frames; those that are shorter are left out."""
    return [trajectory[frames:] for trajectory in trajectories if len(trajectory) > frames]


def free_energy_surface(
    trajectories: Sequence[Angles],
    temperature_K: float,  # noqa: N803
    *,
    bins: int = 36,
    resamples: int = 200,
    seed: int = 0,
) -> FreeEnergySurface:
    """Free energy of all frames pooled, with bootstrap errors over the trajectories.

    Args:
        trajectories: (phi, psi) in degrees, one array (frames, 2) each.
        temperature_K: temperature of the sampling.
        bins: cells along each angle.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        BadValue: there is no frame, or an array is not (frames, 2) of finite angles.
    """
    cells = _cells(trajectories, bins)
    counts = np.stack([np.bincount(cell, minlength=bins * bins) for cell in cells])
    samples = bootstrap(
        counts, lambda total: _free_energy(total, temperature_K), resamples=resamples, seed=seed
    )
    pooled = counts.sum(axis=0)
    shape = (bins, bins)
    return FreeEnergySurface(
        free_energy=_free_energy(pooled, temperature_K).reshape(shape),
        error=_nan_deviation(samples).reshape(shape),
        counts=pooled.reshape(shape).astype(np.int64),
        edges=np.linspace(-180.0, 180.0, bins + 1),
        temperature_K=temperature_K,
    )


def assign_basins(angles: Angles) -> NDArray[np.int64]:
    """Index into `BASINS` of the nearest centre (periodic Euclidean distance) of every frame."""
    centres = np.array(list(BASINS.values()))
    difference = wrap(angles[:, None, :] - centres[None, :, :])
    nearest: NDArray[np.int64] = np.argmin((difference**2).sum(axis=2), axis=1)
    return nearest


def basin_populations(
    trajectories: Sequence[Angles], *, resamples: int = 500, seed: int = 0
) -> dict[str, Estimate]:
    """Fraction of all frames in every basin, with errors over the trajectories.

    The error of a rare basin is understated while only a few trajectories have visited it.

    Raises:
        BadValue: as for `free_energy_surface`.
    """
    _check(trajectories)
    counts = np.stack(
        [np.bincount(assign_basins(angles), minlength=len(BASINS)) for angles in trajectories]
    )
    return dict(
        zip(BASINS, estimate_fractions(counts, resamples=resamples, seed=seed), strict=True)
    )


def estimate_fractions(
    counts: NDArray[np.integer], *, resamples: int = 500, seed: int = 0
) -> list[Estimate]:
    """Fractions of categories from counts (trajectories, categories), with bootstrap errors."""
    values = _fractions(counts.sum(axis=0))
    samples = bootstrap(counts, _fractions, resamples=resamples, seed=seed)
    errors = _nan_deviation(samples)
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    return [
        Estimate(float(value), float(error), float(lower), float(upper))
        for value, error, lower, upper in zip(values, errors, low, high, strict=True)
    ]


def bootstrap(
    counts: NDArray[np.integer],
    statistic: Callable[[NDArray[np.integer]], Floats],
    *,
    resamples: int,
    seed: int,
) -> Floats:
    """Values of a statistic of summed counts when whole trajectories are drawn with replacement.

    Args:
        counts: (trajectories, categories).
        statistic: from the summed counts (categories) to an array.
        resamples: how many draws.
        seed: of the random draws.

    Returns:
        One row for each draw; all NaN if there are fewer than two trajectories, which say nothing
        about the spread between trajectories.
    """
    number = len(counts)
    if number < 2:
        return np.full((1, len(statistic(counts.sum(axis=0)))), np.nan)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(number, np.full(number, 1.0 / number), size=resamples)
    return np.stack([statistic(draw @ counts) for draw in draws])


def least_counts(
    trajectories: Sequence[Angles], number: int, *, bins: int = 18, seed: int = 0
) -> list[Seed]:
    """Frames in the least visited cells among those visited, to start from next.

    The cells are taken from the least visited up, ties in random order, one random frame of each;
    if there are fewer cells than frames wanted, the cells are gone through again.

    Args:
        trajectories: (phi, psi) in degrees, one array (frames, 2) each.
        number: frames wanted.
        bins: cells along each angle.
        seed: of the random choices.

    Raises:
        BadValue: as for `free_energy_surface`, or fewer frames than are wanted.
    """
    cells = _cells(trajectories, bins)
    pooled = np.concatenate(cells)
    if number > len(pooled):
        raise BadValue(f"{number} starting points are wanted, but there are {len(pooled)} frames")
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(pooled))
    counts = np.bincount(pooled, minlength=bins * bins)
    tie_break = rng.permutation(bins * bins)
    # How many frames of the same cell come before each one in the shuffled order: its turn.
    turn = _turns(pooled[shuffled])
    cell = pooled[shuffled]
    order = np.lexsort((tie_break[cell], counts[cell], turn))[:number]
    starts = np.cumsum([0, *(len(angles) for angles in trajectories)])
    seeds = []
    for index in shuffled[order]:
        trajectory = int(np.searchsorted(starts, index, side="right")) - 1
        frame = int(index - starts[trajectory])
        phi, psi = trajectories[trajectory][frame]
        seeds.append(Seed(trajectory, frame, float(phi), float(psi)))
    return seeds


def _turns(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(cells, kind="stable")
    ordered = cells[order]
    first = np.searchsorted(ordered, ordered, side="left")
    turns = np.empty(len(cells), dtype=np.int64)
    turns[order] = np.arange(len(cells)) - first
    return turns


def _check(trajectories: Sequence[Angles]) -> None:
    if not any(len(angles) for angles in trajectories):
        raise BadValue("there is no frame to analyse: wait for the first trajectory")
    for index, angles in enumerate(trajectories):
        if angles.ndim != 2 or angles.shape[1] != 2 or not bool(np.all(np.isfinite(angles))):
            raise BadValue(
                f"trajectory {index} has shape {angles.shape}: (frames, 2) finite angles are needed"
            )


def _cells(trajectories: Sequence[Angles], bins: int) -> list[NDArray[np.int64]]:
    _check(trajectories)
    if bins < 1:
        raise BadValue(f"bins is {bins}: take at least one cell along each angle")
    cells = []
    for angles in trajectories:
        place = np.floor((wrap(angles) + 180.0) * (bins / 360.0)).astype(np.int64)
        place = np.minimum(place, bins - 1)
        cells.append(place[:, 0] * bins + place[:, 1])
    return cells


def _free_energy(counts: NDArray[np.integer], temperature: float) -> Floats:
    free_energy = np.full(counts.shape, np.nan)
    visited = counts > 0
    scale = GAS_CONSTANT * temperature
    free_energy[visited] = -scale * np.log(counts[visited] / counts.max())
    free_energy[visited] += 0.0
    return free_energy


def _fractions(counts: NDArray[np.integer]) -> Floats:
    return np.asarray(counts / max(int(counts.sum()), 1), dtype=np.float64)


def _nan_deviation(samples: Floats) -> Floats:
    """Standard deviation over the draws in which the value exists in at least half of them."""
    exists = np.isfinite(samples)
    number = exists.sum(axis=0)
    filled = np.where(exists, samples, 0.0)
    divisor = np.maximum(number, 1)
    mean = filled.sum(axis=0) / divisor
    square = np.where(exists, (samples - mean) ** 2, 0.0).sum(axis=0)
    deviation = np.sqrt(square / np.maximum(number - 1, 1))
    return np.where(number >= max(2, len(samples) / 2), deviation, np.nan)
