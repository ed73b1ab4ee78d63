"""How large the demo is made, what it counts and shows, and when it is made shorter."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from copernicus.demo import DEMOS, pi
from copernicus.demo.display import Display, clock
from copernicus.demo.folder import results_folder
from copernicus.demo.progress import Generation, Known, Picture, Running, is_too_much, picture
from copernicus.demo.results import Found, show
from copernicus.demo.sizing import Plan, make_plan
from copernicus.errors import BadSettings, Conflict
from copernicus.protocol import InstanceView, JobView, ProgressReport

PLAN = Plan(generations=3, runs=8, steps=1_000_000, discard_ps=200.0, rate=10_000.0)


# --- how large ------------------------------------------------------------------------------------


def seconds_of(plan: Plan, cores: int) -> float:
    rounds = plan.generations * math.ceil(plan.runs / cores)
    return rounds * plan.length_ns / plan.rate * 86_400


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
@pytest.mark.parametrize("rate", [500.0, 5_000.0, 15_000.0, 60_000.0])
def test_a_plan_fits_into_its_time(cores: int, rate: float) -> None:
    plan = make_plan(rate, cores, 225.0)
    assert seconds_of(plan, cores) < 225.0 * 0.85
    assert plan.length_ns <= 3.0
    assert plan.discard_ps <= 200.0


def test_a_fast_machine_simulates_longer() -> None:
    plans = [make_plan(rate, 2, 225.0) for rate in (5_000.0, 10_000.0, 15_000.0)]
    assert [plan.steps for plan in plans] == sorted({plan.steps for plan in plans})
    assert all(plan.generations == 3 for plan in plans)


def test_a_slow_machine_has_fewer_generations_but_never_one() -> None:
    assert make_plan(1_000.0, 1, 225.0).generations == 2
    tiny = make_plan(100.0, 1, 5.0)
    assert (tiny.generations, tiny.steps) == (2, 25_000)
    assert tiny.discard_ps < 50.0


# --- what is counted ------------------------------------------------------------------------------


def view(path: str, state: str) -> InstanceView:
    return InstanceView(path, "f", "1", "program", state, parent="sampling")


def job(path: str, **told: Any) -> JobView:
    progress = ProgressReport(**told) if told else None
    return JobView("p.a1", "p", path, "f", "running", progress=progress)


def test_a_picture_of_instances_and_jobs() -> None:
    views = [InstanceView("sampling", "f", "1", "workflow", "running")]
    views += [view(f"sampling/md-0-{i}", "done") for i in range(8)]
    views += [view("sampling/surface-0", "done"), view("sampling/surface-1", "waiting")]
    views += [view(f"sampling/md-1-{i}", "done" if i < 2 else "queued") for i in range(8)]
    jobs = [job("sampling/md-1-2", step=50.0, total=200.0, rate=9e3), job("sampling/md-1-3")]
    seen = picture(views, jobs, PLAN, 3, 61.0)
    assert seen.generations == (
        Generation(done=8, analysis="done"),
        Generation(done=2, running=2, queued=4, analysis="waiting"),
        Generation(),
    )
    assert seen.running == (Running(1, 2, 0.25, 9e3, None), Running(1, 3, 0.0, None, None))
    assert seen.share == (10 + 0.25) / 24
    assert (seen.over, seen.current) == (1, 1)


# --- when it is made shorter ----------------------------------------------------------------------


def seen_at(seconds: float, share: float, generations: int, over: int) -> Picture:
    done = [Generation(done=8, analysis="done")] * over
    left = [Generation(analysis="waiting")] * (generations - over)
    return Picture(seconds, (*done, *left), (), share)


@pytest.mark.parametrize(
    ("seconds", "share", "generations", "over", "left_s", "shorter"),
    [
        (100.0, 0.40, 3, 1, 150.0, False),  # in time
        (100.0, 0.02, 3, 0, 900.0, False),  # too early to tell
        (100.0, 0.30, 3, 0, 233.0, False),  # late, but it may become faster again
        (100.0, 0.20, 3, 0, 400.0, True),  # late even with a generation less
        (195.0, 0.64, 3, 1, 110.0, True),  # now or never: the last one is about to begin
        (150.0, 0.50, 3, 1, 150.0, False),  # late, but there is time to see
        (281.0, 0.90, 2, 1, 10.0, False),  # a little late is in time
        (289.0, 0.90, 2, 1, 10.0, True),  # the time is over: what there is must do
        (400.0, 0.30, 1, 0, 900.0, False),  # one generation is the least
        (400.0, 0.30, 2, 0, 900.0, True),
    ],
)
def test_when_a_generation_is_left_out(
    seconds: float, share: float, generations: int, over: int, left_s: float, shorter: bool
) -> None:
    assert is_too_much(seen_at(seconds, share, generations, over), left_s, 288.0) is shorter


# --- what is shown --------------------------------------------------------------------------------


def console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), width=80, height=40, force_terminal=terminal, highlight=False
    )


def shown(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


@pytest.fixture
def running() -> Picture:
    generations = (
        Generation(done=8, analysis="done"),
        Generation(done=1, running=2, queued=5, analysis="waiting"),
        Generation(),
    )
    under_way = (Running(1, 1, 0.25, 9123.4, 62.0), Running(1, 2, 0.0, None, None))
    return Picture(61.0, generations, under_way, 9.25 / 24)


KNOWN = Known(1, 12_345, 0.31, 0.071, 0.02)


def test_the_live_picture_fits_a_terminal(running: Picture) -> None:
    on = console(terminal=True)
    display = Display(0.0, on)
    with display.live():
        display.update(running, 125.0, KNOWN)
    text = shown(on)
    for words in ("8 simulations, analysed", "1 of 8 done, 2 running, 5 queued"):
        assert words in text
    for words in ("waits for the one before", "simulation 2.2", "9,123 ns/day", "1:02 left"):
        assert words in text
    assert "12,345 frames, 31% of the plane visited, phi > 0: 0.071 ± 0.020" in text
    assert "about 2:05 left" in text


def test_without_a_terminal_a_line_for_every_change(running: Picture) -> None:
    on = console(terminal=False)
    display = Display(0.0, on)
    with display.live():
        for left_s in (125.0, 124.0, 123.0):
            display.update(running, left_s, KNOWN)
    lines = shown(on).splitlines()
    assert len(lines) == 2
    assert "generation 2 of 3: 1 of 8 done, 2 running, about 2:05 left" in lines[1]
    assert all(len(line) <= 80 and "\x1b" not in line for line in lines)


def test_the_result_stands_beside_what_is_known(tmp_path: Path) -> None:
    names = ("C5", "C7eq", "C7ax", "alpha_R", "alpha_L", "phi > 0")
    populations = {name: {"value": 0.25, "error": 0.0123} for name in names}
    populations["alpha_L"] = {"value": 0.25, "error": None}  # type: ignore[dict-item]
    on = console(terminal=False)
    show(Found(populations, 1000, 0.3, 16, 2_000_000), tmp_path, 125.0, on)
    text = shown(on)
    assert "0.250 ± 0.012   0.471 ± 0.004" in text
    assert f"{tmp_path}/ramachandran.png" in text
    assert "2:05 minutes" in text


def test_clock() -> None:
    assert [clock(s) for s in (-1.0, 5.4, 65.0, 3599.9)] == ["0:00", "0:05", "1:05", "60:00"]


# --- where results go -----------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Conflict, match="is not empty"), results_folder(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSettings, match="cannot make"), results_folder(tmp_path / "file" / "x"):
        pass


def test_by_itself_a_new_folder_for_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with results_folder(None) as first, results_folder(None) as second:
        assert first.name.startswith("copernicus-demo-20")
        assert second.name == f"{first.name}-2"


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt(), SystemExit(143)])
def test_a_demo_that_is_stopped_leaves_no_folder(ended_by: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(ended_by)), results_folder(tmp_path / "new"):
        raise ended_by
    assert not (tmp_path / "new").exists()


def test_after_a_failure_the_logs_stay(tmp_path: Path) -> None:
    with pytest.raises(Conflict), results_folder(tmp_path / "new") as folder:
        raise Conflict("something")
    assert (folder / "logs").is_dir()


# --- pi -------------------------------------------------------------------------------------------


def test_pi_from_hits() -> None:
    value, error = pi.estimate([pi.DARTS // 2, pi.DARTS])
    assert (value, error) == (3.0, 1.0)
    assert pi.estimate([pi.DARTS]) == (4.0, math.inf)


@pytest.mark.parametrize(
    ("jobs", "error", "more"),
    [(8, pi.WANTED_ERROR, 0), (8, 1.2 * pi.WANTED_ERROR, 4), (8, math.inf, 8), (16, 1.0, 16)],
)
def test_how_many_more_jobs_are_needed(jobs: int, error: float, more: int) -> None:
    assert pi.how_many_more(jobs, error) == more


def test_the_demos_are_listed_with_what_they_show() -> None:
    assert list(DEMOS) == ["alanine", "pi"]
    assert all(len(demo.description) > 40 for demo in DEMOS.values())
