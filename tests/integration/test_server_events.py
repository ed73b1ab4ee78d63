"""Live events: in order, from any position on, with the progress of running jobs."""

from __future__ import annotations

import pytest

from copernicus.protocol import ProgressReport
from support.server_client import (
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
    to_the_end,
)


@pytest.fixture(scope="module")
def server_settings():
    return {"keep_alive_s": 0.2}


def take(events, until: str) -> list[dict]:
    found = []
    for entry in events:
        found.append(entry)
        if entry["kind"] == until:
            return found
    raise AssertionError(f"the stream ended before {until}")


def test_everything_in_order_and_again_from_any_position(admin):
    admin.call("POST", "/v1/projects", {"name": "told"})
    with admin.events("told", since=0) as events:
        assert next(events)["kind"] == "project_created"
        admin.edit("told", define(echo_function()), add("one"))
        seen = take(events, "instance_added")
        admin.edit("told", set_input("one.in.text", "x"))
        seen += take(events, "job_made")
    positions = [entry["position"] for entry in seen]
    assert positions == list(range(2, 2 + len(seen)))
    assert seen == admin.get("/v1/projects/told/journal", since=1)
    middle = positions[2]
    with admin.events("told", since=middle) as events:
        assert take(events, "job_made") == seen[3:]
    with admin.events("told", headers={"Last-Event-ID": str(middle)}) as events:
        assert take(events, "job_made") == seen[3:]


def test_positions_beyond_the_journal_are_refused(admin):
    admin.call("POST", "/v1/projects", {"name": "short"})
    admin.refused(409, "conflict", "GET", "/v1/projects/short/events", params={"since": 99})
    headers = {"Last-Event-ID": "x"}
    admin.refused(422, "bad_value", "GET", "/v1/projects/short/events", headers=headers)


def test_progress_is_told_without_a_position(server, admin, tmp_path):
    worker = ScriptedWorker(server, admin, tmp_path)
    project = admin.call("POST", "/v1/projects", {"name": "moving"})["id"]
    admin.edit("moving", define(echo_function()), add("one"), set_input("one.in.text", "x"))
    (job,) = [job for job in worker.lease() if job.project == project]
    with admin.events("moving", since=0) as events:
        take(events, "job_made")
        worker.beat(job.attempt, progress=ProgressReport(step=5, total=10))
        (told,) = take(events, "progress")
        assert told["event"] == {"job": job.job, "step": 5, "total": 10}
        worker.complete(job, {"said": "x"})
        ended = take(events, "activation_ended")[-1]
    assert ended["event"]["outcome"] == "succeeded"
    worker.close()


def test_a_stream_ends_with_the_login_that_opened_it(server, admin):
    user = User(server, "admin")
    admin.call("POST", "/v1/projects", {"name": "open"})
    with user.events("open", since=0) as events:
        next(events)
        user.call("POST", "/v1/logout")
        assert to_the_end(events) == []
    user.close()
