"""Every measure of the benchmarks is taken for real, with counts that are as small as can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURES = {
    "noop": ("no-op tasks/s", "CPU-ms per task, all processes: noop"),
    "true": ("programs (`/bin/true`, output kept)/s",),
    "files": ("one small file in and out, tasks/s",),
    "chain": ("result -> dependent job, ms",),
    "latency": ("submit, wait, again, ms",),
    "queued": (
        "100 queued: submit, s",
        "100 queued: server, MB",
        "100 queued: ready after kill -9, s",
        "100 queued: list page p95, ms",
    ),
    "bulk": ("bulk file of 3 MiB, worker -> server", "bulk file of 3 MiB, server -> worker"),
    "fleet": ("2 model workers, jobs of 0.5 s: time at work",),
    "hops": tuple(f"{relays} relays: result -> dependent job, ms" for relays in (0, 1, 2)),
}


def measured(folder: Path, *only: str) -> tuple[list[dict], str]:
    """What the command tells: its measurements, and the page that it has written."""
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--output", str(folder)]
    done = subprocess.run(
        [*command, "--only", *only], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (told,) = folder.glob("bench-*.json")
    (page,) = folder.glob("bench-*.md")
    kept = json.loads(told.read_text())
    assert kept["machine"]["cores"] >= 1
    assert kept["machine"]["packages"]["copernicus"]
    text = page.read_text()
    table = text[text.index("| measure |") :].partition("\n\n")[0]
    assert table in done.stdout
    return kept["found"], table


@pytest.mark.timeout(600)
def test_every_row_of_the_table_is_measured(tmp_path):
    found, table = measured(tmp_path, *MEASURES)
    ours = {one["phase"] for one in found if one["system"] == "copernicus"}
    assert ours == set(MEASURES)
    assert {one["phase"] for one in found if one["system"] == "pool"} == {"noop", "true", "files"}
    for measures in MEASURES.values():
        for measure in measures:
            assert f"| {measure}" in table
    lines = table.splitlines()[2:]
    assert all(line.split("|")[2].strip() for line in lines)
    assert any("pool " in line for line in lines)
    assert {line.split("|")[6].strip() for line in lines} <= {"met", "missed", "not judged"}


@pytest.mark.gromacs
@pytest.mark.timeout(300)
def test_the_overhead_on_simulations_is_measured(tmp_path):
    (one,), table = measured(tmp_path, "ensemble")
    assert one["n"] == 2
    assert one["run_s"] > 0
    assert "| overhead on 2 GROMACS runs" in table
