"""What happens to running jobs when a worker, its server or its programs come to an end."""

from __future__ import annotations

import signal
import subprocess

import psutil
import pytest

from copernicus.model.jobs import Checkpoint, Command, Done, Number, Output, Progress
from support.worker_process import WorkerProcess, wait_until, worker
from support.worker_server import Refuse, program_job, scripted_server, sh

# Counts steps into a log, keeps its state, and writes it a last time when told to end.
COUNTER = """
n=$(cat state 2>/dev/null || echo 0)
trap 'echo $n > state; echo "step $n" >> md.log; exit 1' TERM
echo started
while [ $n -lt {limit} ]; do
  n=$((n+1)); echo $n > state.new; mv state.new state; echo "step $n" >> md.log; sleep 0.02
done
echo {limit} > final
"""
STEP = Number("md.log", r"step (\d+)")


def counter(limit: int, **fields) -> Command:
    return Command(
        lines=(sh(COUNTER.replace("{limit}", str(limit))),),
        outputs=(Output("final", how="number", pattern="final"),),
        checkpoint=Checkpoint(files=("state", "md.log"), required=("state",), step=STEP, **fields),
        progress=Progress("md.log", r"step (?P<step>\d+)", total=limit),
        done_when=Done(files=("final",)),
    )


@pytest.fixture
def server(tmp_path):
    with scripted_server(tmp_path) as running:
        yield running


def alive(marker: str) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline", "status"])
        if marker in " ".join(p.info["cmdline"] or ()) and p.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_kill_9_leaves_no_orphan(server, tmp_path):
    script = "(setsid sh -c 'trap \"\" TERM; sleep 98761' &) ; trap '' TERM; sleep 98761 & wait"
    server.add(program_job(1, [sh(script)]), program_job(2, [sh("sleep 98761")]))
    with worker(server, tmp_path / "w") as running:
        wait_until(lambda: len(alive("sleep 98761")) >= 3, "three sleepers")
        family = running.children()
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        _, left = psutil.wait_procs(family, timeout=15)
        assert left == []
        assert alive("sleep 98761") == []


def test_sigterm_hands_back_with_a_checkpoint(server, tmp_path):
    server.add(program_job(1, counter(10_000)))
    with worker(server, tmp_path / "w") as running:
        wait_until(lambda: list(running.work_dir.glob("attempts/*/work/md.log")), "work")
        assert running.end() == 0
        result = server.results["p.a1#1"]
    assert result.outcome == "stopped"
    assert result.checkpoint.key == "key"
    assert result.checkpoint.step >= 1
    stored = {file.path: file for file in result.checkpoint.files}
    assert set(stored) == {"state", "md.log"}
    state = result.inline[stored["state"].sha256]
    assert float(state) == result.checkpoint.step


def test_stop_directive_then_resume_elsewhere(server, tmp_path):
    server.add(program_job(1, counter(10_000), heartbeat_s=0.1))
    with worker(server, tmp_path / "w"):
        server.wait_for(
            lambda: any(b.progress and b.progress.step for r in server.beats for b in r.beats)
        )
        server.directives["p.a1#1"] = "stop"
        first = server.result("p.a1#1")
        assert first.outcome == "stopped"
        for data in first.inline.values():
            server.blobs.put_bytes(data)
        held = first.record.checkpoint
        steps = round(held.step) + 20
        again = counter(steps)
        server.add(program_job(1, again, attempt="p.a1#2", number=2, checkpoint=held, part=2))
        second = server.result("p.a1#2")
    assert second.outcome == "completed", second.failure
    assert second.outputs == {"final": steps}
    assert second.checkpoint.step == steps
    log = second.inline[{f.path: f for f in second.checkpoint.files}["md.log"].sha256].decode()
    assert [line for line in log.splitlines() if line == "step 1"] == ["step 1"]


def test_discard_ends_a_stubborn_job_without_a_result(server, tmp_path):
    script = "trap '' TERM; (setsid sleep 87651 &); while :; do sleep 0.1; done"
    server.add(program_job(1, [sh(script)], heartbeat_s=0.1))
    with worker(server, tmp_path / "w") as running:
        wait_until(lambda: bool(alive("sleep 87651")), "the daemon")
        server.directives["p.a1#1"] = "discard"
        wait_until(lambda: not alive("sleep 87651"), "an end of the daemon", 15)
        wait_until(lambda: not list(running.work_dir.glob("attempts/*")), "a clean folder")
        assert "p.a1#1" not in server.results


