"""Ramachandran plots are PNG files of the right size, whatever was visited."""

import struct

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")

from copernicus.modules.analysis.plot import ramachandran  # noqa: E402
from copernicus.modules.analysis.surface import Seed, free_energy_surface  # noqa: E402


def some_angles(frames):
    return np.random.default_rng(2).normal((-80.0, 70.0), 25.0, size=(frames, 2))


@pytest.mark.parametrize("frames", [1, 5000])
def test_a_plot_is_a_png(tmp_path, frames):
    surface = free_energy_surface([some_angles(frames)], 600.0, bins=24)
    ramachandran(surface, tmp_path / "f.png", seeds=[Seed(0, 0, -170.0, 179.0)], title="Round 1")
    data = (tmp_path / "f.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">2I", data[16:24]) == (1080, 920)
    assert [file.name for file in tmp_path.iterdir()] == ["f.png"]


def test_the_colour_scale_can_be_fixed(tmp_path):
    surface = free_energy_surface([some_angles(2000)], 600.0)
    ramachandran(surface, tmp_path / "low.png", highest=10.0)
    ramachandran(surface, tmp_path / "own.png")
    assert (tmp_path / "low.png").read_bytes() != (tmp_path / "own.png").read_bytes()
