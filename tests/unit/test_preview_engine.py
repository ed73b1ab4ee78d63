"""What previews say of edits on projects in memory."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console
from test_semantics_upgrades import install, loop, running

from copernicus.cli.render.preview import preview_view
from copernicus.engine.estimates import core_hours
from copernicus.model import edits as ed
from copernicus.model.functions import Port
from copernicus.model.jobs import AttemptRecord
from copernicus.model.reports import JobEnded
from copernicus.model.types import AnyType, IntType
from copernicus.protocol import Estimate
from support.previews import preview
from support.workflows import GUIDE, compute, world
from support.world import World, task_spec


def flow():
    """Three elements, one after another, and what takes all of them."""
    w = World(
        task_spec("m.md", "conf"),
        task_spec("m.sum", "xs"),
        task_spec("m.long", [Port("n", IntType(), on_change="extend"), Port("x", AnyType())]),
    )
    w.add("md", "m.md", conf=[1, 2, 3], mapped=["conf"])
    w.add("next", "m.md", conf="md.out.y", mapped=["conf"])
    w.add("sum", "m.sum", xs="next.out.y")
    return w


def took(w: World, path: str, hours: float, **outputs) -> None:
    record = AttemptRecord(1, "w", cores=2, started=1000.0, ended=1000.0 + hours * 1800)
    activation = w.running(path)
    w.queue.pop(activation)
    w.report(JobEnded(activation, outputs=outputs, attempts=(record,)))
    assert core_hours(w.state.activations[activation]) == hours


def lines(runs):
    return {line.path: (line.count, line.elements) for line in runs}


def text_of(reply) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(preview_view(reply))
    return console.file.getvalue()


def test_one_element_runs_and_what_takes_it_follows():
    w = flow()
    w.work(lambda _function, _inputs: 1)
    reply = preview(w, ed.SetInput("md.in.conf[1]", 9))
    assert lines(reply.starts) == {"md": (1, (1,))}
    assert lines(reply.follows) == {"next": (1, (1,)), "sum": (1, ())}
    assert (reply.jobs, reply.jobs_after) == (1, 2)


def test_what_would_run_anyway_is_not_told():
    w = flow()
    assert preview(w, ed.AddInstance("other", "m.md")).follows == ()
    w.edit(ed.Hold("next"))
    reply = preview(w, ed.Activate("next"))
    assert set(lines(reply.follows)) == {"next", "sum"}


def test_costs_are_those_of_the_instance_with_their_spread():
    w = flow()
    for place, hours in enumerate((1.0, 2.0, 4.0)):
        took(w, f"md[{place}]", hours, y=place)
    reply = preview(w, ed.SetInput("md.in.conf", [7, 8]))
    assert reply.estimate == Estimate(4.0, 3.0, 6.0)
    assert "2 jobs, about 4 core-hours (3 to 6)" in text_of(reply)
    unknown = preview(w, ed.AddInstance("s", "m.sum", held=False), ed.SetInput("s.in.xs", 1))
    assert unknown.estimate == Estimate(unknown=1)
    assert "none like it has ended yet" in text_of(unknown)


def test_a_longer_run_goes_on_from_before():
    w = flow()
    w.add("run", "m.long", n=10, x=1)
    reply = preview(w, ed.SetInput("run.in.n", 20))
    assert [(one.path, one.fate, one.running) for one in reply.work] == [("run", "extended", 1)]
    assert [(one.path, one.continues) for one in reply.starts] == [("run", 1)]


def test_hints_say_why_nothing_happens():
    w = flow()
    w.edit(ed.Hold("md"))
    assert preview(w, ed.SetInput("md.in.conf[+]", 4)).hints == (
        "md is held: it runs only after cpc activate md",
    )
    w.edit(ed.Pause())
    reply = preview(w, ed.AddInstance("free", "m.md", held=False), ed.SetInput("free.in.conf", 1))
    assert (reply.jobs, reply.jobs_after) == (0, 1)
    assert "the project is paused" in reply.hints[0]


def test_an_upgrade_is_told_with_the_line_where_it_departs():
    w = running()
    install(w, loop("2", extra=True))
    reply = preview(w, ed.Upgrade("ad"))
    assert set(lines(reply.starts)) == {"ad/check-0", "ad/check-1"}
    (replay,) = reply.evaluations
    assert (replay.path, replay.version_before, replay.version) == ("ad", "1", "2")
    assert replay.departs is not None
    assert (replay.departs.branch, replay.departs.index) == ("root", 0)
    assert replay.departs.line.startswith("test_semantics_upgrades.py:")
    assert "declares something else from test_semantics_upgrades.py:" in " ".join(
        text_of(reply).split()
    )


def test_an_upgrade_that_declares_the_same_departs_nowhere_and_one_that_renames_retires():
    w = running(n=3, done=3)
    w.edit(ed.SetInput("ad.in.n", 4))
    install(w, loop("2", renamed=True))
    reply = preview(w, ed.Upgrade("ad"))
    assert reply.evaluations[0].departs is not None
    assert reply.evaluations[0].departs.index == 1
    assert "ad/walk-1-0" in lines(reply.starts)


def test_a_preview_fits_a_terminal_and_is_json():
    w = world(GUIDE["adaptive"], starts=[1, 2, 3], generations=10)
    w.work(compute)
    reply = preview(w, ed.SetInput("ad.in.starts", [1, 2, 4]))
    shown = text_of(reply)
    assert max(map(len, shown.splitlines())) <= 80
    assert len(shown.splitlines()) <= 24
    assert msgspec.json.decode(msgspec.json.encode(reply), type=type(reply)) == reply
