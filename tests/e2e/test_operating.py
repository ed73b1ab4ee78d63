"""Watching over a server: disk, answers to monitors, services; pages done as they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.e2e import Env, all_done, states, wait_until
from support.e2e_programs import count, programs_file
from support.mounts import fill, small_disk
from support.tutorials import Reader

pytestmark = pytest.mark.e2e
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
MIB = 2**20


@pytest.fixture
def url(env: Env) -> str:
    env.open()
    assert env.ports is not None
    return f"https://127.0.0.1:{env.ports[1]}"


@pytest.fixture
def reader(env: Env, url: str) -> Iterator[Reader]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ca = str(env.server / "identity" / "ca.pem")
    made = Reader(env.root, env.environment(PATH=path, CA=ca, URL=url, COLUMNS="100"), (0, 0))
    yield made
    made.leave()


@pytest.mark.curl
@pytest.mark.timeout(200)
def test_monitor_a_server(env: Env, reader: Reader) -> None:
    reader.follow(HOW_TO / "monitor-a-server.md")
    code, found = reader._shell("curl -sSi --cacert $CA $URL/v1/metrics")
    assert code == 0, found
    assert found.split()[1] == "401", "not for everybody"
    assert re.search(r"^x-request-id: [0-9a-z]{26}\r?$", found, re.IGNORECASE | re.MULTILINE)


@pytest.mark.curl
@pytest.mark.timeout(200)
def test_metrics_count_what_happened(env: Env, reader: Reader) -> None:
    env.cpc("user", "token", "create", "m", "--scope", "read", "-o", "m.token")
    code, text = reader._shell(
        'curl -sS --cacert $CA -H "Authorization: Bearer $(cat m.token)" $URL/v1/metrics'
    )
    assert code == 0, text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(found["copernicus_commits_total"]) >= 3
    assert found["copernicus_projects"] == "1.0"
    bucket = found['copernicus_commit_seconds_bucket{le="+Inf"}']
    assert float(bucket) == float(found["copernicus_commits_total"])
    assert float(found["copernicus_disk_free_bytes"]) > 0
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {"copernicus_requests", "copernicus_queue_jobs", "copernicus_leases"} <= families


@pytest.mark.shells
@pytest.mark.parametrize("page", ["server", "worker"])
def test_the_unit_of_a_service_is_understood_by_systemd(page: str, tmp_path: Path) -> None:
    text = (HOW_TO / f"run-a-{page}-as-a-service.md").read_text()
    found = re.search(r"```(?:ini)?\n(\s+\[Unit\].*?)```", text, re.DOTALL)
    assert found is not None
    unit = re.sub(r"^   ", "", found[1], flags=re.MULTILINE)
    command = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.MULTILINE)
    assert command is not None
    # What it starts must exist here, and know these arguments.
    own = Path(sys.executable).parent / "cpc"
    words = command[2].split()
    helped = subprocess.run([own, *words[:2], "--help"], capture_output=True, text=True, check=True)
    assert [word for word in words if word.startswith("--") and word not in helped.stdout] == []
    file = tmp_path / f"copernicus-{page}.service"
    file.write_text(unit.replace(command[1], str(own)).replace("User=copernicus", "User=root"))
    said = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False
    )
    assert (said.returncode, [x for x in said.stderr.splitlines() if file.name in x]) == (0, [])


@pytest.mark.timeout(300)
def test_fault_04_low_on_disk_the_server_gives_out_no_work_says_so_and_goes_on(env: Env) -> None:
    with small_disk(env.root / "disk", megabytes=96) as disk:
        env.server = disk / "server"
        project = env.open(min_free_mb=24, disk_check_s=0.2)
        full = fill(disk, leave=12 * MIB)
        wait_until(lambda: "almost full" in env.cpc("status"), "the project's status says so")
        assert "WARNING: the server's disk is almost full" in env.cpc(
            "server", "status", env.server
        )
        count(env, "e", 10)
        env.start_worker("w1", "--programs", programs_file(env))
        wait_until(lambda: [w.state for w in env.client.workers()] == ["connected"], "it asks")
        assert states(project, "e") == ["queued"]
        assert "almost full" in env.cpc("why", "e")
        full.unlink()
        wait_until(lambda: all_done(project, "e", 1), "it goes on by itself")
        assert "almost full" not in env.cpc("status")
        assert "WARNING" not in env.cpc("server", "status", env.server)
        env.stop_server()


@pytest.mark.timeout(300)
def test_fault_05_low_on_disk_a_worker_asks_for_nothing_is_shown_and_goes_on(env: Env) -> None:
    project = env.open()
    with small_disk(env.root / "w1", megabytes=96) as disk:
        disk.chmod(0o700)
        full = fill(disk, leave=20 * MIB)
        count(env, "e", 10)
        worker = env.start_worker("w1", "--programs", programs_file(env))
        wait_until(lambda: [w.state for w in env.client.workers()] == ["full"], "it is shown")
        assert "MiB left" in env.cpc("worker", "list")
        assert states(project, "e") == ["queued"]
        full.unlink()
        wait_until(lambda: all_done(project, "e", 1), "it goes on by itself")
        assert "room on the disk again" in worker.said
        worker.end()
