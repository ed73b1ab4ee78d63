"""Results used again: the same version of the same function, equal inputs, in one project."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.engine.views import trace
from copernicus.errors import BadDefinition
from copernicus.model import edits as ed
from copernicus.model.events import ActivationEnded
from copernicus.model.functions import Port, check_spec
from copernicus.model.jobs import AttemptRecord
from copernicus.model.paths import parse
from copernicus.model.reports import JobEnded
from copernicus.model.types import AnyType, IntType
from support.world import World, task_spec

RAN = AttemptRecord(1, "w1", "desk", "2.0", 1, 10.0, 20.0, "completed", 0)


def finish(w, path, value, attempt=RAN):
    activation = w.running(path)
    w.queue.pop(activation)
    w.report(JobEnded(activation, outputs={"y": value}, attempts=(attempt,)))


def test_an_equal_call_takes_the_result_and_says_so():
    w = World(task_spec("m.one", "x", cache=True), task_spec("m.all", "x"))
    w.add("a", "m.one", x=5)
    finish(w, "a", 50)
    w.add("b", "m.one", x=5)
    w.add("c", "m.all", x="b.out.y")
    assert (w.value("b.out.y"), w.status("b")) == (50, "done")
    assert set(w.queue) == {w.running("c")}
    found = trace(w.state, parse("b.out.y"))
    assert found.root.attempts == ()
    assert found.steps[found.root.reused].path == "a"
    assert found.steps[found.root.reused].attempts == (RAN,)
    w.add("d", "m.one", x=6)
    assert w.status("d") == "queued"
    w.check()
    w.restart()
    w.add("e", "m.one", x=5)
    assert w.status("e") == "done"
    w.check()


def test_mapped_elements_share_results_too():
    w = World(task_spec("m.one", "x", cache=True))
    w.add("a", "m.one", mapped=["x"], x=[1, 2, 3])
    for i in range(3):
        finish(w, f"a[{i}]", i)
    w.add("b", "m.one", mapped=["x"], x=[3, 1, 4])
    assert [w.status(f"b[{i}]") for i in range(3)] == ["done", "done", "queued"]
    assert w.state.core_seconds == 30.0
    w.check()


def test_retry_runs_again():
    w = World(task_spec("m.one", "x", cache=True))
    w.add("a", "m.one", x=5)
    finish(w, "a", 50)
    w.add("b", "m.one", x=5)
    w.edit(ed.Retry("b"))
    finish(w, "b", 51)
    assert w.value("b.out.y") == 51
    assert w.value("a.out.y") == 50
    w.check()


def test_what_nobody_asked_for_is_not_used_again():
    w = World(task_spec("m.one", "x"))
    w.add("a", "m.one", x=5)
    finish(w, "a", 50)
    w.add("b", "m.one", x=5)
    assert w.status("b") == "queued"


def test_a_result_of_an_unknown_program_version_is_not_used_again():
    w = World(task_spec("m.one", "x", cache=True))
    w.add("a", "m.one", x=5)
    finish(w, "a", 50, AttemptRecord(1, "w1", outcome="completed"))
    w.add("b", "m.one", x=5)
    assert w.status("b") == "queued"


def test_another_version_of_the_function_runs():
    w = World(task_spec("m.one", "x", cache=True))
    w.add("a", "m.one", x=5)
    finish(w, "a", 50)
    w.catalog["m.one"] = msgspec.structs.replace(w.catalog["m.one"], version="2")
    w.add("b", "m.one", x=5)
    assert w.status("b") == "queued"
    assert not any(isinstance(e, ActivationEnded) and e.reused for e in w.journal)
    w.check()


def test_what_cannot_be_used_again_is_refused_where_it_is_defined():
    x, n = Port("x", AnyType()), Port("n", IntType(), on_change="extend")
    with pytest.raises(BadDefinition, match="stochastic and has no input for its seed"):
        check_spec(task_spec("m.md", [x], cache=True, stochastic=True))
    with pytest.raises(BadDefinition, match="extended"):
        check_spec(task_spec("m.md", [x, n], cache=True))
    seed = Port("gen_seed", IntType())
    check_spec(task_spec("m.md", [x, seed], cache=True, stochastic=True))
    check_spec(task_spec("m.md", [x], stochastic=True))
