"""Measurements are held against the goals: ratios, verdicts, and what cannot be judged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import goals


def one(system: str, phase: str, n: int = 100, seconds: float = 1.0, **more: float) -> dict:
    return {"system": system, "phase": phase, "n": n, "seconds": seconds, "cpu_ms": 1.0, **more}


def row(found: list[dict], measure: str) -> goals.Row:
    (wanted,) = [row for row in goals.rows(found) if row.measure.startswith(measure)]
    return wanted


def test_a_rate_is_held_against_each_peer_by_the_median_of_the_rounds():
    found = [one("copernicus", "noop", seconds=s) for s in (0.1, 0.2, 9.0)]
    found += [one("ray", "noop", seconds=0.4), one("parsl", "noop", seconds=0.6)]
    found += [one("dask", "noop", seconds=0.7)]
    told = row(found, "no-op tasks/s")
    assert told.ours == "500"
    assert told.ratio == "ray 2.00, parsl 3.00, dask 3.50"
    assert told.verdict == "missed"
    found[-1]["seconds"] = 0.8
    assert row(found, "no-op tasks/s").verdict == "met"


def test_a_goal_is_not_judged_without_a_peer_but_is_missed_by_one_that_is_there():
    found = [one("copernicus", "noop", seconds=0.1), one("ray", "noop")]
    assert row(found, "no-op tasks/s").verdict == "not judged"
    found[1]["seconds"] = 0.1
    assert row(found, "no-op tasks/s").verdict == "missed"


def test_failed_measurements_are_left_out():
    failed = {"system": "copernicus", "phase": "noop", "n": 100, "error": "no room"}
    assert goals.rows([failed]) == []


@pytest.mark.parametrize(("seconds", "verdict"), [(0.22, "met"), (0.24, "missed")])
def test_a_hop_of_a_chain_may_take_two_milliseconds_more_than_a_sync(seconds, verdict):
    found = [one("copernicus", "chain", seconds=seconds, fsync_ms=0.3)]
    assert row(found, "result -> dependent job").verdict == verdict


def test_what_is_queued_is_held_against_limits_that_grow_with_it():
    numbers = {"memory_mb": 500.0, "restart_s": 10.0, "list_p95_ms": 20.0}
    few = [one("copernicus", "queued", 100_000, 4.0, **numbers)]
    few += [one("dask", "queued", 100_000, 8.0, memory_mb=250.0)]
    assert row(few, "100,000 queued: submit").verdict == "met"
    assert row(few, "100,000 queued: submit").ratio == "dask 0.50"
    assert row(few, "100,000 queued: server").verdict == "missed"
    many = [one("copernicus", "queued", 1_000_000, 40.0, **numbers)]
    assert row(many, "1,000,000 queued: submit").verdict == "not judged"
    assert row(many, "1,000,000 queued: server").verdict == "met"


def test_each_leg_of_a_transfer_is_held_against_a_plain_upload():
    speeds = {"up_mb_s": 160.0, "down_mb_s": 100.0, "plain_mb_s": 200.0}
    found = [{"system": "copernicus", "phase": "bulk", "n": 512, **speeds}]
    assert row(found, "bulk file of 512 MiB, worker -> server").verdict == "met"
    assert row(found, "bulk file of 512 MiB, server -> worker").verdict == "missed"
