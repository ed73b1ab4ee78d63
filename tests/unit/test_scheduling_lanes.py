"""Jobs that ask for the same share a lane; whatever they differ in that matters, they do not."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.model.jobs import Checkpoint, Command, JobSpec, Line
from copernicus.model.resources import ProgramNeed, Resources
from copernicus.scheduling.queue import Queue, needs_of
from copernicus.scheduling.rows import JobRow

SPEC = JobSpec("m.f", "1", ProgramNeed("p"), "digest", "key", Command((Line(("p",)),)))
TIMED = Resources(expected_s=60.0)
ROW = JobRow("p.a1", "p", 1, "queued", 1, SPEC)


def spec_with(**fields):
    return {"spec": msgspec.structs.replace(SPEC, **fields)}


OTHERS = {
    "project": {"project": "q"},
    "priority": {"priority": 7},
    "memory": {"memory_mb": 2000},
    "avoided": {"avoid": ("w1",)},
    "barred": {"barred": ("w1",)},
    "program": spec_with(program=ProgramNeed("p", ">=2")),
    "function": spec_with(function="m.g"),
    "resources": spec_with(resources=Resources(cores=2)),
    "resumable": spec_with(
        command=msgspec.structs.replace(
            SPEC.command, checkpoint=Checkpoint(("state",), ("state",))
        ),
        resources=(timed := Resources(expected_s=60.0)),
    ),
}


def lanes(*rows):
    queue = Queue({row.id: row.order for row in rows}.__getitem__)
    for row in rows:
        queue.offer(row)
    return [queue.lane_of(row.id) for row in rows]


def another(number=2, **fields):
    return msgspec.structs.replace(ROW, id=f"p.a{number}", order=number, **fields)


@pytest.mark.parametrize("what", OTHERS)
def test_what_asks_for_something_else_has_another_lane(what):
    first = ROW
    if what == "resumable":
        first = msgspec.structs.replace(ROW, **spec_with(resources=TIMED))
    other = another(**OTHERS[what])
    one, two = lanes(first, other)
    assert one is not two
    assert (one.needs, two.needs) == (needs_of(first), needs_of(other))


def test_what_asks_for_the_same_shares_one_however_it_came():
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(SPEC), type=JobSpec)
    one, two, three = lanes(ROW, another(), another(3, spec=read))
    assert one is two is three


def test_the_latest_may_have_gone():
    queue = Queue({"p.a1": 1, "p.a2": 2}.__getitem__)
    queue.offer(ROW)
    queue.remove(ROW.id)
    queue.offer(another())
    assert [lane.head_job for lane in queue.all_lanes()] == ["p.a2"]
