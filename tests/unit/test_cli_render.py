"""Tables, details, traces and events as text."""

import pytest

from copernicus.cli.render.details import (
    failure_text,
    function_text,
    instance_text,
)
from copernicus.cli.render.events import event_line
from copernicus.cli.render.tables import duration, find_id, short_id, short_job, size, table
from copernicus.cli.render.traces import trace_text
from copernicus.cli.workers import workers_table
from copernicus.errors import BadValue, NotFound
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import AttemptRecord
from copernicus.model.resources import ProgramNeed, ProgramOffer
from copernicus.model.types import FileType, IntType, ListType
from copernicus.protocol import (
    ElementView,
    FeedEntry,
    InstanceDetail,
    PortView,
    Trace,
    TraceStep,
    WorkerView,
)
from support.cli_views import failure, instance, lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (180, "3 min"),
        (7800, "2 h 10 min"),
        (7200, "2 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds, text):
    assert duration(seconds) == text


def test_sizes_and_ids_are_short():
    assert size(999) == "999 B"
    assert size(1_234_567) == "1.2 MB"
    assert short_id("w01m82hs4w96n96mbpafb83rsty") == "83rsty"
    assert short_id("short") == "short"
    assert short_job("p01m82hqhwg8k85djvqed43f6hc.a12") == "a12"


def test_a_shortened_id_is_found_and_an_ambiguous_one_refused():
    known = ["w01aaaa83rsty", "w01aaaa83xxxx"]

    assert find_id("83rsty", known, "worker") == "w01aaaa83rsty"
    with pytest.raises(BadValue, match="could be several"):
        find_id("w01", known, "worker")
    with pytest.raises(NotFound, match="no worker 'zz': cpc worker list"):
        find_id("zz", known, "worker")


def test_a_table_folds_its_wide_column_and_keeps_the_others():
    shown = lines(table(("job", "why"), [("a1", "word " * 30)], wide="why"), width=40)

    assert shown[0].startswith("JOB  WHY")
    assert len(shown) > 3
    assert all(len(line) <= 40 for line in shown)


def _detail(*elements, **changes):
    view = instance("run", "failed", {"failed": 1, "done": 1}, mapped=("tpr",), **changes)
    inputs = (
        PortView("tpr", "list[File]", "current", "2 elements", "prep.out.tpr"),
        PortView("nsteps", "int", "unset"),
    )
    outputs = (PortView("xtc", "list[File]", "stale", "1 element"),)
    return InstanceDetail(view, inputs, outputs, elements, "Run it.\n\nMore.")


def test_an_instance_shows_ports_with_their_sources_and_its_elements():
    elements = (
        ElementView(0, "e1", "done", "a1", "p1.a1"),
        ElementView(1, "e2", "failed", "a2", "p1.a2", failure=failure()),
    )

    shown = lines(instance_text(_detail(*elements)))

    assert shown[0].startswith("run  gromacs.mdrun 1.0  ✕ failed")
    assert any("tpr" in line and "2 elements  <- prep.out.tpr" in line for line in shown)
    assert any(line.startswith("nsteps") and "needed" in line for line in shown)
    assert any("run[1]" in line and "gmx ended with exit code 1" in line for line in shown)


def test_a_failure_names_its_place_and_the_authors_remedy():
    bad = failure(remedy="give a smaller dt", where="worker desk")

    shown = lines(failure_text("run[2]", bad))

    assert any("give a smaller dt" in line for line in shown)
    assert any("worker desk" in line for line in shown)


def test_a_function_shows_what_it_takes_and_how_changes_act():
    spec = FunctionSpec(
        "gromacs.mdrun",
        "1.0",
        "program",
        (
            Port("tpr", FileType(), doc="what to run"),
            Port("nsteps", IntType(), required=False, on_change="extend"),
        ),
        (Port("xtc", ListType(FileType())),),
        doc="Run a simulation.",
        program=ProgramNeed("gromacs", ">=2020"),
    )

    shown = lines(function_text(spec))

    assert "needs a worker with gromacs >=2020" in shown
    assert any("optional, a change continues finished work" in line for line in shown)
    assert any(line.startswith("xtc") and "list[File]" in line for line in shown)


def test_a_trace_goes_back_to_inputs_and_machines_and_shows_each_origin_once():
    attempt = AttemptRecord(1, "w1", "desk", "2022.5", 2, 100.0, 160.0, "completed", 0)
    top = {"$file": "0" * 64, "size": 2000, "name": "start.gro"}
    prep = TraceStep(
        "a1", "prep[0]", "gromacs.grompp", "1.0", "succeeded", "d", inputs={"conf": top}
    )
    run = TraceStep(
        "a2",
        "run[0]",
        "gromacs.mdrun",
        "1.0",
        "succeeded",
        "d",
        inputs={"nsteps": 1000},
        origins={"tpr": ("a1", "a1")},
        program="gromacs >=2020",
        attempts=(attempt,),
        left_out={"tpr": ("prep[1]: skipped by ann",)},
        parent="a0",
    )
    found = Trace("run.out.xtc[0]", "current", ("a2",), {"a2": run, "a1": prep}, ("x: failed",))

    shown = "\n".join(lines(trace_text(found, 4)))

    assert "run[0]  gromacs.mdrun 1.0  a2" in shown
    assert "attempt 1 on desk (worker w1), gromacs 2022.5, 2 cores, 1 min" in shown
    assert "exit 0" in shown
    assert "nsteps = 1000" in shown
    assert "tpr <- prep[0]  gromacs.grompp 1.0  a1" in shown
    assert shown.count("conf = start.gro (2,000 bytes, sha256 000000000000…)") == 1
    assert "shown above" in shown
    assert "tpr: 1 left out: prep[1]: skipped by ann" in shown
    assert "continues a0 …" in shown
    assert "1 left out on the way:" in shown
    assert "x: failed" in shown


def test_a_trace_of_a_thousand_steps_shows_as_many_as_are_asked_for():
    steps = {
        f"a{i}": TraceStep(
            f"a{i}", f"s{i}", "m.f", "1", "succeeded", "d", origins={"x": (f"a{i + 1}",)}
        )
        for i in range(1000)
    }
    shown = lines(trace_text(Trace("s0.out.y", "current", ("a0",), steps), 3))
    assert len(shown) == 4
    assert len(lines(trace_text(Trace("s0.out.y", "current", ("a0",), steps), 0))) == 18


def test_workers_are_shown_with_what_they_offer():
    offers = (ProgramOffer("gromacs", "2022.5"), ProgramOffer("module/x", "1"))
    worker = WorkerView(
        "w01m82hs4w96n96mbpafb83rsty", "desk", "default", "connected", 90.0, 4, 1, 0, 0, offers, 2
    )
    lost = WorkerView("w01m82hs4w96n96mbpafb8zzzzz", "far", "default", "silent", 10.0, 8)

    shown = lines(workers_table([worker, lost], 100.0))

    assert any("83rsty" in line and "3/4" in line and "gromacs 2022.5" in line for line in shown)
    assert not any("module/x" in line for line in shown)
    assert any("○ silent" in line and "1 min ago" in line for line in shown)


def test_events_are_lines_and_machinery_is_silent():
    made = FeedEntry(
        5, 0.0, "revision_made", {"number": 2, "author": "ann", "summary": ["add run", "set x"]}
    )
    ended = FeedEntry(
        6, 0.0, "activation_ended", {"id": "a3", "outcome": "failed", "failure": {"reason": "x"}}
    )
    told = FeedEntry(0, 0.0, "progress", {"job": "p1.a3", "step": 5, "total": 10})
    inner = FeedEntry(7, 0.0, "effect_closed", {"object": "x", "version": 1})

    assert event_line(made).endswith("revision 2 by ann: add run; set x")
    assert event_line(ended).endswith("a3 failed: x")
    assert event_line(told).endswith("job a3: 50% of 10")
    assert event_line(inner) == ""
