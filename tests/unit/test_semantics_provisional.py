"""SEMANTICS 2.2: what running jobs have so far."""

import pytest

from copernicus.engine.views import instance, trace
from copernicus.errors import BadDefinition, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port, check_spec
from copernicus.model.paths import parse
from copernicus.model.types import AnyType, ListType
from support.workflows import GUIDE, SPECS, world
from support.world import World, task_spec

ONE = task_spec("m.one", "x")
WATCH = task_spec("m.watch", [Port("x", AnyType(), streaming=True)])
TABLE = task_spec("m.table", [Port("xs", ListType(AnyType()), streaming=True)])


def pair():
    """A run and something that watches it; behind that an ordinary block and another watcher."""
    w = World(ONE, WATCH, TABLE)
    w.add("run", "m.one", x=1)
    w.add("watch", "m.watch", x="run.out.y")
    w.add("after", "m.one", x="watch.out.y")
    w.add("chain", "m.watch", x="watch.out.y")
    w.starts()
    return w


def inputs(w, path):
    return w.state.activations[w.running(path)].inputs


def test_a_streaming_port_takes_what_a_running_job_has_so_far():
    w = pair()
    assert w.streams == {w.running("run"): ("y",)}
    w.so_far("run", y="a")
    assert inputs(w, "watch") == {"x": "a"}
    assert (w.status("after"), w.starts()) == ("waiting", ["watch"])
    w.check()


def test_what_is_made_of_provisional_inputs_is_provisional_and_no_result():
    w = pair()
    w.so_far("run", y="a")
    w.done("watch", y="seen a")
    assert inputs(w, "chain") == {"x": "seen a"}
    assert w.standing("watch.out.y") == "waiting"
    assert w.status("after") == "waiting"
    with pytest.raises(NotFound):
        trace(w.state, parse("watch.out.y"))
    shown = instance(w.state, "watch").outputs[0]
    assert (shown.state, shown.shown) == ("provisional", "seen a")
    w.check()


def test_versions_are_coalesced_while_the_watcher_runs():
    w = pair()
    for sequence in range(1, 6):
        w.so_far("run", sequence=sequence, y=sequence)
    w.done("watch", y="first")
    assert inputs(w, "watch") == {"x": 5}
    assert sorted(w.starts()) == ["chain", "watch", "watch"]
    w.check()


def test_the_end_of_the_job_ends_what_is_provisional_and_fires_for_the_result():
    w = pair()
    w.so_far("run", y="part")
    w.done("watch", y="of a part")
    stopped = w.running("chain")
    w.done("run", y="part")
    assert w.state.activations[stopped].outcome == "stopped"
    assert inputs(w, "watch") == {"x": "part"}
    assert not w.state.activations[w.running("watch")].provisional
    w.done("watch", y="of all")
    assert w.standing("watch.out.y") == "current"
    assert inputs(w, "after") == inputs(w, "chain") == {"x": "of all"}
    w.check()


def test_a_result_late_from_a_stopped_provisional_run_is_none():
    w = pair()
    w.so_far("run", y="part")
    old = w.running("watch")
    w.done("run", y="all")
    assert w.done(old, y="of a part") == []
    assert w.standing("watch.out.y") == "waiting"
    w.check()


def test_what_a_lost_attempt_gave_is_withdrawn_with_all_that_came_of_it():
    w = pair()
    w.so_far("run", y="a")
    w.done("watch", y="seen a")
    running = w.running("chain")
    w.lost("run")
    assert w.state.activations[running].outcome == "stopped"
    assert (w.status("watch"), w.status("chain")) == ("waiting", "waiting")
    assert instance(w.state, "watch").outputs[0].state == "waiting"
    w.so_far("run", attempt=2, y="a")
    assert w.status("chain") == "waiting"
    w.done("watch", y="seen a again")
    assert inputs(w, "chain") == {"x": "seen a again"}
    w.check()


