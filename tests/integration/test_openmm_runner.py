"""The OpenMM runner as a program: killed, stopped, moved, extended, and given wrong files."""

import json
import shutil
import signal
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
unit = pytest.importorskip("openmm.unit")

from copernicus.errors import BadSettings  # noqa: E402
from copernicus.modules.analysis.dcd import dcd_info, read_dcd  # noqa: E402
from copernicus.modules.analysis.dihedrals import phi_psi  # noqa: E402
from copernicus.modules.analysis.pdb import read_atoms  # noqa: E402
from copernicus.modules.analysis.surface import basin_populations  # noqa: E402
from copernicus.modules.openmm.checkpoint import (  # noqa: E402
    CheckpointRefused,
    Sidecar,
    load_checkpoint,
    save_checkpoint,
    state_digest,
)
from copernicus.modules.openmm.runner import simulate  # noqa: E402
from copernicus.modules.openmm.system import (  # noqa: E402
    Settings,
    binding_digest,
    build_model,
    choose_platform,
    make_context,
    read_settings,
)
from support.openmm_runs import ALA2, Runs, wait_until  # noqa: E402

pytestmark = pytest.mark.openmm

LONG = {"n_steps": 150_000, "checkpoint_interval_s": 0.05}
TRAVELS = ("state.xml", "state.json", "state_prev.xml", "state_prev.json", "*.part*")


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return Runs(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of 2,000 steps; copy it before changing it."""
    run = Runs(tmp_path_factory.mktemp("finished"))
    assert run.finish(n_steps=2000) == (0, "", "")
    return run


def copied(finished, tmp_path, patterns=("*",)):
    folder = tmp_path / "copy"
    folder.mkdir()
    for pattern in patterns:
        for file in finished.folder.glob(pattern):
            shutil.copy(file, folder)
    return Runs(folder)


def killed_after_a_checkpoint(run, **settings):
    process = run.start(**settings)
    both = [run.folder / name for name in ("state_prev.json", "state.json")]
    wait_until(lambda: all(map(Path.exists, both)) or process.poll() is not None)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (run.folder / "final.pdb").exists()
    return run.sidecar()


def assert_whole_and_continuous(run, n_steps, interval=50):
    """Every frame once, evenly spaced, and no jump where one part ends and the next begins."""
    expected = np.arange(interval, n_steps + 1, interval)
    rows = np.array(run.table())
    np.testing.assert_array_equal(rows[:, 0], expected)
    np.testing.assert_allclose(rows[:, 1], expected * 0.002, rtol=1e-5)
    assert np.isfinite(rows).all()
    info = dcd_info(run.folder / "traj.dcd")
    assert (info.frames, info.first_step, info.interval) == (len(expected), interval, interval)
    angles = phi_psi(read_dcd(run.folder / "traj.dcd"), run.structure)
    moved = np.abs((np.diff(angles, axis=0) + 180) % 360 - 180).max(axis=1)
    assert moved.min() > 0.0
    parts = run.sidecar()["frames"]
    seams = np.cumsum(parts)[:-1]
    inside = np.setdiff1d(np.arange(1, len(angles)), seams) - 1
    assert sum(parts) == len(expected)
    for seam in seams[(seams > 0) & (seams < len(angles))]:
        assert moved[seam - 1] <= 1.3 * moved[inside].max()


def test_a_run_writes_what_it_promises(finished):
    names = {file.name for file in finished.folder.iterdir()}
    assert {"traj.dcd", "energies.csv", "final.pdb", "progress.log", "state.xml"} <= names
    assert not [name for name in names if name.endswith(".tmp")]
    assert_whole_and_continuous(finished, 2000)
    assert finished.sidecar()["step"] == 2000
    assert finished.sidecar()["part"] == 1
    last = (finished.folder / "progress.log").read_text().splitlines()[-1]
    assert last.startswith("step=2000 total=2000 ns_per_day=")
    assert read_atoms(finished.folder / "final.pdb") == read_atoms(finished.structure)
    assert (finished.folder / "energies.csv").read_text().splitlines()[0] == (
        "step,time_ps,potential_kJ_mol,temperature_K,speed_ns_day"
    )


def test_the_thermostat_holds_the_temperature(run):
    """51 degrees of freedom are left of 66 by 12 constraints and the centre of mass."""
    assert run.finish(n_steps=100_000, report_interval=100)[0] == 0
    temperatures = np.array(run.table())[100:, 3]
    assert temperatures.mean() == pytest.approx(600.0, abs=25.0)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished, run):
    assert run.finish(n_steps=2000)[0] == 0
    same = (run.folder / "traj.dcd").read_bytes()
    assert same == (finished.folder / "traj.dcd").read_bytes()
    for file in run.folder.iterdir():
        file.unlink()
    assert run.finish(n_steps=2000, seed=8)[0] == 0
    assert same != (run.folder / "traj.dcd").read_bytes()


def test_a_killed_run_goes_on_elsewhere_without_gaps_or_duplicates(run, tmp_path):
    saved = killed_after_a_checkpoint(run, **LONG)
    assert 0 < saved["step"] < LONG["n_steps"]
    with (run.folder / "traj.part0001.dcd").open("ab") as file:
        file.write(b"half a frame")
    with (run.folder / "energies.part0001.csv").open("a") as file:
        file.write("99999,1")
    (run.folder / "traj.part0002.dcd").write_bytes(b"left by a start that saw no checkpoint")
    elsewhere = copied(run, tmp_path, TRAVELS)
    assert elsewhere.finish("--must-resume", **LONG) == (0, "", "")
    assert elsewhere.sidecar()["part"] == 2
    assert elsewhere.sidecar()["frames"][0] == saved["frames"][0]
    assert_whole_and_continuous(elsewhere, LONG["n_steps"])


def test_sigterm_saves_and_ends_without_saying_done(run):
    process = run.start(**LONG)
    wait_until(lambda: (run.folder / "state.json").exists())
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert not (run.folder / "final.pdb").exists()
    stopped_at = run.sidecar()["step"]
    assert stopped_at < LONG["n_steps"]
    assert f"step={stopped_at} total={LONG['n_steps']}" in (run.folder / "progress.log").read_text()
    assert run.finish(**LONG)[0] == 0
    assert_whole_and_continuous(run, LONG["n_steps"])


def test_a_finished_run_can_be_extended(finished, tmp_path):
    run = copied(finished, tmp_path)
    before = read_dcd(run.folder / "traj.dcd")
    assert run.finish(n_steps=3010) == (0, "", "")
    assert run.sidecar()["step"] == 3010
    assert_whole_and_continuous(run, 3000)
    np.testing.assert_array_equal(read_dcd(run.folder / "traj.dcd")[: len(before)], before)
    assert run.finish(n_steps=3100)[0] == 0
    assert run.sidecar()["part"] == 3
    assert_whole_and_continuous(run, 3100)


def test_a_finished_run_stays_as_it_is(finished, tmp_path):
    run = copied(finished, tmp_path)
    assert run.finish(n_steps=2000)[0] == 0
    for name in ("traj.dcd", "energies.csv", "final.pdb"):
        assert (run.folder / name).read_bytes() == (finished.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature_K": 300}, "temperature_K 600.0, here 300.0"),
        ({"seed": 8}, "seed 7, here 8"),
        ({"constraints": "none"}, "constraints HBonds, here none; system"),
        ({"report_interval": 100}, "report_interval 50, here 100"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(finished, tmp_path, settings, message):
    run = copied(finished, tmp_path)
    code, _, errors = run.finish(n_steps=3000, **settings)
    assert (code, errors.count("\n")) == (65, 1)
    assert "belongs to another run" in errors
    assert message in errors
    assert (run.folder / "final.pdb").exists(), "a refusal changes nothing"


def test_a_checkpoint_of_another_start_is_refused(finished, tmp_path):
    run = Runs(copied(finished, tmp_path).folder, structure=ALA2 / "start1.pdb")
    code, _, errors = run.finish(n_steps=3000)
    assert (code, errors.count("\n")) == (65, 1)
    assert "it has structure " in errors


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", ["state.xml", "state.json"])
def test_a_damaged_checkpoint_falls_back_or_is_refused(finished, tmp_path, damage, name):
    run = copied(finished, tmp_path)
    assert run.finish(n_steps=2500)[0] == 0
    damage(run.folder / name)
    code, _, errors = run.finish(n_steps=3000)
    assert (code, errors.count("\n")) == (0, 1)
    assert "going on from the checkpoint before" in errors
    assert run.sidecar()["frames"] == [40, 20], "the second part was written again"
    assert_whole_and_continuous(run, 3000)

    for file in run.folder.glob("state_prev.*"):
        file.unlink()
    damage(run.folder / name)
    code, _, errors = run.finish(n_steps=4000)
    assert (code, errors.count("\n")) == (65, 1)
    assert "damaged or incomplete" in errors


@pytest.mark.parametrize("name", ["traj.part0001.dcd", "energies.part0001.csv"])
def test_parts_must_come_along(finished, tmp_path, name):
    run = copied(finished, tmp_path)
    (run.folder / name).unlink()
    code, _, errors = run.finish(n_steps=3000)
    assert (code, errors.count("\n")) == (65, 1)
    assert f"{name} is missing" in errors


def test_a_checkpoint_beyond_the_end_or_missing_is_refused(finished, tmp_path, run):
    code, _, errors = copied(finished, tmp_path).finish(n_steps=1000)
    assert (code, errors.count("\n")) == (65, 1)
    assert "at step 2000, beyond n_steps=1000" in errors
    code, _, errors = run.finish("--must-resume", n_steps=1000)
    assert (code, errors) == (65, "there is no checkpoint state.xml to go on from\n")


def test_a_blow_up_has_its_own_exit_code(run):
    code, _, errors = run.finish(n_steps=20_000, timestep_fs=20)
    assert (code, errors.count("\n")) == (70, 1)
    assert errors.startswith("the energy became NaN at step ")
    assert "timestep_fs (it is 20)" in errors
    assert not (run.folder / "final.pdb").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "missing required field `n_steps`"),
        ({"n_steps": 0}, "$.n_steps"),
        ({"n_steps": 10, "temperature": 300}, "unknown field `temperature`"),
        ({"n_steps": 10, "solvent": "water"}, "$.solvent"),
        ({"n_steps": 10, "platform": "OpenCL"}, "no platform OpenCL on this machine"),
        ({"n_steps": 10, "force_field": ["nobody.xml"]}, "nobody.xml"),
        ({"n_steps": 10, "force_field": ["tip3p.xml"]}, "No template found for residue"),
    ],
)
def test_wrong_settings_are_named(run, settings, message):
    code, _, errors = run.finish(**settings)
    assert (code, errors.count("\n")) == (64, 1), errors
    assert message in errors


def test_missing_files_are_named(tmp_path):
    with pytest.raises(BadSettings, match="no settings file"):
        read_settings(tmp_path / "settings.json")
    with pytest.raises(BadSettings, match="no structure file"):
        build_model(Settings(n_steps=1), tmp_path / "start.pdb")


def test_the_benchmark_prints_json_and_writes_nothing(run):
    code, output, errors = run.finish("--benchmark", "0.3", n_steps=1000)
    assert (code, errors) == (0, "")
    found = json.loads(output)
    assert found["platform"] == "Reference"
    assert found["atoms"] == 22
    assert found["ns_per_day"] == pytest.approx(found["steps_per_second"] * 0.1728, rel=0.01)
    assert [file.name for file in run.folder.iterdir()] == ["settings.json"]


def test_a_run_may_move_to_another_platform(finished, tmp_path):
    run = copied(finished, tmp_path)
    assert run.finish(n_steps=2200, platform="CPU") == (0, "", "")
    assert_whole_and_continuous(run, 2200)


def test_a_stop_before_the_first_step_of_an_extension_takes_done_back(finished, tmp_path):
    run = copied(finished, tmp_path)
    model = build_model(
        Settings(n_steps=2500, temperature_K=600.0, seed=7, report_interval=50), run.structure
    )
    stopped = simulate(model, run.folder, run.folder / "state.xml", stop_requested=lambda: True)
    assert stopped is False
    assert not (run.folder / "final.pdb").exists()
    assert run.sidecar()["frames"] == [40, 0]
    assert simulate(model, run.folder, run.folder / "state.xml")
    assert_whole_and_continuous(run, 2500)


@pytest.mark.parametrize(("number", "gromacs"), [(0, -84.5072), (1, -78.5884), (3, -60.2266)])
def test_potential_energies_are_those_of_gromacs(number, gromacs):
    """Single points with GROMACS 2022.5, amber99sb-ildn, from start*.gro and topol.top, kJ/mol.

    The two programs differ by 1e-4 in the Coulomb constant, times -150 kJ/mol.
    """
    model = build_model(Settings(n_steps=1, constraints="none"), ALA2 / f"start{number}.pdb")
    context = make_context(model, 0)
    context.setPositions(model.positions)
    energy = context.getState(energy=True).getPotentialEnergy()
    assert energy.value_in_unit(unit.kilojoule_per_mole) == pytest.approx(gromacs, abs=0.02)


@pytest.mark.slow
def test_one_nanosecond_at_600_kelvin_samples_what_gromacs_samples(run):
    """C5 and C7eq exchange within picoseconds; phi > 0 is too rare to be compared in 1 ns."""
    assert run.finish(n_steps=500_000, report_interval=250)[0] == 0
    angles = phi_psi(read_dcd(run.folder / "traj.dcd"), run.structure)
    with np.load(Path(__file__).parents[1] / "data" / "reference_phi_psi_600K.npz") as data:
        gromacs = [data[f"traj{number}"].astype(float) for number in range(8)]

    def extended_share(trajectories):
        found = basin_populations(trajectories)
        return found["C5"].value / (found["C5"].value + found["C7eq"].value)

    assert extended_share([angles]) == pytest.approx(extended_share(gromacs), abs=0.06)


def test_small_molecules_run_on_reference():
    assert choose_platform(Settings(n_steps=1), 22)[0].getName() == "Reference"
    assert choose_platform(Settings(n_steps=1), 5000)[0].getName() != "Reference"


def test_a_crash_between_any_two_renames_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    binding = {"system": "s"}
    path = tmp_path / "state.xml"

    def save(step):
        state = f"<State step='{step}'/>"
        sidecar = Sidecar(
            step=step,
            part=1,
            frames=(step,),
            sha256=state_digest(state),
            bound_to=binding_digest(binding),
            binding=binding,
            openmm="8",
        )
        save_checkpoint(path, state, sidecar)

    rename = Path.replace
    for crash_at in range(4):
        for file in tmp_path.iterdir():
            file.unlink()
        save(1)
        save(2)
        renames = []

        def failing(self, target, renames=renames, crash_at=crash_at):
            if len(renames) == crash_at:
                raise OSError("power cut")
            renames.append(target)
            return rename(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", failing)
            with pytest.raises(OSError, match="power cut"):
                save(3)
        found = load_checkpoint(path, binding)
        assert found is not None
        assert found.sidecar.step == 2
        save(4)
        assert load_checkpoint(path, binding).sidecar.step == 4


def test_no_checkpoint_files_mean_a_first_start(tmp_path):
    assert load_checkpoint(tmp_path / "state.xml", {}) is None
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(CheckpointRefused, match="damaged or incomplete"):
        load_checkpoint(tmp_path / "state.xml", {})
