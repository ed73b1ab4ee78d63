"""Backbone dihedral angles of trajectories, in degrees, with the IUPAC sign (cis = 0)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from copernicus.errors import BadValue
from copernicus.modules.analysis.dcd import read_dcd
from copernicus.modules.analysis.pdb import read_atoms

Quadruple = tuple[int, int, int, int]


def dihedral(positions: NDArray[np.floating], atoms: Quadruple) -> NDArray[np.float64]:
    """Dihedral angle of four atoms in every frame, in degrees in (-180, 180].

    Args:
        positions: coordinates (frames, atoms, 3), in any unit.
        atoms: indices of the four atoms along the chain.
    """
    a, b, c, d = (positions[:, index, :].astype(np.float64) for index in atoms)
    first, axis, last = b - a, c - b, d - c
    normal_1 = np.cross(first, axis)
    normal_2 = np.cross(axis, last)
    length = np.linalg.norm(axis, axis=1)
    y = length * np.einsum("ij,ij->i", first, normal_2)
    x = np.einsum("ij,ij->i", normal_1, normal_2)
    degrees = np.degrees(np.arctan2(y, x))
    return np.where(degrees == -180.0, 180.0, degrees)


def backbone_atoms(structure: Path) -> tuple[Quadruple, Quadruple]:
    """Indices of the atoms of phi and psi of the first residue that has both neighbours.

    For alanine dipeptide (ACE-ALA-NME) this is the alanine: phi is C(ACE) N CA C, psi is
    N CA C N(NME).

    Raises:
        BadValue: no residue of the structure has phi and psi.
    """
    residues: dict[tuple[str, str], dict[str, int]] = {}
    for index, atom in enumerate(read_atoms(structure)):
        residues.setdefault(atom.residue, {})[atom.name] = index
    chain = list(residues.values())
    for before, here, after in zip(chain, chain[1:], chain[2:], strict=False):
        if "C" in before and {"N", "CA", "C"} <= here.keys() and "N" in after:
            phi = (before["C"], here["N"], here["CA"], here["C"])
            psi = (here["N"], here["CA"], here["C"], after["N"])
            return phi, psi
    raise BadValue(
        f"{structure.name} has no residue with phi and psi: atoms C, then N CA C, then N are "
        "needed in three residues in a row"
    )


def phi_psi(positions: NDArray[np.floating], structure: Path) -> NDArray[np.float64]:
    """Angles (frames, 2) = (phi, psi) in degrees of coordinates (frames, atoms, 3).

    Raises:
        BadValue: the structure has other atoms than the trajectory, or no phi and psi.
    """
    atoms = len(read_atoms(structure))
    if positions.ndim != 3 or positions.shape[1:] != (atoms, 3):
        raise BadValue(
            f"{structure.name} has {atoms} atoms, the trajectory has shape {positions.shape}: "
            "take the structure that the trajectory was started from"
        )
    phi, psi = backbone_atoms(structure)
    return np.column_stack([dihedral(positions, phi), dihedral(positions, psi)])


def trajectory_phi_psi(trajectories: Sequence[Path], structure: Path) -> list[NDArray[np.float64]]:
    """(phi, psi) in degrees of every DCD file: one array (frames, 2) for each."""
    return [phi_psi(read_dcd(path), structure) for path in trajectories]