def test_old_equal_and_unwanted_news_is_no_event():
    w = pair()
    w.so_far("run", attempt=2, sequence=3, y="a")
    assert w.so_far("run", attempt=2, sequence=3, y="b") == []
    assert w.so_far("run", attempt=1, sequence=9, y="b") == []
    assert w.so_far("run", attempt=2, sequence=4, y="a") == []
    w.edit(ed.AddInstance("alone", "m.one", held=False), ed.SetInput("alone.in.x", 1))
    assert w.so_far("alone", y="a") == []
    assert w.lost("run", attempt=1) == []
    w.check()


def test_a_watcher_connected_later_begins_with_the_running_job():
    w = World(ONE, WATCH, TABLE)
    w.add("run", "m.one", x=1)
    assert w.streams == {}
    w.add("watch", "m.watch", x="run.out.y")
    assert w.streams == {w.running("run"): ("y",)}
    w.restart()
    assert w.streams == {w.running("run"): ("y",)}
    w.check()


def test_a_watcher_that_fails_on_a_part_has_not_failed():
    w = pair()
    w.so_far("run", y="a")
    w.fails("watch")
    assert w.status("watch") == "waiting"
    w.so_far("run", sequence=2, y="b")
    w.done("watch", y="seen b")
    w.done("run", y="c")
    w.done("watch", y="seen c")
    assert w.value("watch.out.y") == "seen c"
    w.check()


def test_a_list_is_streamed_as_far_as_it_is_there():
    w = World(ONE, WATCH, TABLE)
    w.add("run", "m.one", mapped=["x"], x=[1, 2, 3])
    w.add("table", "m.table", xs="run.out.y")
    w.so_far("run[1]", y="b")
    assert inputs(w, "table") == {"xs": ["b"]}
    w.done("run[0]", y="a")
    w.done("table", y=0)
    assert inputs(w, "table") == {"xs": ["a", "b"]}
    w.done("table", y=0)
    w.done("run[1]", y="bb")
    w.done("run[2]", y="c")
    assert inputs(w, "table") == {"xs": ["a", "bb", "c"]}
    w.done("table", y=9)
    assert w.standing("table.out.y") == "current"
    w.check()


def test_a_workflows_output_is_streamed_through_its_border():
    w = world(GUIDE["inner_run"], conf=1)
    w.add("watch", "m.watch", xs="inn.out.y")
    assert w.streams == {w.running("inn/run"): ("y",)}
    w.so_far("inn/run", y="a")
    assert inputs(w, "watch") == {"xs": "a"}
    w.done("watch", y=0)
    w.done("inn/run", y="b")
    w.done("watch", y="seen b")
    assert w.value("watch.out.y") == "seen b"
    w.check()


def test_case_2d_what_was_peeked_at_stays_when_its_attempt_dies():
    w = world(GUIDE["peeking"])
    assert w.streams == {w.running("pee/run"): ("y",)}
    w.so_far("pee/run", y=5)
    assert w.value("pee.out.seen") == 5
    assert inputs(w, "pee/other") == {"conf": 5}
    w.lost("pee/run")
    w.restart()
    assert inputs(w, "pee/other") == {"conf": 5}
    w.done("pee/run", y=100)
    w.done("pee/other", y=6)
    assert (w.status("pee"), w.value("pee.out.seen"), w.value("pee.out.y")) == ("done", 5, 6)
    taken = next(e for e in w.journal if isinstance(e, ev.Decided) and e.kind == "peek")
    assert taken.outcome["values"] == [5]
    assert taken.outcome["origins"] == [[w.state.instances["pee/run"].elements[""].success]]
    w.check()


def test_a_peek_at_what_is_done_sees_its_value():
    w = world(GUIDE["peeking"])
    w.done("pee/run", y=8)
    assert w.value("pee.out.seen") == 8
    w.check()


def test_a_workflow_and_a_latest_port_cannot_stream():
    for port in (Port("x", AnyType(), streaming=True, latest=True),):
        with pytest.raises(BadDefinition, match="cannot stream"):
            check_spec(task_spec("m.bad", [port]))
    assert any(spec.name == "m.watch" for spec in SPECS)
