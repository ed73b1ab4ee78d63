"""Checkpoints that rot at the server, are cut, or belong elsewhere; wall times that end."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from copernicus.model.jobs import StoredFile
from copernicus.modules.openmm.functions import simulate
from copernicus.sdk import File
from support.e2e import Env, all_done, wait_until
from support.e2e_gromacs import (
    EVERY,
    fetch_times,
    first_steps,
    needs_gmx,
    simulations,
    steps_lasting,
)
from support.gromacs import held
from support.worker_process import worker
from support.worker_server import program_job, scripted_server

ALA2 = Path(str(files("copernicus.modules"))) / "data" / "ala2"
N_STEPS = 150_000  # several seconds: it is to be stopped in its middle


@pytest.mark.gromacs
@needs_gmx
@pytest.mark.timeout(400)
def test_fault_07_of_a_checkpoint_that_rotted_at_the_server_the_one_before_is_taken(
    env: Env,
) -> None:
    project = env.open()
    nsteps = steps_lasting(25)
    simulations(env, project, 1, nsteps)
    first = env.start_worker("first")
    wait_until(lambda: len(env.checkpoints()) >= 2, "two checkpoints at the server", 60)
    env.kill_worker(first)
    newest = max(env.checkpoints(), key=lambda ref: ref.index)
    before = max((r for r in env.checkpoints() if r.index != newest.index), key=lambda r: r.index)
    state = next(file for file in newest.files if file.path == "md.cpt")
    chunk = env.server / "blobs" / "chunks" / state.sha256[:2] / state.sha256
    data = bytearray(chunk.read_bytes())
    data[700] ^= 0xFF
    chunk.write_bytes(data)

    env.start_worker("second")

    wait_until(lambda: all_done(project, "run", 1), "it is done", 250)
    assert first_steps(env, project, 0) == [0, int(before.step or 0)]
    assert fetch_times(env, "run.out.xtc[0]") == (nsteps // EVERY + 1, 1.0)
    ends = [record.outcome for record in project.trace("run.out.xtc[0]").attempts]
    assert ends == ["lost", "failed", "completed"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openmm")
    with scripted_server(folder) as server, worker(server, folder / "w", cores=1):
        yield server


@pytest.fixture(scope="module")
def command(lab):
    return simulation(lab, N_STEPS)


@pytest.fixture(scope="module")
def stopped(lab, command):
    """What an OpenMM job in the middle of its run hands back when it is stopped."""
    lab.add(program_job(1, command, program="openmm", heartbeat_s=0.2))
    lab.wait_for(lambda: any(b.progress and b.progress.step for r in lab.beats for b in r.beats))
    lab.directives["p.a1#1"] = "stop"
    result = lab.result("p.a1#1")
    assert result.outcome == "stopped"
    for data in result.inline.values():
        lab.blobs.put_bytes(data)
    return result.checkpoint


def simulation(lab, n_steps, **inputs):
    start = lab.blobs.put_bytes((ALA2 / "start0.pdb").read_bytes())
    structure = File(start.sha256, start.size, "start0.pdb")
    return simulate(structure, n_steps=n_steps, temperature=600.0, **inputs)


def run(lab, number, command, checkpoint):
    lab.add(program_job(number, command, program="openmm", checkpoint=checkpoint, part=2))
    return lab.result(f"p.a{number}#1")


@pytest.mark.openmm
def test_an_openmm_job_goes_on_from_what_another_handed_back(lab, command, stopped):
    result = run(lab, 2, command, held(stopped))
    assert result.outcome == "completed", result.failure
    assert 0 < stopped.step < N_STEPS


@pytest.mark.openmm
@pytest.mark.parametrize("cut", [100, 1000])
def test_a_truncated_openmm_checkpoint_is_given_back_as_such(lab, command, stopped, cut):
    """OpenMM itself loads it without a word."""
    state = next(file for file in stopped.files if file.path == "state.xml")
    made = lab.blobs.put_bytes(b"".join(lab.blobs.read(state.sha256))[:-cut])
    kept = tuple(file for file in stopped.files if not file.path.startswith("state_prev"))
    files = tuple(
        StoredFile("state.xml", made.sha256, made.size) if file is state else file for file in kept
    )
    result = run(lab, 10 + cut, command, msgspec.structs.replace(held(stopped), files=files))
    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint
    assert "damaged or incomplete" in result.failure.reason


@pytest.mark.openmm
def test_an_openmm_checkpoint_of_another_system_is_given_back_as_such(lab, stopped):
    result = run(lab, 3, simulation(lab, N_STEPS, friction=2.0), held(stopped))
    assert result.outcome == "failed"
    assert result.failure.bad_checkpoint
    assert "belongs to another run" in result.failure.reason


@pytest.mark.openmm
@pytest.mark.timeout(400)
def test_fault_19_at_the_end_of_its_wall_time_a_worker_hands_back_an_openmm_job(env: Env) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    project.add("run", "openmm.simulate", active=False)
    for port, value in (
        ("structure", ALA2 / "start0.pdb"),
        ("n_steps", 2_000_000),
        ("temperature", 600.0),
        ("report_interval", 5000),
    ):
        project.set(f"run.in.{port}", value)
    env.cpc("activate", "run")
    first = env.start_worker("first", "--walltime", 20, "--grace", 5)
    assert first.process.wait(60) == 0
    assert "its wall time is nearly over" in first.said
    reached = max(int(ref.step or 0) for ref in env.checkpoints())
    assert 0 < reached < 2_000_000
    env.start_worker("second")
    wait_until(lambda: all_done(project, "run", 1), "it is done", 170)
    rows = project.get("run.out.energies").download(env.root / "e.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(5000, 2_000_001, 5000))
    one, two = project.trace("run.out.energies").attempts
    assert (one.outcome, two.outcome) == ("stopped", "completed")
    assert one.checkpoint is not None
    assert one.checkpoint.step == reached
