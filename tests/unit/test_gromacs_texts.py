"""Parameters and plots as texts."""

from __future__ import annotations

import pytest

from copernicus.errors import BadValue
from copernicus.modules.gromacs.functions import edit_mdp, join_xvg, read_xvg
from copernicus.modules.gromacs.texts import change_settings, join_parts, table_of
from copernicus.sdk import File
from copernicus.sdk.calling import Task, running

MDP = "; a comment\nintegrator = sd\nnstxout_compressed=250\n  dt = 0.002 ; ps\n"
HEAD = '# made by gmx\n@    title "dH/dl"\n@ s0 legend "A"\n@ s1 legend "B b"\n'


def xvg(*times, value=1.0):
    return HEAD + "".join(f"{time:.4f} {value} {value + 1}\n" for time in times)


def local(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return File("f" * 64, len(text), name, str(path))


def test_settings_are_replaced_and_added():
    assert change_settings(MDP, {"nstxout-compressed": "10", "dt": "0.001", "nsteps": "5"}) == (
        "; a comment\nintegrator = sd\nnstxout-compressed = 10\ndt = 0.001\nnsteps = 5\n"
    )


def test_settings_in_other_spellings_are_the_same():
    assert change_settings(MDP, {"NSTXOUT-compressed": "1", "Integrator": "md"}).count("=") == 3


@pytest.mark.parametrize("wrong", [{"a b": "1"}, {"dt": "1\nnsteps = 2"}, {"dt": "1 ; no"}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(BadValue, match="cannot stand in an mdp file"):
        change_settings(MDP, wrong)


def test_later_parts_count():
    joined = join_parts([xvg(0, 1, 2, 3), xvg(2, 3, 4, value=5.0), xvg(), xvg(4, 5, value=7.0)])
    table = table_of(joined, "x")
    assert table.x == [0, 1, 2, 3, 4, 5]
    assert table.columns == [[1, 1, 5, 5, 7, 7], [2, 2, 6, 6, 8, 8]]
    assert joined.count("title") == 1


def test_what_a_killed_part_wrote_last_is_cut_off():
    for cut in ("3.0000 1.0", "3.0000 1.0\n", "3."):
        assert table_of(join_parts([xvg(0, 1) + cut]), "x").x == [0, 1]


def test_numbers_and_names():
    table = table_of(xvg(0, 0.5), "x")
    assert (table.x, table.names) == ([0, 0.5], ["A", "B b"])
    assert table_of("1 2\n3 4\n", "x").names == ["column 1"]


@pytest.mark.parametrize("text", ["", "no numbers\n", HEAD])
def test_no_plot(text):
    with pytest.raises(BadValue, match=r"a\.xvg is no xvg file with rows of numbers"):
        table_of(text, "a.xvg")


def test_numbers_that_are_not_finite():
    with pytest.raises(BadValue, match="did the simulation blow up"):
        table_of("0 1\n1 nan\n", "a.xvg")


def test_as_tasks(tmp_path):
    with running(Task(tmp_path)):
        edited = edit_mdp(local(tmp_path, "md.mdp", MDP), {"dt": "0.004"}).mdp
        parts = [local(tmp_path, f"{n}.xvg", xvg(n, n + 1)) for n in (0, 1)]
        joined = join_xvg(parts).xvg
    assert "dt = 0.004" in edited.path.read_text()
    assert joined.is_new
    assert read_xvg(joined).x == [0, 1, 2]
    with pytest.raises(BadValue, match="parts is empty"):
        join_xvg([])
