"""The files that a run writes: parts while it runs, the whole when it is done.

Every start of the program writes a part of its own (``traj.part0002.dcd``,
``energies.part0002.csv``), so that finished parts never change. A part may hold frames that
are later than the last checkpoint; they are cut off before the next part begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from copernicus.errors import BadValue
from copernicus.modules.analysis.dcd import DcdWriter, cut_dcd, join_dcd
from copernicus.modules.openmm.checkpoint import CheckpointRefused
from copernicus.modules.openmm.system import Settings

TRAJECTORY = "traj.dcd"
ENERGIES = "energies.csv"
FINAL = "final.pdb"
PROGRESS = "progress.log"
SO_FAR = "so_far"

_COLUMNS = "step,time_ps,potential_kJ_mol,temperature_K,speed_ns_day\n"
_PROGRESS_INTERVAL_S = 1.0


def trajectory_part(work: Path, part: int) -> Path:
    """Trajectory file of a part."""
    return work / f"traj.part{part:04d}.dcd"


def energies_part(work: Path, part: int) -> Path:
    """Energy file of a part."""
    return work / f"energies.part{part:04d}.csv"


def cut_back(work: Path, frames: Sequence[int]) -> None:
    """Bring the parts back to a checkpoint: cut off later frames, remove later parts.

    Also removes what says that the run is done (`FINAL`).

    Args:
        work: folder of the run.
        frames: frames that the checkpoint counts, of every part from the first on.

    Raises:
        CheckpointRefused: a part that the checkpoint counts is missing or too short.
    """
    (work / FINAL).unlink(missing_ok=True)
    for part, count in enumerate(frames, start=1):
        try:
            cut_dcd(trajectory_part(work, part), count)
            _cut_energies(energies_part(work, part), count)
        except FileNotFoundError as error:
            raise CheckpointRefused(
                f"{Path(error.filename).name} is missing: the checkpoint counts {count} frames in "
                "it; bring the parts along with the checkpoint"
            ) from None
        except BadValue as error:
            raise CheckpointRefused(error.message) from None
    for file in work.iterdir():
        match = re.fullmatch(r"(?:traj|energies)\.part(\d+)\.(?:dcd|csv)", file.name)
        if match and int(match[1]) > len(frames):
            file.unlink()


def _cut_energies(path: Path, rows: int) -> None:
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    whole = [line for line in lines[1:] if line.endswith("\n")]
    if len(whole) < rows:
        raise BadValue(
            f"{path.name} has {len(whole)} rows, but the checkpoint counted {rows}: "
            "bring the complete file along with the checkpoint"
        )
    _replace(path, "".join([_COLUMNS, *whole[:rows]]))


def join_parts(work: Path, parts: int) -> None:
    """Join the parts 1 to ``parts`` into the whole trajectory and the whole table of energies."""
    _join(work, parts, TRAJECTORY, ENERGIES)


def join_so_far(work: Path) -> None:
    """Join what a running job has of its parts, for a look at it; the run is not disturbed."""
    parts = len(list(work.glob("traj.part*.dcd")))
    _join(work, parts, f"{SO_FAR}.dcd", f"{SO_FAR}.csv")


def _join(work: Path, parts: int, trajectory: str, energies: str) -> None:
    numbers = range(1, parts + 1)
    join_dcd([trajectory_part(work, part) for part in numbers], work / trajectory)
    rows = [
        energies_part(work, part).read_text(encoding="ascii").removeprefix(_COLUMNS)
        for part in numbers
    ]
    _replace(work / energies, "".join([_COLUMNS, *rows]))


class PartWriter:
    """Writes one part: frames, energies, and the log of progress."""

    def __init__(
        self, work: Path, part: int, settings: Settings, *, atoms: int, first_step: int
    ) -> None:
        self._total = settings.n_steps
        self._step_ps = settings.timestep_fs * 1e-3
        self._trajectory = DcdWriter(
            trajectory_part(work, part),
            atoms=atoms,
            first_step=first_step,
            interval=settings.report_interval,
            timestep_ps=self._step_ps,
        )
        self._energies = energies_part(work, part).open("w", encoding="ascii", buffering=1)
        self._energies.write(_COLUMNS)
        self._progress = (work / PROGRESS).open("a", encoding="ascii")
        self._last_progress = 0.0

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._trajectory.frames

    def frame(
        self,
        step: int,
        positions_nm: NDArray[np.floating],
        potential: float,
        temperature: float,
        speed: float,
    ) -> None:
        """Add a frame and its row: kJ/mol, kelvin, ns/day."""
        self._trajectory.write(positions_nm)
        time_ps = step * self._step_ps
        row = f"{step},{time_ps:.6g},{potential:.6f},{temperature:.3f},{speed:.1f}\n"
        self._energies.write(row)

    def progress(self, step: int, speed: float, *, force: bool = False) -> None:
        """Say where the run is, at most once a second unless forced."""
        now = monotonic()
        if force or now - self._last_progress >= _PROGRESS_INTERVAL_S:
            self._last_progress = now
            self._progress.write(f"step={step} total={self._total} ns_per_day={speed:.1f}\n")
            self._progress.flush()

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._trajectory.flush()
        self._energies.flush()
        os.fsync(self._energies.fileno())

    def close(self) -> None:
        """Flush and close all files."""
        self.flush()
        self._trajectory.close()
        self._energies.close()
        self._progress.close()


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="ascii")
    partial.replace(path)