def test_checkpoints_travel_while_the_job_runs_and_only_growth_is_sent(server, tmp_path):
    script = """
head -c 3000000 /dev/zero | tr '\\0' x > traj
echo 1 > state
while [ ! -e go ]; do sleep 0.02; done
head -c 100 /dev/zero >> traj; echo 2 > state
while [ ! -e end ]; do sleep 0.02; done
"""
    command = Command(
        lines=(sh(script),),
        checkpoint=Checkpoint(files=("state", "traj"), required=("state",), interval_s=0.05),
    )
    server.add(program_job(1, command))
    with worker(server, tmp_path / "w") as running:
        server.wait_for(lambda: len(server.checkpoints) == 1)
        before = len(server.uploaded)
        (folder,) = running.work_dir.glob("attempts/*/work")
        (folder / "go").touch()
        server.wait_for(lambda: len(server.checkpoints) == 2)
        files = {f.path: f for f in server.checkpoints[1].files}
        assert files["traj"].size == 3_000_100
        assert len(server.uploaded) - before == 2  # the tail of traj, and state
        (folder / "end").touch()
        result = server.result("p.a1#1")
    assert result.outcome == "completed"
    assert server.checkpoints[1].seq > server.checkpoints[0].seq
    assert result.seq > server.checkpoints[1].seq


def test_result_survives_an_absent_server_and_a_new_worker(server, tmp_path):
    def away(path: str) -> None:
        if path == "/v1/work/result":
            raise Refuse(507, "busy", "no room")

    server.fail = away
    command = Command(
        lines=(sh("head -c 2000000 /dev/zero > big; echo 7 > n"),),
        outputs=(Output("big", pattern="big"), Output("n", how="number", pattern="n")),
    )
    server.add(program_job(1, command))
    with worker(server, tmp_path / "w", deliver_s=0.2) as running:
        wait_until(lambda: list(running.work_dir.glob("spool/*.result")), "a spooled result")
        assert "p.a1#1" not in server.results
        assert running.end() == 0
    server.fail = lambda path: None
    with worker(server, tmp_path / "w") as running:
        result = server.result("p.a1#1")
        assert result.outputs["n"] == 7
        assert len(server.content("p.a1#1", result.outputs["big"])) == 2_000_000
        wait_until(lambda: not list(running.work_dir.glob("spool/*")), "an empty spool")
        wait_until(lambda: not list(running.work_dir.glob("attempts/*")), "a clean folder")
        assert len(server.joined) == 1


def test_second_sigint_ends_at_once(server, tmp_path):
    deaf = tmp_path / "deaf"
    stubborn = f"trap '' TERM; touch {deaf}; while :; do sleep 0.05; done"
    server.add(program_job(1, [sh(stubborn)]))
    with worker(server, tmp_path / "w", grace_s=60.0) as running:
        wait_until(deaf.exists, "a program that does not listen")
        running.process.send_signal(signal.SIGINT)
        wait_until(lambda: "is ending" in running.said(), "an ending")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(15) == 130


def test_drain_finishes_what_runs_and_ends(server, tmp_path):
    server.add(program_job(1, counter(15), heartbeat_s=0.05))
    server.drain = True
    with worker(server, tmp_path / "w") as running:
        assert running.process.wait(30) == 0
        assert server.results["p.a1#1"].outcome in ("completed", "stopped")


def test_a_drain_is_taken_back_while_something_runs(server, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    server.add(program_job(1, [sh(f"while [ -e {hold} ]; do sleep 0.05; done")], heartbeat_s=0.05))
    server.drain = True
    with worker(server, tmp_path / "w") as running:
        wait_until(lambda: "drains this worker" in running.said(), "a drain")
        server.drain = False
        wait_until(lambda: "takes the draining back" in running.said(), "an end of it")
        server.add(program_job(2, [sh("true")]))
        assert server.result("p.a2#1").outcome == "completed"
        assert "p.a1#1" not in server.results
        server.drain = True
        wait_until(lambda: running.said().count("drains this worker") == 2, "a drain again")
        hold.unlink()
        assert running.process.wait(30) == 0
    assert server.results["p.a1#1"].outcome == "completed"


def test_idle_worker_ends(server, tmp_path):
    with worker(server, tmp_path / "w", idle_exit_s=0.3) as running:
        assert running.process.wait(30) == 0


def test_two_workers_cannot_share_a_folder(server, tmp_path):
    with worker(server, tmp_path / "w") as first:
        server.wait_for(lambda: bool(server.offers))
        second = WorkerProcess(server, tmp_path / "w")
        assert second.process.wait(30) != 0
        assert "another worker is using" in first.said()


def test_full_disk_is_not_the_fault_of_the_job(server, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        command = Command(
            lines=(sh("head -c 9000000 /dev/zero > big || exit 1"),),
            outputs=(Output("big", pattern="big"),),
        )
        server.add(program_job(1, command))
        with worker(server, tmp_path / "w", work_dir=small / "work"):
            failure = server.result("p.a1#1").failure
            assert failure.cause == "infrastructure"
            assert "disk" in failure.reason
            server.add(program_job(2, [sh("true")]))
            assert server.result("p.a2#1").outcome == "completed"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
