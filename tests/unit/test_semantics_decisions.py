"""The cases of SEMANTICS.md section 5 (decisions) and 2c, by their numbers."""

import pytest

from copernicus.errors import Conflict
from copernicus.model import edits as ed
from copernicus.model.events import Decided, DecisionLapsed
from support.workflows import GUIDE, world


def ten(at_least: int = 9):
    return world(GUIDE["racing"], starts=list(range(10)), at_least=at_least)


def finish(w, *which):
    for i in which:
        w.done(f"rac/md-{i}", y=100 + i)


def test_case_5a_a_straggler_changes_nothing():
    w = ten()
    finish(w, *range(9))
    assert w.starts()[-1] == "rac/total"
    made = w.state.activations[w.running("rac/total")]
    assert made.inputs == {"xs": [100 + i for i in range(9)]}
    assert made.left_out == {"xs": ("rac/md-9: not among the first 9 (not done yet)",)}
    w.done("rac/total", y=1)
    before = len(w.journal)
    finish(w, 9)
    assert w.starts() == []
    assert not any(isinstance(e, Decided) for e in w.journal[before:])
    assert (w.status("rac"), w.value("rac.out.rest")) == ("done", 1)
    w.check()


def test_case_5b_a_chosen_one_that_fails_for_good_after_a_change_is_replaced_once():
    w = ten()
    finish(w, *range(9))
    w.done("rac/total", y=1)
    w.set("rac.in.starts", [i + 50 for i in range(10)])
    for i in range(10):
        while w.state.instances[f"rac/md-{i}"].elements[""].open:
            if i == 3:
                w.fails("rac/md-3", "for good")
            else:
                w.done(f"rac/md-{i}", y=200 + i)
    lapses = [e for e in w.journal if isinstance(e, DecisionLapsed)]
    assert len(lapses) == 1
    assert "md-3 failed" in lapses[0].reason
    made = w.state.activations[w.running("rac/total")]
    assert made.inputs == {"xs": [200 + i for i in range(10) if i != 3]}
    w.check()


def test_a_recomputed_value_keeps_its_place_in_the_decision():
    w = ten(at_least=2)
    finish(w, 4, 7)
    w.done("rac/total", y=1)
    w.edit(ed.Retry("rac/md-4"))
    finish(w, 0)
    w.done("rac/md-4", y=999)
    assert w.state.activations[w.running("rac/total")].inputs == {"xs": [999, 107]}
    assert len([e for e in w.journal if isinstance(e, Decided) and e.kind == "at_least"]) == 1
    w.check()


def test_first_is_decided_once_and_kept_by_replays_and_recoveries():
    w = ten(at_least=10)
    finish(w, 6)
    w.restart()
    finish(w, 1, 2)
    w.restart()
    for i in (0, 3, 4, 5, 7, 8, 9):
        finish(w, i)
    w.done("rac/total", y=5)
    assert w.value("rac.out.best") == 106
    w.starts()
    w.edit(ed.Retry("rac/md-6"))
    w.done("rac/md-6", y=600)
    w.done("rac/total", y=6)
    assert w.value("rac.out.best") == 600
    w.check()


def test_case_5c_settle_saw_a_failure_and_a_later_success_is_late():
    w = world(GUIDE["tolerant"], starts=[1, 2, 3])
    w.done("tol/md-0", y=1)
    w.fails("tol/md-1")
    w.done("tol/md-2", y=3)
    w.done("tol/total", y=4)
    assert w.status("tol") == "done"
    w.starts()
    w.edit(ed.Retry("tol/md-1"))
    w.done("tol/md-1", y=2)
    assert w.starts() == ["tol/md-1"]
    assert w.value("tol.out.good") == 4
    w.edit(ed.Retry("tol/md-0"))
    w.done("tol/md-0", y=7)
    assert w.state.activations[w.running("tol/total")].inputs == {"xs": [7, 3]}
    w.check()


