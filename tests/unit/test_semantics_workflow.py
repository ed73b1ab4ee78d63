"""The cases of SEMANTICS.md sections 4 and 6 (and 2b), by their numbers."""

import sys
from typing import Any

import pytest

from copernicus.engine import views
from copernicus.model import edits as ed
from copernicus.model.evaluation import Rest, Segment
from copernicus.model.reports import Rested
from support.workflows import GUIDE, adaptive, compute, wandering, world
from support.world import World


def evaluation(w: World, path: str = "ad") -> Any:
    return w.state.instances[path].elements[""].evaluation


def test_an_adaptive_loop_runs_to_its_end():
    w = world(adaptive, starts=[1, 2], generations=3)
    w.work(compute)
    assert w.status("ad") == "done"
    assert w.value("ad.out.model") == [2110, 3110]
    assert len(w.state.instances) == 1 + 3 * 3
    w.check()


def test_case_2b_a_latest_port_behind_a_moving_output_fires_for_every_generation():
    w = world(adaptive, starts=[1], generations=3)
    w.add("watch", "m.newest", xs="ad.out.model")
    seen = []

    def outside(function, inputs):
        if function == "m.newest":
            seen.append(inputs["xs"])
            return 0
        return compute(function, inputs)

    w.work(outside)
    assert seen == [[20], [210], [2110]]
    w.check()


def test_case_4a_a_retry_with_an_equal_result_runs_nothing_else():
    w = world(adaptive, starts=[1, 2], generations=4)
    w.work(compute, limit=9)  # three generations are done, the fourth runs
    fourth = list(w.queue)
    w.starts()
    w.edit(ed.Retry("ad/md-0-0"))
    assert (w.starts(), w.standing("ad/model-0.out.seeds")) == (["ad/md-0-0"], "stale")
    w.done("ad/md-0-0", y=2)
    assert w.starts() == []
    assert set(fourth) <= set(w.queue)
    w.work(compute)
    assert (w.status("ad"), w.value("ad.out.model")) == ("done", [21110, 31110])
    w.check()


@pytest.mark.parametrize("killed", [False, True])
def test_case_4a_a_retry_with_another_result_is_followed_by_the_generations(killed):
    w = world(adaptive, starts=[1, 2], generations=4)
    w.work(compute, limit=9)
    w.edit(ed.Retry("ad/md-0-0"))
    w.starts()
    if killed:
        w.evict("ad")
    w.done("ad/md-0-0", y=3)
    assert w.starts() == ["ad/model-0"]
    if killed:
        w.restart()
    w.work(compute)
    assert w.value("ad.out.model") == [31110, 31110]
    w.check()


def test_case_4a_while_stale_the_branch_gets_no_answers_and_starts_nothing_new():
    w = world(adaptive, starts=[1], generations=4)
    w.work(compute, limit=4)  # two generations done, the third's run is queued
    w.edit(ed.Retry("ad/md-0-0"))
    w.starts()
    w.done("ad/md-2-0", y=211)
    assert w.starts() == []  # model-2 was declared after an answer that is stale
    w.done("ad/md-0-0", y=2)
    assert w.starts() == ["ad/model-2"]
    w.check()


def test_case_4b_a_call_that_moves_to_another_place_is_not_cancelled():
    w = world(wandering, late=False)
    w.done("wan/early", y=1)
    running = w.running("wan/mover")
    w.set("wan.in.late", True)
    assert w.running("wan/mover") == running
    assert running not in w.cancelled
    assert not w.state.instances["wan/mover"].retired
    w.check()


def test_case_4c_fewer_generations_and_more_again_give_the_results_back():
    w = world(adaptive, starts=[1], generations=10)
    w.work(compute)
    whole = w.value("ad.out.model")
    w.starts()
    w.set("ad.in.generations", 6)
    retired = {p for p, i in w.state.instances.items() if i.retired}
    assert retired == {f"ad/{kind}" for g in range(6, 10) for kind in (f"md-{g}-0", f"model-{g}")}
    assert w.status("ad") == "done"
    assert w.starts() == ["ad"]
    w.check()
    w.set("ad.in.generations", 10)
    assert (w.starts(), w.status("ad"), w.value("ad.out.model")) == (["ad"], "done", whole)
    assert not any(i.retired for i in w.state.instances.values())
    w.check()


