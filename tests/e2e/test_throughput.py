"""Thousands of tiny jobs through one server and one worker over TLS: none lost, none done twice."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from benchmarks.site import TRUE, running_site  # noqa: E402

from copernicus.sdk.toml_functions import read_function  # noqa: E402

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
NOOPS = 10_000
PROGRAMS = 2_000
PATIENCE_S = 800.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running_site(tmp_path_factory.mktemp("throughput")) as running:
        yield running


def run_all(project, function, count):
    with project.transaction():
        project.add("run", function, map="x", active=True)
        project.set("run.in.x", list(range(count)))
    end = time.monotonic() + PATIENCE_S
    counts = {}
    while counts.get("done", 0) < count:
        assert time.monotonic() < end, counts
        assert not counts.get("failed"), counts
        time.sleep(0.5)
        counts = project.instances()[0].counts
    assert counts == {"done": count}


def journal(project):
    since = 0
    while page := project.journal(since):
        yield from page
        since = page[-1].position


def check_journal(project, count):
    entries = list(journal(project))
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    facts = Counter((e.kind, e.event["id"]) for e in entries if "id" in e.event)
    opened = [name for kind, name in facts if kind == "activation_opened"]
    ended = [e.event for e in entries if e.kind == "activation_ended"]
    assert len(opened) == len(ended) == count
    assert {event["id"] for event in ended} == set(opened)
    assert max(facts.values()) == 1
    assert {event["outcome"] for event in ended} == {"succeeded"}
    for event in ended:
        outcomes = Counter(attempt["outcome"] for attempt in event["attempts"])
        assert outcomes["completed"] == 1, event
        # A worker that stands still for a while hands back what it has not begun.
        assert set(outcomes) <= {"completed", "stopped"}, event


@pytest.mark.timeout(900)
def test_ten_thousand_tasks_that_do_nothing(site):
    project = site.client.create_project("noops")
    run_all(project, "noop.echo", NOOPS)
    found = project.value("run.out.result")
    assert (found.state, found.value) == ("current", list(range(NOOPS)))
    check_journal(project, NOOPS)


@pytest.mark.timeout(900)
def test_two_thousand_programs(site):
    project = site.client.create_project("programs")
    project.define(read_function(TRUE, "bench.toml"))
    run_all(project, "bench.true", PROGRAMS)
    found = project.value("run.out.out")
    assert found.state == "current"
    assert [(file["name"], file["size"]) for file in found.value] == [("out.txt", 0)] * PROGRAMS
    check_journal(project, PROGRAMS)
