"""When waiting ends: done, failed, or certain that nothing will move."""

from copernicus.client.waiting import finished, moves, why_not
from support.cli_views import failure, instance


def test_done_skipped_and_retired_are_ends():
    assert finished([instance("a", "done"), instance("b", "skipped"), instance("c", "retired")])
    assert not finished([instance("a", "done"), instance("b", "queued")])


def test_queued_and_running_work_moves_and_the_rest_does_not():
    assert moves([instance("a", "failed", {"failed": 1, "queued": 1})])
    assert moves([instance("a", "running")])
    assert not moves([instance("a", "failed"), instance("b", "waiting"), instance("c", "held")])


def test_a_workflow_that_rests_on_something_does_not_move_by_itself():
    resting = instance("fe", "running", kind="workflow", waits_for="fe/md-0, which failed")

    assert not moves([resting])
    assert moves([resting, instance("fe/md-1", "queued", parent="fe")])
    assert moves([instance("fe", "running", kind="workflow")])


def test_the_reason_names_what_failed_and_what_to_do():
    prep = instance("prep", "failed", failure=failure("no such molecule"))
    run = instance("run", "waiting", waits_for="prep, which failed")

    said = why_not([run], [prep, run])

    assert "run is waiting (prep, which failed)" in said
    assert "prep failed: no such molecule" in said
    assert "cpc retry prep" in said


def test_what_is_held_says_how_to_go_on():
    run = instance("run", "held")

    assert why_not([run], [run]) == "run is held; activate it: cpc activate run"
