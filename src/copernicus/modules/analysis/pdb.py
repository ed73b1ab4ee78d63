"""The little of the PDB format that trajectories need: names of atoms, and frames as new files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from copernicus.errors import BadValue

_ATOM_RECORDS = ("ATOM  ", "HETATM")


@dataclass(frozen=True, slots=True)
class Atom:
    """One atom of a PDB file: its name, and the name and place of its residue."""

    name: str
    residue_name: str
    residue: tuple[str, str]


def read_atoms(path: Path) -> list[Atom]:
    """The atoms of the first model, in file order.

    Raises:
        BadValue: there is no atom in the file.
    """
    atoms = [
        Atom(
            name=line[12:16].strip(),
            residue_name=line[17:20].strip(),
            residue=(line[21:22], line[22:27].strip()),
        )
        for line in _first_model(path)
        if line.startswith(_ATOM_RECORDS)
    ]
    if not atoms:
        raise BadValue(f"{path.name} has no ATOM records: it is not a PDB structure")
    return atoms


def write_frame(template: Path, positions_nm: NDArray[np.floating], out: Path) -> None:
    """Write the template's first model with these coordinates (atoms, 3) in nm; atomically.

    Raises:
        BadValue: the number of atoms differs, or a coordinate does not fit the PDB format.
    """
    atoms = len(read_atoms(template))
    if positions_nm.shape != (atoms, 3):
        raise BadValue(
            f"{template.name} has {atoms} atoms, the frame has shape {positions_nm.shape}: "
            "take the structure that the trajectory was started from"
        )
    angstrom = np.asarray(positions_nm, dtype=np.float64) * 10.0
    if not bool(np.all(np.isfinite(angstrom))) or float(np.abs(angstrom).max()) >= 999.0:
        angstrom = _recentred(angstrom, out)
    rows = iter(angstrom)
    lines = []
    for line in _first_model(template):
        if line.startswith(_ATOM_RECORDS):
            x, y, z = next(rows)
            lines.append(f"{line[:30]}{x:8.3f}{y:8.3f}{z:8.3f}{line[54:]}")
        elif line.startswith("TER"):
            lines.append(line)
    partial = out.with_name(out.name + ".tmp")
    partial.write_text("\n".join([*lines, "END", ""]), encoding="ascii")
    partial.replace(out)


def _recentred(angstrom: NDArray[np.float64], out: Path) -> NDArray[np.float64]:
    """The fields of a PDB file are eight columns wide; a molecule that drifted is moved back."""
    moved: NDArray[np.float64] = angstrom - angstrom.mean(axis=0)
    if not bool(np.all(np.isfinite(moved))) or float(np.abs(moved).max()) >= 999.0:
        raise BadValue(f"the coordinates for {out.name} are not finite or too large for a PDB file")
    return moved


def _first_model(path: Path) -> list[str]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith("ENDMDL")), len(lines))
    return lines[:end]
