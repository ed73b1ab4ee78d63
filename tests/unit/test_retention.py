"""Files of results that nothing uses any more: what may go, and what is made again."""

from __future__ import annotations

import pytest

from copernicus.engine import retention
from copernicus.engine.retention import DAY, Kept, plan
from copernicus.errors import BadValue
from copernicus.model import edits as ed
from copernicus.model.jobs import StoredFile
from copernicus.model.retention import Retention, check_retention
from copernicus.model.values import File
from support.world import World, task_spec

AT_ONCE = Retention(0.0)


def a_file(name: str, size: int = 10) -> dict[str, object]:
    return File((name.encode().hex() + "0" * 64)[:64], size, name).plain()


def sha(name: str) -> str:
    return str(a_file(name)["$file"])


def a_world() -> World:
    """``md`` makes a trajectory and a report; ``look`` reads the trajectory."""
    w = World(task_spec("m.md", "x", "traj report"), task_spec("m.look", "traj"))
    w.add("md", "m.md", x=1)
    w.done("md", traj=a_file("t1"), report=a_file("r1"))
    return w


def planned(w, rules=AT_ONCE, now=1.0, *, named=(), gone=(), lines=None, since=None):
    kept = Kept(named.__contains__, gone.__contains__, lines or {})
    seen = {made.id: 0.0 for made in retention.unused(w.state, kept)} if since is None else since
    return plan(w.state, rules, seen, now, kept)


def drop(w, found):
    w._took(retention.drop(w.state, found, 5.0))
    w.check()


def test_what_stands_in_the_network_stays():
    w = a_world()
    assert planned(w).going == {}
    w.add("look", "m.look", traj="md.out.traj")
    w.set("md.in.x", 2)
    assert planned(w).going == {}, "a stale value is shown, and fed to ports that take the latest"


def test_a_superseded_result_goes_with_its_files_each_once():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r1"))
    found = planned(w)
    assert set(found.going) == {sha("t1")}, "the report is the same file as the new one"
    (going,) = found.going.values()
    assert (going.path, going.function, going.port) == ("md", "m.md", "traj")
    assert found.activations == (going.activation,)


def test_what_was_an_input_of_something_that_stands_stays():
    w = a_world()
    w.add("look", "m.look", traj="md.out.traj")
    w.done("look", y=1)
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    assert set(planned(w).going) == {sha("r1")}, "the value of look was made of the old trajectory"
    w.done("look", y=2)
    assert set(planned(w).going) == {sha("t1"), sha("r1")}


def test_named_by_anything_else_it_stays():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    assert set(planned(w, named={sha("t1")}).going) == {sha("r1")}


def test_rules_of_an_output_win_over_those_of_its_function_and_the_project():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    rules = Retention(30.0, {"m.md": None, "m.md.out.traj": 7.0})
    assert planned(w, rules, 6.9 * DAY).going == {}
    found = planned(w, rules, 7.0 * DAY)
    assert set(found.going) == {sha("t1")}
    assert set(planned(w, Retention(30.0), 30 * DAY).going) == {sha("t1"), sha("r1")}
    assert planned(w, Retention(None), 1e12).going == {}
    assert planned(w, Retention(30.0), 0.0).waiting == 1


def test_the_days_are_counted_from_when_it_was_first_seen():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    assert planned(w, now=1e12, since={}).going == {}


def test_the_rest_goes_later_when_its_own_rule_is_due():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    rules = Retention(30.0, {"m.md.out.traj": 7.0})
    found = planned(w, rules, 8 * DAY)
    drop(w, found)
    assert planned(w, rules, 8 * DAY, gone=found.going).going == {}
    assert set(planned(w, rules, 31 * DAY, gone=found.going).going) == {sha("r1")}


def test_a_result_without_its_files_is_made_again():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    w.edit(ed.SetInput("md.in.x", 1), reuse=True)
    assert w.value("md.out.traj") == a_file("t1"), "as long as it is there, it is taken back"
    w.edit(ed.SetInput("md.in.x", 2), reuse=True)
    drop(w, planned(w))
    w.edit(ed.SetInput("md.in.x", 1), reuse=True)
    assert w.status("md") == "queued"
    w.done("md", traj=a_file("t1"), report=a_file("r1"))
    assert w.value("md.out.traj") == a_file("t1")
    w.check()


def test_an_element_taken_out_of_its_list_is_made_again_when_it_is_back():
    w = World(task_spec("m.md", "x", "traj"))
    w.add("md", "m.md", x=[1, 2], mapped=["x"])
    w.done("md[0]", traj=a_file("t1"))
    w.done("md[1]", traj=a_file("t2"))
    w.set("md.in.x", [1])
    found = planned(w)
    assert set(found.going) == {sha("t2")}
    drop(w, found)
    w.set("md.in.x", [1, 2])
    assert w.value("md.out.traj[0]") == a_file("t1")
    assert w.status("md[1]") == "queued"


def test_of_a_removed_instance_all_goes():
    w = a_world()
    w.edit(ed.RemoveInstance("md"))
    assert set(planned(w).going) == {sha("t1"), sha("r1")}
    drop(w, planned(w))


def test_checkpoints_go_with_the_work_that_nobody_does_any_more():
    w = a_world()
    w.set("md.in.x", 2)
    made = next(one for one in w.state.activations.values() if one.job)
    file = StoredFile("state.cpt", sha("c1"), 5)
    key = made.job.checkpoint_key
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    found = planned(w, lines={key: (file,)})
    assert sha("c1") in found.going
    assert found.lines == (key,)
    newest = list(w.state.activations.values())[-1]
    kept = planned(w, lines={newest.job.checkpoint_key: (file,)})
    assert sha("c1") not in kept.going
    assert kept.lines == ()


def test_what_made_a_file_that_is_gone_is_known():
    w = a_world()
    w.set("md.in.x", 2)
    w.done("md", traj=a_file("t2"), report=a_file("r2"))
    assert retention.dropped_file(w.state, sha("t1")) is None
    drop(w, planned(w))
    found = retention.dropped_file(w.state, sha("t1"))
    assert (found.path, found.port, found.file.name) == ("md", "traj", "t1")
    assert retention.dropped_file(w.state, sha("t2")) is None


@pytest.mark.parametrize("days", [-1.0, float("nan"), float("inf")])
def test_days_that_cannot_be_are_refused(days):
    with pytest.raises(BadValue, match=r"m\.md cannot be kept"):
        check_retention(Retention(3.0, {"m.md": days}))
