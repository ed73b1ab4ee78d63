"""Ramachandran plots of free-energy surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from copernicus.modules.analysis.surface import BASINS, Floats, FreeEnergySurface, Seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = range(-180, 181, 60)
_LABELS = {
    "C5": r"$\mathrm{C5}$",
    "C7eq": r"$\mathrm{C7_{eq}}$",
    "C7ax": r"$\mathrm{C7_{ax}}$",
    "alpha_R": r"$\alpha_\mathrm{R}$",
    "alpha_L": r"$\alpha_\mathrm{L}$",
}


def ramachandran(
    surface: FreeEnergySurface,
    path: Path,
    *,
    seeds: Sequence[Seed] = (),
    title: str = "",
    highest: float | None = None,
) -> None:
    """Draw a surface as a PNG: filled contours, basin names, next starting points.

    Args:
        surface: what to draw.
        path: the PNG file, written atomically.
        seeds: starting points to mark.
        title: over the plot.
        highest: top of the colour scale in kJ/mol; without it, the highest free energy seen,
            rounded up to a whole contour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import BoundaryNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.6), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    levels = _levels(surface, highest)
    x, values = _periodic(surface)
    extend: Literal["max", "neither"] = "max" if highest is not None else "neither"
    norm = BoundaryNorm(levels, ncolors=256, extend=extend)
    # Contours need four neighbours: without the cells below them, lone visited cells would vanish.
    axes.pcolormesh(x, x, values.T, cmap="viridis", norm=norm, shading="nearest")
    filled = axes.contourf(x, x, values.T, levels=levels, cmap="viridis", norm=norm, extend=extend)
    axes.contour(x, x, values.T, levels=levels, colors="white", linewidths=0.3, alpha=0.6)
    bar = figure.colorbar(filled, ax=axes, shrink=0.95, pad=0.02, ticks=levels[::2])
    bar.set_label(r"Free energy $F$ (kJ mol$^{-1}$)")
    _decorate(axes, seeds)
    axes.set_title(title or f"{int(surface.counts.sum()):,} frames at {surface.temperature_K:g} K")
    partial = path.with_name(path.name + ".tmp")
    figure.savefig(partial, format="png")
    partial.replace(path)


def _levels(surface: FreeEnergySurface, highest: float | None) -> Floats:
    seen = float(np.nanmax(surface.free_energy))
    top = max(seen if highest is None else highest, 1.0)
    step = next((step for step in (0.5, 1.0, 2.0, 2.5, 5.0) if top / step <= 14), 10.0)
    return np.arange(0.0, np.ceil(top / step) * step + 0.5 * step, step)


def _periodic(
    surface: FreeEnergySurface,
) -> tuple[Floats, np.ma.MaskedArray[tuple[int, int], np.dtype[np.float64]]]:
    """Cells repeated once beyond each edge, so that the contours reach the frame."""
    centres = surface.centres
    x = np.concatenate([[centres[-1] - 360.0], centres, [centres[0] + 360.0]])
    return x, np.ma.masked_invalid(np.pad(surface.free_energy, 1, mode="wrap"))


def _decorate(axes: Axes, seeds: Sequence[Seed]) -> None:
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2.5, foreground="white")]
    for name, (phi, psi) in BASINS.items():
        axes.annotate(
            _LABELS[name], (phi, psi), ha="center", va="center", size=12, path_effects=outline
        )
    if seeds:
        axes.scatter(
            [seed.phi for seed in seeds],
            [seed.psi for seed in seeds],
            s=28,
            marker="o",
            facecolor="#e8432e",
            edgecolor="white",
            linewidth=0.8,
            label="next starting points",
            zorder=3,
            clip_on=False,
        )
        axes.legend(
            loc="upper right",
            bbox_to_anchor=(1.01, -0.09),
            fontsize=8,
            frameon=False,
            handletextpad=0,
        )
    axes.set(
        xlim=(-180, 180),
        ylim=(-180, 180),
        xticks=list(_TICKS),
        yticks=list(_TICKS),
        xlabel=r"$\phi$ (degrees)",
        ylabel=r"$\psi$ (degrees)",
        aspect="equal",
        facecolor="#f2f2f2",
    )
