"""What a result was made of, and what it leaves out: nothing biases an ensemble silently."""

from __future__ import annotations

from copernicus.engine import views
from copernicus.model import edits as ed
from copernicus.model.functions import Port
from copernicus.model.paths import parse
from copernicus.model.types import AnyType, ListType
from support.workflows import GUIDE, world
from support.world import World, task_spec

TASKS = (
    task_spec("m.one", "x"),
    task_spec("m.pool", [Port("xs", ListType(AnyType()))]),
    task_spec("m.newest", [Port("xs", ListType(AnyType()), latest=True)]),
)


def left_out(w, path):
    return views.value(w.state, parse(path)).left_out


def trace(w, path, depth=0):
    return views.trace(w.state, parse(path), depth)


def ten():
    w = world(GUIDE["racing"], starts=list(range(10)), at_least=9)
    for i in range(9):
        w.done(f"rac/md-{i}", y=100 + i)
    w.done("rac/total", y=1)
    return w


def test_a_straggler_is_named_with_the_result_and_with_all_that_follows_from_it():
    w = ten()
    w.catalog |= {spec.name: spec for spec in TASKS}
    w.add("next", "m.one", x="rac.out.rest")
    w.done("next", y=2)
    late = "rac/md-9: not among the first 9 (not done yet)"
    assert left_out(w, "rac.out.rest") == (late,)
    assert left_out(w, "next.out.y") == (late,)
    assert left_out(w, "rac.out.best") == ()
    w.fails("rac/md-9", "blew up\nat step 7")
    made = w.state.activations[w.state.instances["rac/total"].elements[""].success]
    assert made.left_out == {"xs": (late,)}
    assert left_out(w, "rac/total.in.xs") == ("rac/md-9: not among the first 9 (failed: blew up)",)
    w.check()


def test_failures_that_were_tolerated_are_named():
    w = world(GUIDE["tolerant"], starts=[1, 2, 3])
    w.catalog |= {spec.name: spec for spec in TASKS}
    w.add("next", "m.one", x="tol.out.good")
    w.done("tol/md-0", y=1)
    w.fails("tol/md-1", "blew up")
    w.done("tol/md-2", y=3)
    w.done("tol/total", y=4)
    tolerated = "tol/md-1.y: tolerated, failed: blew up"
    assert left_out(w, "tol.out.good") == (tolerated,)
    assert w.state.activations[w.running("next")].left_out == {"x": (tolerated,)}
    w.done("next", y=4)
    assert left_out(w, "next.out.y") == (tolerated,)
    w.check()


def test_skipped_elements_are_named_with_who_skipped_them():
    w = World(*TASKS)
    w.add("run", "m.one", mapped=["x"], x=[1, 2, 3])
    w.add("then", "m.one", mapped=["x"], x="run.out.y")
    w.add("pool", "m.pool", xs="then.out.y")
    w.edit(ed.Skip("run[1]"), author="bob")
    w.work(lambda _f, inputs: inputs.get("x", 0))
    assert left_out(w, "run.out.y") == ("run[1]: skipped by bob",)
    assert left_out(w, "then.out.y") == ("then[1]: skipped with its input",)
    assert left_out(w, "pool.out.y") == ("then[1]: skipped with its input",)
    shown = views.instance(w.state, "run").outputs[0]
    assert shown.left_out == ("run[1]: skipped by bob",)


def test_the_latest_of_a_list_that_is_partly_done_names_the_rest():
    w = World(*TASKS)
    w.add("run", "m.one", mapped=["x"], x=[1, 2, 3])
    w.add("new", "m.newest", xs="run.out.y")
    w.fails("run[1]", "no luck")
    w.done("run[0]", y=1)
    w.done("new", y=0)
    assert left_out(w, "new.out.y") == ("run[1]: failed: no luck", "run[2]: not done yet")


def test_a_trace_goes_through_awaits_decisions_and_declarers():
    w = world(GUIDE["tolerant"], starts=[1, 2, 3])
    w.done("tol/md-0", y=1)
    w.fails("tol/md-1", "blew up")
    w.done("tol/md-2", y=3)
    w.done("tol/total", y=4)
    found = trace(w, "tol.out.good")
    assert found.root.path == "tol/total"
    workflow = found.steps[found.root.declared_by]
    assert (workflow.path, workflow.kind) == ("tol", "workflow")
    assert workflow.decisions == ("root:a0: 2 of 3 settled with a value",)
    seen = [found.steps[a] for a in workflow.looked_at]
    assert [(s.path, s.outcome) for s in seen] == [
        ("tol/md-0", "succeeded"),
        ("tol/md-1", "failed"),
        ("tol/md-2", "succeeded"),
    ]
    raced = trace(ten(), "rac.out.rest")
    assert raced.steps[raced.root.declared_by].decisions == (
        "root:a0: rac/md-0.y was the first of 10",
        "root:c0: the first 9 of 10 were enough",
    )


def test_shared_parts_stand_once_and_depth_is_bounded():
    w = World(task_spec("m.two", "x z"))
    w.add("s0", "m.two", x=1, z=None)
    for i in range(1, 400):
        w.add(f"s{i}", "m.two", x=f"s{i - 1}.out.y", z=f"s{i - 1}.out.y")
    w.work(lambda _f, _i: 1)
    found = trace(w, "s399.out.y")
    assert len(found.steps) == 400
    assert found.steps[found.steps[found.roots[0]].origins["x"][0]].path == "s398"
    assert found.steps[w.state.instances["s0"].elements[""].success].inputs == {"x": 1}
    assert len(trace(w, "s399.out.y", 3).steps) == 3


def test_instances_elements_and_activations_have_traces_too():
    w = World(*TASKS)
    w.add("run", "m.one", mapped=["x"], x=[1, 2])
    w.fails("run[1]", "no luck")
    assert [s.outcome for s in trace(w, "run").steps.values()] == ["running", "failed"]
    (step,) = trace(w, "run[1]").steps.values()
    assert step.failure.reason == "no luck"
    assert trace(w, step.activation).root == step


def test_an_extended_run_names_what_it_continues():
    long = task_spec("m.long", [Port("x", AnyType()), Port("n", AnyType(), on_change="extend")])
    w = World(long)
    w.add("run", "m.long", x=1, n=10)
    w.done("run", y=1)
    w.set("run.in.n", 20)
    w.done("run", y=2)
    found = trace(w, "run.out.y")
    assert found.steps[found.root.parent].inputs == {"x": 1, "n": 10}


def test_a_wide_list_is_traced_in_no_time():
    w = World(*TASKS)
    w.add("run", "m.one", mapped=["x"], x=list(range(3000)))
    w.add("pool", "m.pool", xs="run.out.y")
    w.work(lambda f, i: sum(i["xs"]) if f == "m.pool" else i["x"])
    found = trace(w, "pool.out.y", 1)
    assert len(found.steps) == 1
    assert len(found.root.origins["xs"]) == 3000
    assert len(trace(w, "pool.out.y").steps) == 3001