def test_rule_5_3_a_settled_failure_is_asked_anew_when_its_inputs_change():
    w = world(GUIDE["tolerant"], starts=[1, 2, 3])
    w.done("tol/md-0", y=1)
    w.fails("tol/md-1")
    w.done("tol/md-2", y=3)
    w.done("tol/total", y=4)
    w.set("tol.in.starts", [1, 5, 3])
    w.done("tol/md-1", y=5)
    assert w.state.activations[w.running("tol/total")].inputs == {"xs": [1, 5, 3]}
    w.check()


def test_case_5d_a_chosen_one_that_is_no_candidate_is_decided_anew():
    w = world(GUIDE["racing"], starts=[0, 1], at_least=2)
    finish(w, 1)
    assert w.value("rac/md-1.out.y") == 101
    w.set("rac.in.at_least", 1)
    w.set("rac.in.starts", [0])
    finish(w, 0)
    w.done("rac/total", y=7)
    lapses = [e.reason for e in w.journal if isinstance(e, DecisionLapsed)]
    assert "rac/md-1.y is no candidate any more" in lapses
    assert w.value("rac.out.best") == 100
    w.check()


def test_as_completed_is_the_order_of_completion_in_every_replay():
    w = world(GUIDE["ordered"], starts=[0, 1, 2])
    for i in (2, 0, 1):
        w.done(f"ord/md-{i}", y=i)
    assert w.value("ord.out.order") == [2, 0, 1]
    w.restart()
    assert w.value("ord.out.order") == [2, 0, 1]
    w.set("ord.in.starts", [0, 1, 9])
    w.done("ord/md-2", y=9)
    assert w.value("ord.out.order") == [9, 0, 1]
    w.check()


def test_case_2c_each_walker_goes_on_without_waiting_for_the_others():
    w = world(GUIDE["asynchronous"], walkers=3, rounds=3)
    for r in range(3):
        w.done(f"asy/run-0-{r}", y=r)
        w.done(f"asy/best-0-{r}", y=10 * r)
    assert w.state.instances["asy/run-0-2"].elements[""].success
    assert "asy/run-1-1" not in w.state.instances
    w.work(lambda _f, _i: 1)
    assert w.status("asy") == "done"
    w.check()


def tolerant():
    w = world(GUIDE["tolerant"], starts=[1, 2, 3])
    w.done("tol/md-0", y=1)
    w.fails("tol/md-1")
    w.done("tol/md-2", y=3)
    w.done("tol/total", y=4)
    w.starts()
    return w


def test_case_5c_a_settled_failure_that_is_retried_with_reopen_is_used():
    w = tolerant()
    w.edit(ed.Retry("tol/md-1", reopen=True))
    assert (w.status("tol"), w.value("tol.out.good")) == ("stale", 4)
    w.done("tol/md-1", y=2)
    assert w.state.activations[w.running("tol/total")].inputs == {"xs": [1, 2, 3]}
    w.done("tol/total", y=6)
    assert (w.status("tol"), w.value("tol.out.good")) == ("done", 6)
    w.check()


def test_a_reopened_failure_that_fails_again_leaves_all_as_it_was():
    w = tolerant()
    w.edit(ed.Retry("tol/md-1", reopen=True))
    w.restart()
    w.fails("tol/md-1")
    assert w.starts() == ["tol/md-1"]
    assert (w.status("tol"), w.value("tol.out.good")) == ("done", 4)
    w.check()


def test_what_a_settle_tolerated_is_shown_with_its_reason():
    w = tolerant()
    lines = [d for d in w.decisions("tol") if d.kind == "settle"]
    assert lines[0].left_out == {"tol/md-1.y": "failed: broken"}


