"""Rows of jobs that only wait are kept in short, and are told whole."""

import msgspec
import pytest

from copernicus.model.jobs import JobSpec, TaskCall
from copernicus.model.resources import ProgramNeed
from copernicus.scheduling.jobs import Jobs
from copernicus.scheduling.rows import JobRow


def _row(number, project="p", **fields):
    need = ProgramNeed("module/m", "==1")
    task = TaskCall("m:f", {"x": number})
    spec = JobSpec("m.f", "1", need, f"digest{number}", f"key{number}", task=task)
    return (
        JobRow(
            id=f"{project}.a{number}",
            project=project,
            version=1,
            state="queued",
            order=number,
            spec=spec,
            submitted=5.0,
            queued=6.0,
        )
        if not fields
        else msgspec.structs.replace(_row(number, project), **fields)
    )


@pytest.fixture
def rows():
    """Of every kind, so that those in short and those that are not stand side by side."""
    return [
        *(_row(number) for number in range(3)),
        _row(3, state="leased", attempts=1),
        *(_row(number) for number in range(4, 6)),
        _row(6, on_hold=True),
        _row(7, on_hold=True),
        *(_row(number, "q") for number in range(8, 10)),
        _row(10, "q", on_hold=True),
        _row(11, attempts=2, backoff_s=3.0, avoid=("w",)),
        _row(12, state="done", outputs={"y": 1}, digest="d"),
        _row(13, state="cancelled", spec=None),
        _row(14, priority=4),
        _row(15, submitted=7.0),
    ]


@pytest.fixture
def jobs(rows):
    jobs = Jobs()
    for row in rows:
        jobs.put(row)
    return jobs


def test_every_row_is_told_as_it_was_put(jobs, rows):
    assert list(jobs.values()) == rows
    assert [jobs[row.id] for row in rows] == rows
    assert [jobs.order(row.id) for row in rows] == [row.order for row in rows]
    assert list(jobs) == [row.id for row in rows]
    assert len(jobs) == len(rows)
    assert jobs.get("p.a99") is None
    assert "p.a1" in jobs
    assert "p.a99" not in jobs


def test_the_rows_of_a_project_come_in_order_or_the_newest_first(jobs, rows):
    of_q = [row for row in rows if row.project == "q"]
    assert list(jobs.of("q")) == of_q
    assert list(jobs.of("q", newest_first=True)) == of_q[::-1]


def test_those_on_hold_are_found(jobs):
    assert [row.id for row in jobs.on_hold("p")] == ["p.a6", "p.a7"]
    assert [row.id for row in jobs.on_hold("q")] == ["q.a10"]


def test_a_row_takes_the_place_of_the_one_before_it(jobs, rows):
    leased = msgspec.structs.replace(rows[1], state="leased", attempts=1)
    jobs.put(leased)
    assert jobs[leased.id] == leased
    again = msgspec.structs.replace(leased, state="queued")
    jobs.put(again)
    assert jobs[again.id] == again
    assert list(jobs) == [row.id for row in rows]
    jobs.drop(again.id)
    assert again.id not in jobs
    assert len(jobs) == len(rows) - 1
