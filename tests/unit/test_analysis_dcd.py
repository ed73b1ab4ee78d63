"""DCD files: what is written is read back, damage is seen, parts join."""

import struct

import pytest

np = pytest.importorskip("numpy")

from copernicus.errors import BadValue  # noqa: E402
from copernicus.modules.analysis.dcd import (  # noqa: E402
    DcdWriter,
    cut_dcd,
    dcd_info,
    join_dcd,
    read_dcd,
)

ATOMS = 5


def write(path, frames, first_step=10):
    writer = DcdWriter(path, atoms=ATOMS, first_step=first_step, interval=10, timestep_ps=0.002)
    for frame in frames:
        writer.write(frame)
    writer.close()


def some_frames(number, seed=1):
    return np.random.default_rng(seed).normal(size=(number, ATOMS, 3)).astype(np.float32)


def test_frames_and_header_come_back(tmp_path):
    frames = some_frames(7)
    write(tmp_path / "a.dcd", frames)
    info = dcd_info(tmp_path / "a.dcd")
    assert (info.atoms, info.frames, info.first_step, info.interval) == (ATOMS, 7, 10, 10)
    assert info.timestep_ps == pytest.approx(0.002, rel=1e-6)
    np.testing.assert_allclose(read_dcd(tmp_path / "a.dcd"), frames, rtol=1e-6, atol=1e-7)


def test_half_a_frame_and_a_stale_count_are_ignored(tmp_path):
    path = tmp_path / "a.dcd"
    write(path, some_frames(4))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20)
        file.seek(8)
        file.write(struct.pack("<i", 99))
    assert read_dcd(path).shape == (3, ATOMS, 3)


def test_a_file_without_frames_has_none(tmp_path):
    write(tmp_path / "a.dcd", [])
    assert read_dcd(tmp_path / "a.dcd").shape == (0, ATOMS, 3)


def test_big_endian_files_with_unit_cells_are_read(tmp_path):
    frame = np.arange(3 * ATOMS, dtype=np.float32).reshape(ATOMS, 3)
    control = [1, 0, 1, 0, 0, 0, 0, 0, 0]
    blocks = [struct.pack(">i4s9if10ii", 84, b"CORD", *control, 0.04, 1, *[0] * 8, 24, 84)]
    blocks += [struct.pack(">2i80si", 84, 1, b"title", 84), struct.pack(">3i", 4, ATOMS, 4)]
    blocks += [struct.pack(">i6di", 48, *[10.0] * 6, 48)]
    blocks += [
        struct.pack(f">i{ATOMS}fi", 4 * ATOMS, *frame[:, axis], 4 * ATOMS) for axis in range(3)
    ]
    (tmp_path / "b.dcd").write_bytes(b"".join(blocks))
    assert dcd_info(tmp_path / "b.dcd").cell
    np.testing.assert_allclose(read_dcd(tmp_path / "b.dcd")[0], frame / 10, rtol=1e-6)


def test_cut_keeps_the_first_frames(tmp_path):
    path = tmp_path / "a.dcd"
    frames = some_frames(6)
    write(path, frames)
    cut_dcd(path, 2)
    assert dcd_info(path).frames == 2
    np.testing.assert_allclose(read_dcd(path), frames[:2], rtol=1e-6, atol=1e-7)
    with pytest.raises(BadValue, match="2 frames, but the checkpoint counted 3"):
        cut_dcd(path, 3)


def test_parts_join_in_order_without_their_damaged_ends(tmp_path):
    frames = some_frames(9)
    parts = [tmp_path / f"{name}.dcd" for name in "abc"]
    for part, piece in zip(parts, (frames[:4], frames[4:4], frames[4:]), strict=True):
        write(part, piece)
    with parts[0].open("ab") as file:
        file.write(b"half a frame")
    assert join_dcd(parts, tmp_path / "all.dcd") == 9
    np.testing.assert_allclose(read_dcd(tmp_path / "all.dcd"), frames, rtol=1e-6, atol=1e-7)
    (count,) = struct.unpack("<i", (tmp_path / "all.dcd").read_bytes()[8:12])
    assert count == 9


def test_parts_of_different_molecules_do_not_join(tmp_path):
    write(tmp_path / "a.dcd", some_frames(1))
    other = DcdWriter(tmp_path / "b.dcd", atoms=3, first_step=1, interval=1, timestep_ps=0.002)
    other.close()
    with pytest.raises(BadValue, match="not parts of one trajectory"):
        join_dcd([tmp_path / "a.dcd", tmp_path / "b.dcd"], tmp_path / "all.dcd")
    with pytest.raises(BadValue, match="no trajectory part"):
        join_dcd([], tmp_path / "all.dcd")


@pytest.mark.parametrize("content", [b"", b"not a trajectory" * 10])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.dcd").write_bytes(content)
    with pytest.raises(BadValue, match=r"x\.dcd is not a DCD trajectory"):
        read_dcd(tmp_path / "x.dcd")


def test_damage_between_frames_is_seen(tmp_path):
    path = tmp_path / "a.dcd"
    write(path, some_frames(3))
    info = dcd_info(path)
    data = bytearray(path.read_bytes())
    data[info.header_bytes + info.frame_bytes] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadValue, match="damaged"):
        read_dcd(path)
