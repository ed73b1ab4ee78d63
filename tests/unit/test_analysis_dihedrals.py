"""Dihedral angles against an independent formula, atoms by name, frames as PDB files."""

from importlib.resources import files
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from copernicus.errors import BadValue  # noqa: E402
from copernicus.modules.analysis.dcd import DcdWriter  # noqa: E402
from copernicus.modules.analysis.dihedrals import (  # noqa: E402
    backbone_atoms,
    dihedral,
    phi_psi,
    trajectory_phi_psi,
)
from copernicus.modules.analysis.pdb import read_atoms, write_frame  # noqa: E402

ALA2 = Path(str(files("copernicus.modules"))) / "data" / "ala2"
BUILT_AT = [(-80, 80), (60, -60), (-150, 150), (-80, -50), (60, 40), (-120, 20), (65, -75)]


def coordinates(path):
    lines = [line for line in path.read_text().splitlines() if line.startswith("ATOM")]
    rows = [[float(line[30 + 8 * axis : 38 + 8 * axis]) for axis in range(3)] for line in lines]
    return np.array(rows) / 10


def by_projection(a, b, c, d):
    """The angle between the outer bonds seen along the middle one, as one sees it on paper."""
    axis = (c - b) / np.linalg.norm(c - b)
    near = (a - b) - np.dot(a - b, axis) * axis
    far = (d - c) - np.dot(d - c, axis) * axis
    cosine = np.dot(near, far) / np.linalg.norm(near) / np.linalg.norm(far)
    sign = np.sign(np.dot(np.cross(near, far), axis))
    return sign * np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_random_points_agree_with_the_projection_formula():
    points = np.random.default_rng(5).normal(size=(200, 4, 3))
    expected = [by_projection(*four) for four in points]
    np.testing.assert_allclose(dihedral(points, (0, 1, 2, 3)), expected, atol=1e-5)


@pytest.mark.parametrize(("turned", "expected"), [(0, 0), (90, 90), (-90, -90), (180, 180)])
def test_sign_is_iupac(turned, expected):
    """Looking along the bond 1-2, a clockwise turn of the far atom is positive."""
    angle = np.radians(turned)
    far = [np.cos(angle), np.sin(angle), 1.0]
    points = np.array([[[1.0, 0, 0], [0, 0, 0], [0, 0, 1.0], far]])
    assert dihedral(points, (0, 1, 2, 3))[0] == pytest.approx(expected, abs=1e-9)


def test_backbone_of_alanine_dipeptide_is_found_by_name():
    phi, psi = backbone_atoms(ALA2 / "start0.pdb")
    names = [atom.name for atom in read_atoms(ALA2 / "start0.pdb")]
    assert [names[index] for index in phi] == ["C", "N", "CA", "C"]
    assert [names[index] for index in psi] == ["N", "CA", "C", "N"]
    assert (phi, psi) == ((4, 6, 8, 14), (6, 8, 14, 16))


def test_starts_lie_near_where_they_were_built():
    for number, built in enumerate(BUILT_AT):
        path = ALA2 / f"start{number}.pdb"
        found = phi_psi(coordinates(path)[None], path)[0]
        away = (found - np.array(built) + 180) % 360 - 180
        assert np.abs(away).max() < 45, (number, found)


def test_angles_come_from_dcd_files(tmp_path):
    path = ALA2 / "start2.pdb"
    xyz = coordinates(path)
    for name, frames in (("a.dcd", 2), ("b.dcd", 3)):
        writer = DcdWriter(tmp_path / name, atoms=22, first_step=1, interval=1, timestep_ps=0.002)
        for _ in range(frames):
            writer.write(xyz)
        writer.close()
    first, second = trajectory_phi_psi([tmp_path / "a.dcd", tmp_path / "b.dcd"], path)
    assert (first.shape, second.shape) == ((2, 2), (3, 2))
    np.testing.assert_allclose(second, np.repeat(phi_psi(xyz[None], path), 3, axis=0), atol=1e-3)


def test_a_structure_of_something_else_is_refused(tmp_path):
    with pytest.raises(BadValue, match="22 atoms"):
        phi_psi(np.zeros((1, 5, 3)), ALA2 / "start0.pdb")
    lines = (ALA2 / "start0.pdb").read_text().splitlines()[:6]
    (tmp_path / "ace.pdb").write_text("\n".join(lines))
    with pytest.raises(BadValue, match=r"ace\.pdb has no residue with phi and psi"):
        backbone_atoms(tmp_path / "ace.pdb")
    (tmp_path / "empty.pdb").write_text("END\n")
    with pytest.raises(BadValue, match="no ATOM records"):
        read_atoms(tmp_path / "empty.pdb")


def test_a_frame_becomes_a_pdb_with_the_names_of_the_template(tmp_path):
    template, out = ALA2 / "start0.pdb", tmp_path / "next.pdb"
    xyz = coordinates(template) + 0.1234
    write_frame(template, xyz, out)
    assert read_atoms(out) == read_atoms(template)
    np.testing.assert_allclose(coordinates(out), xyz, atol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["next.pdb"]


def test_a_frame_that_drifted_far_is_moved_back(tmp_path):
    template, out = ALA2 / "start0.pdb", tmp_path / "next.pdb"
    xyz = coordinates(template)
    write_frame(template, xyz + 5000.0, out)
    moved = coordinates(out)
    np.testing.assert_allclose(moved - moved.mean(axis=0), xyz - xyz.mean(axis=0), atol=1e-3)


def test_frames_that_cannot_be_written_are_refused(tmp_path):
    template = ALA2 / "start0.pdb"
    with pytest.raises(BadValue, match="22 atoms"):
        write_frame(template, np.zeros((3, 3)), tmp_path / "x.pdb")
    with pytest.raises(BadValue, match="not finite"):
        write_frame(template, np.full((22, 3), np.nan), tmp_path / "x.pdb")
