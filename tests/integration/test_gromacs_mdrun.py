"""mdrun as it is really carried out: whole, killed, stopped, moved, extended, damaged."""

from __future__ import annotations

import re

import pytest

from copernicus.model.jobs import StoredFile
from copernicus.modules.gromacs.functions import grompp, mdrun
from copernicus.protocol import CheckpointRequest
from support.gromacs import ALA2, EVERY, FAST_MIN, Lab, held, paths
from support.worker_process import worker
from support.worker_server import scripted_server

pytestmark = [pytest.mark.gromacs, pytest.mark.timeout(300)]

STEPS = 300_000
DT = 0.002
FRAME_PS = EVERY * DT


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gromacs")
    with scripted_server(folder) as server, worker(server, folder / "w", cores=1):
        yield Lab(server, folder)


@pytest.fixture(scope="module")
def tpr(lab):
    return lab.tpr()


@pytest.fixture(scope="module")
def finished(lab, tpr):
    return lab.run(mdrun(tpr, nsteps=20_000))


def even(lab, result, steps):
    assert lab.check(lab.file(result, "xtc")) == (steps // EVERY + 1, FRAME_PS)


def last_step(lab, result):
    return int(re.findall(r"Writing checkpoint, step (\d+)", log_of(lab, result))[-1])


def log_of(lab, result, index=-1):
    return lab.text(lab.files(result, "logs")[index])


def test_whole_run(lab, finished):
    even(lab, finished, 20_000)
    assert lab.check(lab.file(finished, "edr"))[0] == 41
    assert lab.file(finished, "conf").name == "final.gro"
    assert lab.file(finished, "cpt").name == "state.cpt"
    assert len(lab.text(lab.file(finished, "conf")).splitlines()) == 25
    assert last_step(lab, finished) == 20_000
    assert finished.outputs["trr"] == finished.outputs["dhdl"] == []
    assert finished.checkpoint.step == 20_000
    assert {"md.cpt", "md.part0001.xtc"} < paths(finished.checkpoint)


def test_length_is_that_of_the_tpr_unless_nsteps_is_given(lab):
    result = lab.run(mdrun(lab.tpr(lab.mdp(nsteps=1000))))
    even(lab, result, 1000)
    assert last_step(lab, result) == 1000


def test_three_workers_one_killed_one_stopped(lab, tpr, tmp_path):
    steps = 3 * STEPS  # enough to be interrupted twice on a quick machine
    command = mdrun(tpr, nsteps=steps, checkpoint_every=FAST_MIN)
    with scripted_server(tmp_path) as server:
        there = Lab(server, tmp_path)
        there.put("topol.tpr", lab.bytes(tpr))
        with worker(server, tmp_path / "w1", cores=1) as first:
            there.start(command)
            server.wait_for(lambda: server.checkpoints, "a checkpoint")
            first.process.kill()
            first.process.wait()
        left = held(server.checkpoints[-1])
        assert 0 < left.step < steps
        with worker(server, tmp_path / "w2", cores=1):
            attempt = there.start(command, left)
            server.wait_for(lambda: beyond(server, attempt, left.step), "a newer checkpoint")
            stopped = there.stop(attempt)
        assert {p.unit for p in progress_of(server)} == {"ns/day"}
        assert {p.total for p in progress_of(server)} == {steps}
        assert stopped.outcome == "stopped"
        assert left.step < stopped.checkpoint.step < steps
        assert {"md.part0001.xtc", "md.part0002.xtc"} < paths(stopped.checkpoint)
        with worker(server, tmp_path / "w3", cores=1):
            result = there.run(command, held(stopped.checkpoint))
        even(there, result, steps)
        names = [file.name for file in there.files(result, "logs")]
        assert names == [f"md.part000{n}.log" for n in (1, 2, 3)]
        assert f"step: {stopped.checkpoint.step:.0f}" in re.sub(" +", " ", log_of(there, result))


def beyond(server, attempt, step):
    return any(c.attempt == attempt and (c.step or 0) > step for c in server.checkpoints)


def progress_of(server):
    beats = [beat for request in server.beats for beat in request.beats]
    return [beat.progress for beat in beats if beat.progress]


def test_part_begun_after_the_checkpoint_is_written_anew(lab, tpr):
    """An attempt that dies before its first checkpoint leaves the old state and a new part."""
    steps = 20_000
    state = lab.run(mdrun(tpr, nsteps=10_000))
    longer = lab.run(mdrun(tpr, nsteps=steps), held(state.checkpoint))
    newer = {file.path: file for file in longer.checkpoint.files}
    orphan = newer["md.part0002.xtc"]
    cut = lab.put("x", lab.bytes(orphan)[:-300])
    left = held(state.checkpoint)
    files = (*left.files, StoredFile("md.part0002.xtc", cut.sha256, cut.size))
    again = lab.run(
        mdrun(tpr, nsteps=steps), held(CheckpointRequest("x", 1, left.key, files, left.step))
    )
    even(lab, again, steps)
    assert len(lab.files(again, "logs")) == 2


def test_last_frame_of_a_killed_part_is_cut_off(lab, tpr, finished):
    whole = {file.path: file for file in finished.checkpoint.files}
    for name in ("md.part0001.xtc", "md.part0001.edr"):
        cut = lab.put(name, lab.bytes(whole[name])[:-50])
        whole[name] = StoredFile(name, cut.sha256, cut.size)
    left = held(finished.checkpoint)
    request = CheckpointRequest("x", 1, left.key, tuple(whole.values()), left.step)
    even(lab, lab.run(mdrun(tpr, nsteps=30_000), held(request)), 30_000)


def test_finished_run_is_extended(lab, tpr, finished):
    result = lab.run(mdrun(tpr, nsteps=40_000), held(finished.checkpoint))
    even(lab, result, 40_000)
    assert last_step(lab, result) == 40_000
    assert len(lab.files(result, "logs")) == 2
    assert lab.check(lab.file(result, "edr"))[0] == 81
    again = lab.run(mdrun(tpr, nsteps=50_000), held(result.checkpoint))
    even(lab, again, 50_000)


def test_part_without_a_frame(lab, tpr):
    """Its trajectory is an empty file, at which trjcat fails."""
    result = None
    for steps in (1100, 1200, 2000):
        result = lab.run(mdrun(tpr, nsteps=steps), held(result.checkpoint) if result else None)
    even(lab, result, 2000)
    assert len(lab.files(result, "logs")) == 3


def test_run_that_ended_before_its_parts_were_joined(lab, tpr, finished):
    result = lab.run(mdrun(tpr, nsteps=20_000), held(finished.checkpoint))
    even(lab, result, 20_000)


def test_minimisation(lab):
    tpr = lab.tpr(lab.mdp("em.mdp", nsteps=50))
    for nsteps in (None, 20):
        result = lab.run(mdrun(tpr, nsteps=nsteps))
        assert len(lab.text(lab.file(result, "conf")).splitlines()) == 25
        assert lab.check(lab.file(result, "xtc"))[0] == 1
        assert len(lab.files(result, "trr")) == 1
        assert result.outputs["cpt"] is None
        assert result.checkpoint is None


def test_blow_up_says_so(lab):
    tpr = lab.tpr(lab.mdp(dt=0.02, nsteps=20_000), maxwarn=5)
    result = lab.run(mdrun(tpr))
    assert result.outcome == "failed"
    assert result.failure.reason.startswith("the simulation blew up: bonds ")
    assert "smaller time step" in result.failure.reason
    # Torn bonds end it with an error or with a segmentation fault, as it happens.
    assert result.failure.exit_code in (1, -11)
    assert "LINCS" in result.failure.log or "bonds that rotated" in result.failure.log
    assert result.checkpoint is None


def test_checkpoint_beyond_nsteps(lab, tpr, finished):
    """The scheduler does not offer one (``limit``); should it happen, nothing is made up."""
    command = mdrun(tpr, nsteps=5000)
    assert command.checkpoint.limit == 5000
    result = lab.run(command, held(finished.checkpoint))
    assert result.outcome == "failed"
    assert "checkpoint that lies beyond nsteps" in result.failure.reason


def test_checkpoint_of_another_system(lab, finished):
    lines = (ALA2 / "start0.gro").read_text().splitlines()
    assert lines[1].strip() == "22"
    top = (ALA2 / "topol.top").read_text()
    twice = re.sub(r"(\[ molecules \][\s\S]*?\S+\s+)1\s*$", r"\g<1>2\n", top)
    conf = lab.put(
        "two.gro", "\n".join([lines[0], "44", *lines[2:24], *lines[2:24], lines[24], ""])
    )

    made = lab.run(grompp(conf, lab.put("topol.top", twice), lab.mdp(), maxwarn=1))
    result = lab.run(mdrun(lab.file(made, "tpr")), held(finished.checkpoint))
    assert result.outcome == "failed"
    assert result.failure.reason.endswith("checkpoint of another system")
    assert result.failure.bad_checkpoint


def test_no_run_input_file(lab):
    result = lab.run(mdrun(lab.put("topol.tpr", "no tpr"), nsteps=100))
    assert result.outcome == "failed"
    assert "topol.tpr" in result.failure.reason
