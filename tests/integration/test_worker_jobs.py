"""Program jobs and tasks on a real worker process, against a scripted server."""

from __future__ import annotations

import pytest

from copernicus.model.jobs import Command, Done, Output, Placed
from support.worker_process import worker
from support.worker_server import program_job, scripted_server, sh


@pytest.fixture
def server(tmp_path):
    with scripted_server(tmp_path) as running:
        yield running


def test_program_job_end_to_end(server, tmp_path):
    text = server.blobs.put_bytes(b"hello " * 10)
    big = server.blobs.put_bytes(b"0123456789" * 300_000)
    command = Command(
        lines=(
            sh("cat a.txt b/big.bin > out.bin; echo made; wc -c < out.bin > n.txt"),
            sh("exit 3", ok=(3,)),
        ),
        files=(
            Placed("a.txt", file={"$file": text.sha256, "size": text.size, "name": "x"}),
            Placed("b/big.bin", file={"$file": big.sha256, "size": big.size, "name": "y"}),
            Placed("note.txt", text="hi"),
        ),
        outputs=(
            Output("out", pattern="out.bin"),
            Output("n", how="number", pattern="n.txt"),
            Output("log", how="text", pattern="job.log"),
            Output("code", how="exit_code"),
            Output("all", how="files", pattern="*.txt"),
        ),
    )
    server.add(program_job(1, command))
    with worker(server, tmp_path / "w") as running:
        result = server.result("p.a1#1")
        assert result.outcome == "completed", result.failure
        assert result.outputs["n"] == 3_000_060
        assert result.outputs["log"] == "made\n"
        assert result.outputs["code"] == 3
        assert [f["name"] for f in result.outputs["all"]] == ["a.txt", "n.txt", "note.txt"]
        content = server.content("p.a1#1", result.outputs["out"])
        assert content == b"hello " * 10 + b"0123456789" * 300_000
        assert result.record.worker == "w1"
        assert running.end() == 0
        assert list((running.work_dir / "attempts").iterdir()) == []


def test_fatal_words_become_the_reason(server, tmp_path):
    command = Command(
        lines=(sh("echo step 7; echo 'Fatal: water exploded' >&2; exit 1"),),
        done_when=Done(fatal={"water exploded": "the system is unstable"}),
    )
    server.add(program_job(1, command))
    with worker(server, tmp_path / "w"):
        failure = server.result("p.a1#1").failure
    assert failure.reason == "the system is unstable"
    assert failure.exit_code == 1
    assert failure.cause == "job_error"
    assert "step 7" in failure.log
