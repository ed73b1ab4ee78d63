"""SEMANTICS 10.2 and DESIGN 4.9: a user's hand inside a workflow."""

import pytest

from copernicus.engine.views import instance, pins
from copernicus.errors import BadValue, Conflict
from copernicus.model import edits as ed
from support.workflows import GUIDE, compute, world


def loop(generations=3):
    w = world(GUIDE["adaptive"], starts=[1, 2], generations=generations)
    w.work(compute)
    w.starts()
    return w


def test_a_pinned_input_is_used_and_what_follows_from_it_is_run_again():
    w = loop()
    w.set("ad/md-1-0.in.conf", 500)
    assert w.starts() == ["ad/md-1-0"]
    w.work(compute)
    made = w.state.instances["ad/md-1-0"].elements[""].success
    assert w.state.activations[made].inputs == {"conf": 500}
    port = instance(w.state, "ad/md-1-0").inputs[0]
    assert (port.pinned, port.shown, port.declared) == (True, "500", "20")
    assert w.status("ad") == "done"
    assert w.value("ad/model-1.out.seeds") == [5010, 310]
    assert w.value("ad.out.model") == [50110, 3110]
    w.check()


def test_a_pin_survives_replays_until_it_is_removed():
    w = loop()
    before = w.value("ad.out.model")
    w.set("ad/md-0-1.in.conf", 7)
    w.work(compute)
    w.set("ad.in.starts", [3, 4])
    w.work(compute)
    made = w.state.instances["ad/md-0-1"].elements[""].success
    assert w.state.activations[made].inputs == {"conf": 7}
    w.set("ad.in.starts", [1, 2])
    w.work(compute)
    w.edit(ed.ClearInput("ad/md-0-1.in.conf"))
    w.work(compute)
    assert w.value("ad.out.model") == before
    assert pins(w.state) == []
    w.check()


def test_a_pin_is_no_departure_from_history_when_the_evaluator_is_replaced():
    w = world(GUIDE["adaptive"], starts=[1, 2], generations=2)
    w.set("ad/md-0-0.in.conf", 100)
    w.restart()
    w.work(compute)
    assert w.status("ad") == "done"
    w.check()


def test_a_pin_whose_key_names_another_function_dangles_and_can_be_removed():
    w = world(GUIDE["shifty"], kind="md")
    w.set("shi/it.in.conf", 9)
    w.set("shi.in.kind", "sum")
    (pin,) = pins(w.state)
    assert (pin.target, pin.shown, pin.dangling) == ("shi/it.in.conf", "9", True)
    w.check()
    w.edit(ed.ClearInput("shi/it.in.conf"))
    assert pins(w.state) == []
    w.check()


def test_elements_of_a_declared_list_are_pinned_with_the_rest_as_it_is():
    w = world(GUIDE["outer"], starts=[1, 2, 3])
    w.set("out/inner.in.start[1]", 50)
    w.edit(ed.ClearInput("out/inner.in.start[0]"))
    w.work(compute)
    starts = [w.value(f"out/inner.in.start[{i}]") for i in range(2)]
    assert starts == [50, 3]
    (pin,) = pins(w.state)
    assert pin.target == "out/inner.in.start"
    w.check()


def test_what_is_not_pinned_cannot_be_unpinned():
    w = loop()
    with pytest.raises(Conflict, match="declared by the workflow ad, and not pinned"):
        w.edit(ed.ClearInput("ad/md-0-0.in.conf"))


def test_a_pin_must_fit_its_port():
    w = world(GUIDE["adaptive"], starts=[1], generations=1)
    with pytest.raises(BadValue):
        w.set("ad/model-0.in.xs", 3)


def test_declared_instances_cannot_be_renamed_or_removed_by_hand():
    w = loop()
    for edit in (ed.RenameInstance("ad/md-0-0", "other"), ed.RemoveInstance("ad/md-0-0")):
        with pytest.raises(Conflict, match="declared by the workflow ad"):
            w.edit(edit)
