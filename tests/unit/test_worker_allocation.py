"""How a worker reads from Slurm when its batch job ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from copernicus.worker.allocation import read_time_left, seconds_left


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0:59\n", 59.0),
        ("10:00", 600.0),
        ("1:00:01", 3601.0),
        ("2-03:04:05", 2 * 86400 + 3 * 3600 + 4 * 60 + 5.0),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("NOT_SET", None),
        ("", None),
    ],
)
def test_time_left_is_read_as_squeue_writes_it(said: str, seconds: float | None) -> None:
    assert read_time_left(said) == seconds


def test_an_end_that_slurm_tells_is_used_without_asking() -> None:
    told = {"SLURM_JOB_END_TIME": "1000", "SLURM_JOB_ID": "7", "PATH": ""}
    assert asyncio.run(seconds_left(told, 900.0)) == 100.0


def test_outside_of_slurm_and_without_squeue_there_is_no_end(tmp_path: Path) -> None:
    assert asyncio.run(seconds_left({}, 900.0)) is None
    assert asyncio.run(seconds_left({"SLURM_JOB_ID": "7", "PATH": str(tmp_path)}, 900.0)) is None


def test_squeue_is_asked_for_the_own_job(tmp_path: Path) -> None:
    asked = tmp_path / "squeue"
    asked.write_text('#!/bin/sh\n[ "$2" = --jobs=7 ] && echo 1:00\n')
    asked.chmod(0o755)
    found = asyncio.run(seconds_left({"SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:/bin"}, 0.0))
    assert found == 60.0
