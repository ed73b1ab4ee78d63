"""Every row of the checkpoint contract of GROMACS, on real runs: nothing wrong passes silently."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.model.jobs import CheckpointRef, Line, StoredFile
from copernicus.modules.gromacs.functions import mdrun
from copernicus.modules.gromacs.texts import join_parts
from support.gromacs import EVERY, FAST_MIN, Lab, held, paths
from support.worker_process import worker
from support.worker_server import scripted_server

pytestmark = [pytest.mark.gromacs, pytest.mark.timeout(300)]

STEPS = 300_000
FRAMES = STEPS // EVERY + 1
FRAME_PS = 1.0
DHDL_PS = 0.2
WINDOWS = {
    "free_energy": "yes",
    "couple_moltype": "Protein_chain_A",
    "couple_lambda0": "vdw-q",
    "couple_lambda1": "none",
    "couple_intramol": "no",
    "coul_lambdas": "0 0.5 1 1",
    "vdw_lambdas": "0 0 0 0.5",
    "sc_alpha": 0.5,
    "nstdhdl": 100,
    "calc_lambda_neighbors": -1,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gromacs")
    with scripted_server(folder) as server, worker(server, folder / "w", cores=1):
        yield Lab(server, folder)


@pytest.fixture(scope="module")
def tpr(lab):
    return lab.tpr()


@pytest.fixture(scope="module")
def long(tpr):
    return mdrun(tpr, nsteps=STEPS, checkpoint_every=FAST_MIN)


@pytest.fixture(scope="module")
def stopped(lab, long):
    """What a worker that was told to stop hands back, in the middle of the run."""
    attempt = lab.start(long)

    def has_two_states():
        mine = [c for c in lab.server.checkpoints if c.attempt == attempt]
        return bool(mine) and "md_prev.cpt" in paths(mine[-1])

    lab.server.wait_for(has_two_states, "a checkpoint with the one before it")
    result = lab.stop(attempt)
    assert result.outcome == "stopped"
    assert 0 < result.checkpoint.step < STEPS
    return result


def changed(lab, request, name, change) -> CheckpointRef:
    """The checkpoint with one of its files changed."""
    files = {file.path: file for file in request.files}
    made = lab.put(name, change(lab.bytes(files[name])))
    files[name] = StoredFile(name, made.sha256, made.size)
    return msgspec.structs.replace(held(request), files=tuple(files.values()))


def without(request, name) -> CheckpointRef:
    ref = held(request)
    return msgspec.structs.replace(ref, files=tuple(f for f in ref.files if f.path != name))


def whole(lab, result) -> None:
    """Every frame once. A run that is stopped writes its energies then, too, as any mdrun does."""
    assert lab.check(lab.file(result, "xtc")) == (FRAMES, FRAME_PS)
    times = lab.energy_times(lab.file(result, "edr"))
    assert sorted(set(times)) == times
    even = [time for time in times if time == round(time)]
    assert even == [float(n) for n in range(FRAMES)]
    assert len(times) - len(even) < len(lab.files(result, "logs"))


def log_of(lab, result) -> str:
    return lab.text(lab.files(result, "logs")[-1])


@pytest.mark.parametrize("damage", ["truncated", "not a checkpoint"])
def test_of_a_damaged_checkpoint_the_one_before_is_taken(lab, long, stopped, damage):
    ref = changed(lab, stopped.checkpoint, "md.cpt", DAMAGES[damage])
    result = lab.run(long, ref)
    whole(lab, result)


DAMAGES = {
    "truncated": lambda data: data[:-400],
    "not a checkpoint": lambda data: b"nothing of a checkpoint" + data[23:],
}


def test_a_damaged_checkpoint_without_one_before_is_given_back_as_such(lab, long, stopped):
    ref = changed(lab, stopped.checkpoint, "md.cpt", DAMAGES["truncated"])
    alone = msgspec.structs.replace(
        ref, files=tuple(f for f in ref.files if f.path != "md_prev.cpt")
    )
    result = lab.run(long, alone)
    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint
    assert "is damaged" in result.failure.reason


def test_both_damaged(lab, long, stopped):
    ref = changed(lab, stopped.checkpoint, "md.cpt", DAMAGES["truncated"])
    ref = changed(lab, ref, "md_prev.cpt", DAMAGES["truncated"])
    result = lab.run(long, ref)
    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint


def test_a_flipped_byte_does_not_pass_although_gromacs_might_run_on(lab, long, stopped):
    """A checkpoint file has no checksum: the hash by which it travels finds it."""
    there = lab.put("state.cpt", lab.bytes(lab.put("x", b"never fetched before"))).sha256
    chunk = lab.folder / "server-blobs" / "chunks" / there[:2] / there
    data = bytearray(chunk.read_bytes())
    data[3] ^= 1
    chunk.write_bytes(data)
    ref = changed(lab, stopped.checkpoint, "md.cpt", lambda _: b"another")
    files = tuple(
        StoredFile("md.cpt", there, len(data)) if file.path == "md.cpt" else file
        for file in ref.files
    )
    result = lab.run(long, msgspec.structs.replace(ref, files=files))
    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint
    assert "md.cpt is damaged" in result.failure.reason


def test_the_checkpoint_of_another_window_is_refused_although_gromacs_takes_it(lab):
    commands = [
        mdrun(lab.tpr(lab.mdp(init_lambda_state=window, **WINDOWS), maxwarn=3), nsteps=nsteps)
        for window, nsteps in ((1, 1000), (2, 2000))
    ]
    other = held(lab.run(commands[0]).checkpoint)
    assert lab.run(commands[1], other).outcome == "completed", "GROMACS says nothing"

    result = lab.run(commands[1], msgspec.structs.replace(other, key="of window 1"))

    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint
    assert "of other work" in result.failure.reason


def test_a_checkpoint_without_its_state_does_not_start_from_the_beginning(lab, long, stopped):
    for ref in (without(stopped.checkpoint, "md.cpt"), held(stopped.checkpoint, md_cpt=GONE)):
        result = lab.run(long, ref)
        assert result.outcome == "failed"
        assert result.failure.bad_checkpoint
        assert "md.cpt" in result.failure.reason


GONE = StoredFile("md.cpt", "0" * 64, 10)


def test_the_time_limit_of_mdrun_is_no_end(lab, long):
    """``-maxh``: exit code 0, a checkpoint, no final structure."""
    lines = tuple(
        Line((*line.argv, "-maxh", "0.0002"), line.when, ok=line.ok)
        if "mdrun" in line.argv
        else line
        for line in long.lines
    )
    result = lab.run(msgspec.structs.replace(long, lines=lines))
    assert result.outcome == "stopped", result.failure
    assert result.record.exit_code == 0
    assert 0 < result.checkpoint.step < STEPS
    whole(lab, lab.run(long, held(result.checkpoint)))


def test_a_resumed_run_that_was_finished_ends_at_once(lab, tpr):
    command = mdrun(tpr, nsteps=5000)
    first = lab.run(command)
    again = lab.run(command, held(first.checkpoint))
    assert again.outcome == "completed"
    assert again.outputs["xtc"] == first.outputs["xtc"]


@pytest.fixture(scope="module")
def window(lab):
    mdp = lab.mdp(init_lambda_state=1, **WINDOWS)
    return mdrun(lab.tpr(mdp, maxwarn=3), nsteps=STEPS, checkpoint_every=FAST_MIN)


def test_free_energies_and_frames_of_three_workers_have_no_gap_and_no_double(lab, window, tmp_path):
    """Killed, terminated, finished: dhdl has every row once, like the trajectory."""
    with scripted_server(tmp_path) as server:
        there = Lab(server, tmp_path)
        for file in window.files:
            there.put(file.path, lab.bytes(StoredFile(file.path, file.file["$file"], 0)))
        with worker(server, tmp_path / "w1", cores=1) as first:
            there.start(window)
            server.wait_for(lambda: server.checkpoints, "a checkpoint")
            first.process.kill()
            first.process.wait()
        left = held(server.checkpoints[-1])
        with worker(server, tmp_path / "w2", cores=1) as second:
            attempt = there.start(window, left)
            server.wait_for(
                lambda: any(c.attempt == attempt for c in server.checkpoints), "another checkpoint"
            )
            assert second.end() == 0
        stopped = there.result(attempt)
        assert stopped.outcome == "stopped"
        assert left.step < stopped.checkpoint.step < STEPS
        with worker(server, tmp_path / "w3", cores=1):
            result = there.run(window, held(stopped.checkpoint))
        whole(there, result)
        parts = there.files(result, "dhdl")
        assert [part.name for part in parts] == [f"md.part000{n}.xvg" for n in (1, 2, 3)]
        joined = join_parts([there.text(part) for part in parts])
        rows = [line.split() for line in joined.splitlines() if line[0] not in "#@"]
        assert [float(row[0]) for row in rows] == pytest.approx(
            [n * DHDL_PS for n in range(STEPS // 100 + 1)]
        )
        assert {len(row) for row in rows} == {len(rows[0])}
        assert first_step_of(there, result) == stopped.checkpoint.step


def first_step_of(lab, result) -> float:
    """The step that the last part began with."""
    words = log_of(lab, result).split()
    return float(words[words.index("step:") + 1])