def test_case_4c_running_work_of_retired_generations_is_stopped():
    w = world(adaptive, starts=[1], generations=3)
    w.work(compute, limit=4)
    third = w.running("ad/md-2-0")
    w.set("ad.in.generations", 2)
    assert third in w.cancelled
    w.set("ad.in.generations", 3)
    again = w.running("ad/md-2-0")
    assert again != third
    made = w.state.activations
    assert made[again].job.checkpoint_key == made[third].job.checkpoint_key
    w.check()


def test_case_4d_one_branch_recomputes_and_the_other_goes_on():
    w = world(GUIDE["two_branches"])
    w.done("two/a-0", y=1)
    w.done("two/b-0", y=1)
    w.edit(ed.Retry("two/a-0"))
    w.starts()
    w.done("two/b-1", y=2)
    assert "two/b-2" in w.starts()
    w.done("two/a-1", y=2)
    assert w.starts() == []
    w.done("two/a-0", y=1)
    assert "two/a-2" in w.starts()
    w.check()


def test_case_4e_a_rest_on_older_inputs_is_refused():
    w = world(adaptive, starts=[1], generations=2)
    w.rests_lost = True
    w.set("ad.in.starts", [5])
    w.rests_lost = False
    assert w.evaluations["ad", ""].start.number == 2
    assert w.report(Rested(Rest("ad", "", 1, (Segment("root", 0),)))) == []
    w.evict("ad")
    w.work(compute)
    assert w.value("ad.out.model") == [610]
    w.check()


def test_case_4f_killed_at_every_step_it_ends_in_the_same_project():
    calm = world(adaptive, starts=[1, 2], generations=3)
    calm.work(compute)
    steps = 3 * 3
    for at in range(steps + 1):
        w = world(adaptive, starts=[1, 2], generations=3)
        w.work(compute, limit=at)
        w.restart()
        w.check()
        w.work(compute)
        assert w.value("ad.out.model") == calm.value("ad.out.model"), at
        assert len(w.state.activations) == len(calm.state.activations), at
        w.check()


def test_case_4f_evicted_at_every_await_nothing_runs_again():
    w = world(adaptive, starts=[1], generations=5)
    while w.queue:
        w.work(compute, limit=1)
        if ("ad", "") in w.evaluations:
            w.evict("ad")
    assert len(w.state.activations) == 1 + 5 * 2
    assert evaluation(w).number == 1
    w.check()


def calls_of(action: Any) -> int:
    """How many functions are called: a cost that does not depend on the machine."""
    count = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("evict_every", [0, 100])
def test_case_4g_a_thousand_generations_are_linear(evict_every):
    w = world(adaptive, starts=[1], generations=1000)
    early, late = range(10, 40), range(940, 970)
    cost = {}

    def one_generation():
        w.work(lambda f, i: {"seeds": [1]} if f == "m.model" else 1, limit=2)

    for generation in range(1000):
        if generation in early or generation in late:
            cost[generation] = calls_of(one_generation)
        else:
            one_generation()
        if evict_every and generation % evict_every == evict_every - 1 and w.queue:
            w.evict("ad")
    assert w.status("ad") == "done"
    assert sum(cost[g] for g in late) < 1.2 * sum(cost[g] for g in early)


def test_ten_thousand_keyed_calls_in_one_evaluation_and_one_more():
    w = world(adaptive, starts=list(range(10_000)), generations=1)
    w.work(compute, limit=10_001)
    assert w.status("ad") == "done"
    assert len(w.state.instances) == 1 + 10_000 + 1
    w.set("ad.in.starts", list(range(10_001)))
    # What is new is one call, and the model that takes it in.
    assert w.work(compute) == 2
    assert w.status("ad") == "done"
    assert w.value("ad.out.model")[-1] == 10 * (10_000 + 1)


def test_rule_4_5_a_key_with_another_function_is_a_new_incarnation():
    w = world(GUIDE["shifty"], kind="md")
    first = w.state.instances["shi/it"].incarnation
    running = w.running("shi/it")
    w.set("shi.in.kind", "sum")
    assert running in w.cancelled
    assert w.state.instances["shi/it"].function == "m.sum"
    assert w.state.instances["shi/it"].incarnation > first
    w.check()


def test_rule_4_7_a_function_that_is_not_deterministic_is_told_so():
    w = world(GUIDE["fickle"])
    GUIDE["mood"].append("other")
    w.evict("fic")
    GUIDE["mood"].clear()
    failure = evaluation(w, "fic").failure
    assert "not deterministic" in failure.reason
    assert w.status("fic") == "failed"
    w.check()


