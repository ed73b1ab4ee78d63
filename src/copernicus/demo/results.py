"""The end of the demo: what was found, beside what is known, and where it lies."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from copernicus.client.network import Instance
from copernicus.demo.display import clock
from copernicus.demo.sizing import TEMPERATURE_K, alanine_starts

PICTURE, SURFACE, POPULATIONS, TRAJECTORIES = (
    "ramachandran.png",
    "surface.csv",
    "populations.json",
    "trajectories",
)
_POSITIVE_PHI = "phi > 0"


class Reference(msgspec.Struct, frozen=True):
    """A basin: its centre, and its population in a long run with the standard error."""

    centre: str
    value: float
    error: float


# 72 ns in 16 runs with OpenMM 8.6.1, amber99sb-ildn in vacuum at 600 K: PROVENANCE.md of the data.
REFERENCE = {
    "C5": Reference("-150, 150", 0.471, 0.004),
    "C7eq": Reference("-80, 60", 0.425, 0.004),
    "C7ax": Reference("60, -50", 0.049, 0.007),
    "alpha_R": Reference("-80, -50", 0.047, 0.001),
    "alpha_L": Reference("60, 40", 0.008, 0.001),
    _POSITIVE_PHI: Reference("", 0.058, 0.008),
}


@dataclass(frozen=True)
class Found:
    """What was found: populations by basin (value, error), frames, part of the plane, runs."""

    populations: dict[str, dict[str, Any]]
    frames: int
    visited: float
    runs: int
    bytes: int


def fetch(sampling: Instance, folder: Path) -> Found:
    """Bring the results from the server into the folder."""
    outputs = {
        name: sampling.out[name].value
        for name in ("plot", "surface", "populations", "positive_phi", "frames", "visited")
    }
    outputs["plot"].download(folder / PICTURE)
    outputs["surface"].download(folder / SURFACE)
    populations = {**outputs["populations"], _POSITIVE_PHI: outputs["positive_phi"]}
    (folder / POPULATIONS).write_bytes(msgspec.json.format(msgspec.json.encode(populations)))
    trajectories = sampling.out["trajectories"].value
    target = folder / TRAJECTORIES
    target.mkdir()
    for number, trajectory in enumerate(trajectories, start=1):
        trajectory.download(target / f"run{number:02d}.dcd")
    shutil.copy(alanine_starts()[0], target / "structure.pdb")
    return Found(
        populations,
        outputs["frames"],
        outputs["visited"],
        len(trajectories),
        sum(trajectory.size for trajectory in trajectories),
    )


def show(found: Found, folder: Path, seconds: float, console: Console | None = None) -> None:
    """Print the result as a person wants to read it."""
    console = console or Console(highlight=False)
    console.print(
        Text(
            f"\nAlanine dipeptide in vacuum, {TEMPERATURE_K:g} K: shares of {found.frames:,} "
            f"frames of {found.runs} simulations",
            style="bold",
        )
    )
    console.print(_table(found))
    console.print(Text(_remark(found)))
    place = os.path.relpath(folder) if not folder.is_absolute() else str(folder)
    console.print()
    for what, where in (
        ("picture", f"{place}/{PICTURE}"),
        ("numbers", f"{place}/{SURFACE}, {POPULATIONS}"),
        ("files", f"{place}/{TRAJECTORIES}: {found.runs} DCD, {found.bytes / 1e6:.1f} MB"),
        ("time", f"{clock(seconds)} minutes; server and worker have been stopped"),
    ):
        console.print(
            Text(f"{what:<9}", style="bold").append(where, style="default"), soft_wrap=True
        )


def _table(found: Found) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 3, 0, 0))
    table.add_column("BASIN")
    table.add_column("PHI, PSI", justify="right")
    table.add_column("HERE")
    table.add_column("LONG RUN")
    for name, known in REFERENCE.items():
        population = found.populations[name]
        error = population["error"]
        here = f"{population['value']:.3f}" + ("" if error is None else f" ± {error:.3f}")
        table.add_row(name, known.centre, here, f"{known.value:.3f} ± {known.error:.3f}")
    return table


def _remark(found: Found) -> str:
    c5, c7eq = (found.populations[name]["value"] for name in ("C5", "C7eq"))
    share = c5 / (c5 + c7eq) if c5 + c7eq else 0.0
    return (
        f"\nThe sharp quantity is C5 / (C5 + C7eq): {share:.3f} here, 0.526 in the long run "
        "(72 ns with the same force field, amber99sb-ildn). phi > 0 is entered only about once in "
        "1.3 ns, so it scatters: 0.01 to 0.12 is usual in a demo of 4 minutes. At 300 K it would "
        "not be reached at all."
    )