def test_a_quorum_that_is_reopened_takes_all_that_is_there():
    w = ten()
    finish(w, *range(9))
    w.done("rac/total", y=1)
    finish(w, 9)
    position = next(d.position for d in w.decisions("rac") if d.kind == "at_least")
    w.starts()
    w.edit(ed.Reopen("rac", position))
    made = w.state.activations[w.running("rac/total")]
    assert made.inputs == {"xs": [100 + i for i in range(10)]}
    w.done("rac/total", y=2)
    assert w.value("rac.out.rest") == 2
    assert w.value("rac.out.best") == 100
    w.check()


def test_a_first_that_is_reopened_is_asked_again():
    w = ten(at_least=2)
    finish(w, 4, 1)
    w.done("rac/total", y=1)
    assert w.value("rac.out.best") == 104
    w.edit(ed.Reopen("rac"))
    assert w.value("rac.out.best") == 101
    w.check()


def test_a_decision_that_was_never_taken_cannot_be_reopened():
    w = ten()
    with pytest.raises(Conflict, match="rac has taken no decision"):
        w.edit(ed.Reopen("rac"))


def test_what_is_late_goes_on_growing_beside_the_decision():
    w = world(GUIDE["quorum"], starts=[0, 1, 2, 3], at_least=2)
    w.done("quo/md-1", y=11)
    w.done("quo/md-3", y=13)
    assert w.state.activations[w.running("quo/late")].inputs == {"xs": []}
    w.done("quo/total", y=24)
    w.done("quo/late", y=0)
    w.done("quo/md-0", y=10)
    assert w.state.activations[w.running("quo/late")].inputs == {"xs": [10]}
    w.done("quo/md-2", y=12)
    w.done("quo/late", y=10)
    assert w.state.activations[w.running("quo/late")].inputs == {"xs": [10, 12]}
    w.done("quo/late", y=22)
    assert (w.status("quo"), w.value("quo.out.y"), w.value("quo.out.late")) == ("done", 24, 22)
    w.check()


def test_a_list_tolerates_as_many_failures_as_it_says():
    w = world(GUIDE["forgiving"], starts=[0, 1, 2, 3], tolerate=0.3)
    w.fails("for/md-0")
    w.done("for/md-1", y=1)
    w.done("for/md-2", y=2)
    assert "for/total" not in w.state.instances
    w.done("for/md-3", y=3)
    made = w.state.activations[w.running("for/total")]
    assert made.inputs == {"xs": [1, 2, 3]}
    assert [d.left_out for d in w.decisions("for")] == [{"md-0": "failed: broken"}]
    w.done("for/total", y=6)
    w.starts()
    w.edit(ed.Retry("for/md-0"))
    w.done("for/md-0", y=0)
    assert w.starts() == ["for/md-0"]
    w.check()


def test_a_tolerated_failure_is_asked_about_again_with_reopen_or_other_inputs():
    w = world(GUIDE["forgiving"], starts=[0, 1], tolerate=1)
    w.done("for/md-0", y=0)
    w.fails("for/md-1")
    w.done("for/total", y=0)
    w.edit(ed.Retry("for/md-1", reopen=True))
    w.done("for/md-1", y=1)
    assert w.state.activations[w.running("for/total")].inputs == {"xs": [0, 1]}
    w.done("for/total", y=1)
    w.set("for.in.starts", [0, 5])
    w.fails("for/md-1")
    w.done("for/total", y=0)
    w.set("for.in.starts", [0, 6])
    w.done("for/md-1", y=6)
    assert w.state.activations[w.running("for/total")].inputs == {"xs": [0, 6]}
    w.check()


def test_a_list_with_more_failures_than_it_tolerates_waits_for_them():
    w = world(GUIDE["forgiving"], starts=[0, 1, 2], tolerate=1)
    w.fails("for/md-0")
    w.fails("for/md-1")
    w.done("for/md-2", y=2)
    assert "for/total" not in w.state.instances
    assert "failed" in w.waits_for("for")
    w.edit(ed.Retry("for/md-1"))
    w.done("for/md-1", y=1)
    assert w.state.activations[w.running("for/total")].inputs == {"xs": [1, 2]}
    w.check()
