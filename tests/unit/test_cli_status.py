"""``cpc status`` from views to lines."""

from collections import Counter

import msgspec

from copernicus.cli.render.status import Row, arrange, bar, remark, status_text
from support.cli_views import failure, instance, job, lines, progress, project


def test_a_running_ensemble_shows_state_count_and_progress_in_80_columns():
    views = [
        instance("prep", "done", {"done": 3}, mapped=("conf",)),
        instance("run", "running", {"done": 1, "running": 1, "queued": 1}, mapped=("tpr",)),
    ]
    jobs = [job("run[1]", progress=progress(25_000, 50_000)), job("run[2]", "queued", 2)]

    shown = lines(status_text(project(), views, jobs))

    assert shown[0] == "ala  ▶ active  revision 3  1 running on 2 cores  1 queued"
    assert "prep      ✓ done     ━━━━━━━━━━━━  3/3" in shown
    run = next(line for line in shown if line.startswith("run"))
    assert "▶ running" in run
    assert "1/3" in run
    assert "50% of 50,000 · 84 ns/day · 3 min left" in run
    assert all(len(line) <= 80 for line in shown)


def test_a_queued_instance_whose_job_a_worker_has_is_running_and_counted_once():
    view = instance("run", "queued", {"queued": 3})

    row = arrange([view], [job("run[0]"), job("run[1]", number=2)])[0]

    assert isinstance(row, Row)
    assert row.state == "running"
    assert row.counts == Counter(queued=1, running=2)


def test_counts_in_which_running_ones_are_marked_already_stay():
    view = instance("run", "running", {"queued": 1, "running": 2})

    row = arrange([view], [job("run[0]"), job("run[1]", number=2)])[0]

    assert isinstance(row, Row)
    assert row.counts == Counter(queued=1, running=2)


def test_a_waiting_instance_says_what_it_waits_for_and_a_held_one_how_to_go_on():
    waiting = arrange([instance("run", "waiting", waits_for="prep, which failed")], [])[0]
    held = arrange([instance("run", "held")], [])[0]

    assert isinstance(waiting, Row)
    assert isinstance(held, Row)
    assert remark(waiting) == "prep, which failed"
    assert remark(held) == "cpc activate run"


def test_a_queued_instance_says_why_no_worker_has_it():
    waits = msgspec.structs.replace(job("run[0]", "queued"), why="no worker offers the program x")

    row = arrange([instance("run", "queued", {"queued": 2})], [waits])[0]

    assert isinstance(row, Row)
    assert remark(row) == "no worker offers the program x"


def test_failures_stand_below_with_their_reason_and_the_next_command():
    views = [instance("run", "failed", {"failed": 1, "done": 2}, failure=failure())]

    shown = lines(status_text(project(), views, []), width=100)

    assert "✕ run: gmx ended with exit code 1  cpc why run" in shown


def test_an_empty_project_says_what_to_do_first():
    shown = lines(status_text(project(), [], []))

    assert shown[-1] == "Nothing is in it yet: cpc add NAME FUNCTION"


def test_a_workflow_with_hundreds_inside_shows_those_that_matter_and_counts_the_rest():
    inner = [
        instance(f"fe/md-{n}", "done" if n < 90 else "queued", parent="fe") for n in range(100)
    ]
    views = [instance("fe", "running", kind="workflow"), *inner]

    shown = lines(status_text(project(), views, []))

    assert len(shown) < 15
    assert any(line.startswith("  … 94 more") and "90 done, 4 queued" in line for line in shown)
    assert next(line for line in shown if line.startswith("fe")).count("90/100") == 1


def test_all_instances_are_shown_when_asked_for():
    inner = [instance(f"fe/md-{n}", "done", parent="fe") for n in range(60)]
    views = [instance("fe", "done", kind="workflow"), *inner]

    assert len(arrange(views, [], everything=True)) == 61
    assert len(arrange(views, [], inside="fe")) == 61


def test_the_bar_shows_states_by_their_strokes_and_counts_half_done_work():
    half = progress(50, 100)

    assert bar(Counter(done=1, failed=1, queued=2), width=8).plain == "━━✕✕────"
    assert bar(Counter(running=1), half, width=8).plain == "━━━━╍╍╍╍"
    assert bar(Counter(retired=3), width=4).plain == "────"


def test_control_characters_of_names_and_reasons_never_reach_the_terminal():
    views = [instance("run", "failed", failure=failure("bad \x1b[31mred"))]

    shown = "\n".join(lines(status_text(project(), views, [])))

    assert "\x1b" not in shown
    assert "bad \\x1b[31mred" in shown


def test_everything_fits_a_narrow_terminal():
    views = [instance("a_very_long_name_for_an_instance_of_a_function", "running", elements=1)]
    jobs = [job("a_very_long_name_for_an_instance_of_a_function", progress=progress(1, 3))]

    assert all(len(line) <= 50 for line in lines(status_text(project(), views, jobs), 50))