def test_rule_3_3_a_plain_await_of_a_hole_fails_the_evaluation_at_its_line():
    w = world(adaptive, starts=[1], generations=2)
    w.edit(ed.Skip("ad/model-0"))
    failure = evaluation(w).failure
    assert "was skipped" in failure.reason
    assert "workflows.py" in failure.where
    w.check()


def test_rule_4_3_a_failed_value_rests_the_evaluation():
    w = world(adaptive, starts=[1], generations=2)
    w.fails("ad/md-0-0")
    assert w.status("ad") == "running"
    summary = views.summary(w.state, w.state.instances["ad"])
    assert summary.waits_for == "ad/md-0-0, which failed"
    w.edit(ed.Retry("ad", failed=True))
    w.work(compute)
    assert w.status("ad") == "done"
    w.check()


def test_rule_6_1_an_output_follows_the_new_reference_once_it_is_current_and_never_goes_back():
    w = world(adaptive, starts=[1], generations=3)
    w.work(compute, limit=4)
    assert w.value("ad.out.model") == [210]
    w.set("ad.in.starts", [2])
    assert (w.value("ad.out.model"), w.standing("ad.out.model")) == ([210], "stale")
    w.work(compute)
    assert w.value("ad.out.model") == [3110]
    w.check()


def test_retroactive_inputs_rerun_only_what_depends_on_them():
    w = world(adaptive, starts=[1, 2], generations=2)
    w.work(compute)
    w.starts()
    w.set("ad.in.starts", [1, 5])
    w.work(compute)
    assert sorted(w.starts()) == ["ad", "ad/md-0-1", "ad/md-1-1", "ad/model-0", "ad/model-1"]
    w.check()


def test_nested_and_mapped_workflows_have_paths_of_their_own():
    w = world(GUIDE["outer"], starts=[1, 2])
    w.work(compute)
    assert w.status("out") == "done"
    assert w.value("out.out.total") == 30 + 20
    assert any("@" in path for path in w.state.instances)
    w.check()
    w.starts()
    w.set("out.in.starts", [1, 7])
    w.work(compute)
    assert w.value("out.out.total") == 20 + 80
    w.check()


def test_an_impossible_declaration_fails_with_the_reason():
    w = world(GUIDE["wrong"])
    assert "no module here has a function 'm.none'" in evaluation(w, "wro").failure.reason
    w.check()


def test_rule_4_5_what_a_replay_has_not_reached_is_kept_and_its_work_goes_on():
    w = world(adaptive, starts=[1], generations=4)
    w.work(compute, limit=4)
    third = w.running("ad/md-2-0")
    w.starts()
    w.set("ad.in.starts", [3])
    assert w.starts() == ["ad", "ad/md-0-0"]
    assert not w.state.instances["ad/md-2-0"].retired
    assert third not in w.cancelled
    w.done(third, y=1)
    assert w.starts() == []
    w.work(compute)
    assert w.value("ad.out.model") == [41110]
    w.check()


def test_removing_a_workflow_ends_all_that_is_inside_it():
    w = world(GUIDE["outer"], starts=[1, 2])
    assert len(w.evaluations) == 2
    w.edit(ed.RemoveInstance("out"))
    assert (w.evaluations, w.queue, w.state.instances) == ({}, {}, {})
    w.check()


def test_rule_3_3_an_output_that_comes_from_a_hole_is_a_hole():
    w = world(GUIDE["shifty"], kind="md")
    w.add("below", "m.md", conf="shi.out.y")
    w.edit(ed.Skip("shi/it"))
    assert (w.status("shi"), w.status("below")) == ("done", "skipped")
    w.check()


def test_case_7d_a_hundred_retired_running_jobs_continue_when_the_edit_is_taken_back():
    w = world(adaptive, starts=list(range(100)), generations=1)
    before = {a: w.queue[a].spec.checkpoint_key for a in w.queue}
    w.set("ad.in.starts", [])
    assert set(before) <= set(w.cancelled)
    assert all(w.state.activations[a].outcome == "stopped" for a in before)
    w.set("ad.in.starts", list(range(100)))
    again = {a: job.spec.checkpoint_key for a, job in w.queue.items() if "md" in job.spec.function}
    assert sorted(again.values()) == sorted(before.values())
    assert not set(again) & set(before)
    w.work(compute)
    assert w.status("ad") == "done"
    w.check()
