"""A snapshot is the state of its position, or nothing at all."""

import pytest

from copernicus.engine import snapshot
from copernicus.engine.core import fold
from copernicus.engine.snapshot import dump, load
from support.workflows import adaptive, compute, racing, world
from support.world import check_fold


@pytest.fixture(params=["half done", "done"])
def loop(request):
    w = world(adaptive, starts=[1, 2], generations=3)
    w.work(compute, limit=4 if request.param == "half done" else 100)
    return w


def test_a_snapshot_tells_what_the_journal_tells(loop):
    again = load(dump(loop.state))
    assert again.facts() == loop.state.facts()
    check_fold(fold((), again), loop.journal)


def test_it_is_the_same_in_however_many_parts(loop, monkeypatch):
    monkeypatch.setattr(snapshot, "_EACH", 1)
    assert len(loop.state.activations) > 1
    again = load(dump(loop.state))
    assert again.facts() == loop.state.facts()
    assert list(again.activations) == list(loop.state.activations)
    check_fold(fold((), again), loop.journal)


def test_from_any_position_on_the_rest_of_the_journal_leads_to_the_same():
    w = world(racing, starts=[1, 2, 3], at_least=2)
    w.work(compute)
    for taken in range(len(w.journal)):
        again = fold(w.journal[taken:], load(dump(fold(w.journal[:taken]))))
        check_fold(again, w.journal)


def test_the_work_goes_on_from_a_snapshot():
    w = world(adaptive, starts=[1, 2], generations=4)
    w.work(compute, limit=5)
    w._recall = lambda: fold((), load(dump(fold(w.journal))))
    w.restart()
    w.work(compute)
    w.check()
    assert w.status("ad") == "done"


@pytest.mark.parametrize("place", [0, 10, 40, -1])
def test_a_damaged_one_is_none(loop, place):
    data = bytearray(dump(loop.state))
    data[place] ^= 1
    assert load(bytes(data)) is None


def test_one_that_was_cut_off_is_none(loop):
    data = dump(loop.state)
    assert [load(data[:size]) for size in (0, 5, 32, len(data) - 1)] == [None] * 4


def test_one_of_another_version_is_none(loop, monkeypatch):
    data = dump(loop.state)
    assert load(data) is not None
    monkeypatch.setattr(snapshot, "_FORM", snapshot._FORM + " ")
    assert load(data) is None
