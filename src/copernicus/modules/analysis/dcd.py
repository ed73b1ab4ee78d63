"""DCD trajectories: read, write, cut back and join (CHARMM layout, angstrom on disk).

A DCD file is a header of three Fortran records followed by frames of equal size, so the number of
whole frames follows from the size of the file. The count in the header is not trusted: a program
that was killed leaves it behind the data, or leaves half a frame at the end.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from copernicus.errors import BadValue

_AKMA_PS = 0.04888821
_MAX_INT32 = 2**31 - 1
_NM_PER_ANGSTROM = 0.1
_BLOCK_BYTES = 1 << 20
_COUNT_AT = 8
_LAST_STEP_AT = 20


@dataclass(frozen=True, slots=True)
class DcdInfo:
    """What the header and the size of a DCD file say.

    Attributes:
        atoms: atoms in every frame.
        frames: whole frames in the file.
        first_step: integration step of the first frame.
        interval: integration steps between frames.
        timestep_ps: integration step in picoseconds.
        header_bytes: where the first frame begins.
        frame_bytes: size of one frame.
        cell: whether every frame begins with a unit cell.
        order: byte order as struct and numpy write it (``<`` or ``>``).
    """

    atoms: int
    frames: int
    first_step: int
    interval: int
    timestep_ps: float
    header_bytes: int
    frame_bytes: int
    cell: bool
    order: str


def dcd_info(path: Path) -> DcdInfo:
    """Read the header of a DCD file.

    Raises:
        BadValue: the file is not a DCD file, or is of a kind that is not supported (fixed atoms).
    """
    with path.open("rb") as file:
        head = file.read(104)
        if len(head) < 104 or head[4:8] != b"CORD":
            raise BadValue(f"{path.name} is not a DCD trajectory: its header is missing or damaged")
        order = "<" if head[:4] == struct.pack("<i", 84) else ">"
        control = struct.unpack(f"{order}20i", head[8:88])
        (title_bytes,) = struct.unpack(f"{order}i", head[92:96])
        file.seek(96 + title_bytes + 4)
        tail = file.read(12)
    if len(tail) < 12:
        raise BadValue(f"{path.name} is not a DCD trajectory: its header is cut off")
    if control[8] != 0:
        raise BadValue(f"{path.name} has fixed atoms: write it with all atoms in every frame")
    atoms = int(struct.unpack(f"{order}3i", tail)[1])
    cell = control[10] != 0
    header_bytes = 96 + title_bytes + 4 + 12
    frame_bytes = 3 * (4 * atoms + 8) + (56 if cell else 0)
    (delta,) = struct.unpack(f"{order}f", head[44:48])
    return DcdInfo(
        atoms=atoms,
        frames=(path.stat().st_size - header_bytes) // frame_bytes,
        first_step=control[1],
        interval=control[2],
        timestep_ps=delta * _AKMA_PS,
        header_bytes=header_bytes,
        frame_bytes=frame_bytes,
        cell=cell,
        order=order,
    )


def read_dcd(path: Path) -> NDArray[np.float32]:
    """Coordinates of all whole frames in nm, as an array (frames, atoms, 3).

    Raises:
        BadValue: not a DCD file, or damaged between the frames.
    """
    info = dcd_info(path)
    lead = 56 if info.cell else 0
    frame = np.dtype(
        {
            "names": ["before", "xyz"],
            "formats": [f"{info.order}i4", (f"{info.order}f4", (3, info.atoms + 2))],
            "offsets": [lead, lead],
            "itemsize": info.frame_bytes,
        }
    )
    data = np.fromfile(path, dtype=frame, count=info.frames, offset=info.header_bytes)
    if not bool(np.all(data["before"] == 4 * info.atoms)):
        raise BadValue(f"{path.name} is damaged: its frames do not begin where they should")
    xyz = data["xyz"][:, :, 1:-1].transpose(0, 2, 1)
    return np.ascontiguousarray(xyz, dtype=np.float32) * np.float32(_NM_PER_ANGSTROM)


def cut_dcd(path: Path, frames: int) -> None:
    """Keep the first ``frames`` frames.

    Raises:
        BadValue: the file has fewer frames than that.
    """
    info = dcd_info(path)
    if info.frames < frames:
        raise BadValue(
            f"{path.name} has {info.frames} frames, but the checkpoint counted {frames}: "
            "bring the complete file along with the checkpoint"
        )
    with path.open("r+b") as file:
        file.truncate(info.header_bytes + frames * info.frame_bytes)
        _write_count(file, frames, info.first_step, info.interval, info.order)


def join_dcd(parts: Sequence[Path], joined: Path) -> int:
    """Put the frames of the parts one after another into ``joined``; returns how many there are.

    The parts must have the same atoms and layout; the header of the first is kept.

    Raises:
        BadValue: there is no part, or a part has other atoms than the first.
    """
    if not parts:
        raise BadValue(f"there is no trajectory part to join into {joined.name}")
    infos = [dcd_info(part) for part in parts]
    first = infos[0]
    partial = joined.with_name(joined.name + ".tmp")
    with partial.open("w+b") as out:
        _copy(parts[0], 0, first.header_bytes, out)
        for part, info in zip(parts, infos, strict=True):
            if (info.atoms, info.cell, info.order) != (first.atoms, first.cell, first.order):
                raise BadValue(
                    f"{part.name} has {info.atoms} atoms, {parts[0].name} has {first.atoms}: "
                    "these are not parts of one trajectory"
                )
            _copy(part, info.header_bytes, info.frames * info.frame_bytes, out)
        total = sum(info.frames for info in infos)
        _write_count(out, total, first.first_step, first.interval, first.order)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(joined)
    return total


def _copy(source: Path, start: int, size: int, out: BinaryIO) -> None:
    with source.open("rb") as file:
        file.seek(start)
        while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
            out.write(block)
            size -= len(block)


class DcdWriter:
    """Writes frames to a new DCD file; the header's count is brought up to date by ``flush``."""

    def __init__(
        self, path: Path, *, atoms: int, first_step: int, interval: int, timestep_ps: float
    ) -> None:
        self._atoms = atoms
        self._first_step = first_step
        self._interval = interval
        self._file = path.open("wb")
        self.frames = 0
        self._file.write(self._header(timestep_ps))

    def _header(self, timestep_ps: float) -> bytes:
        control = [0, min(self._first_step, _MAX_INT32), self._interval, 0, 0, 0, 0, 0, 0]
        titles = b"Written by Copernicus".ljust(160)
        return b"".join(
            [
                struct.pack("<i4s9if", 84, b"CORD", *control, timestep_ps / _AKMA_PS),
                struct.pack("<10i", 0, 0, 0, 0, 0, 0, 0, 0, 0, 24),
                struct.pack("<i", 84),
                struct.pack("<2i160si", 164, 2, titles, 164),
                struct.pack("<3i", 4, self._atoms, 4),
            ]
        )

    def write(self, positions_nm: NDArray[np.floating]) -> None:
        """Add one frame (atoms, 3), in nm."""
        record = np.empty(
            3, dtype=[("before", "<i4"), ("x", "<f4", (self._atoms,)), ("after", "<i4")]
        )
        record["before"] = record["after"] = 4 * self._atoms
        record["x"] = positions_nm.T / _NM_PER_ANGSTROM
        self._file.write(record.tobytes())
        self.frames += 1

    def flush(self) -> None:
        """Bring data and header to the disk."""
        _write_count(self._file, self.frames, self._first_step, self._interval, "<")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


def _write_count(file: BinaryIO, frames: int, first_step: int, interval: int, order: str) -> None:
    last_step = first_step + max(frames - 1, 0) * interval
    file.seek(_COUNT_AT)
    file.write(struct.pack(f"{order}i", frames))
    file.seek(_LAST_STEP_AT)
    file.write(struct.pack(f"{order}i", min(last_step, _MAX_INT32)))
    file.seek(0, os.SEEK_END)
