"""The functions that the demo's project is made of: one simulation, and the analysis of many."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from copernicus.blobs import manifest_of
from copernicus.errors import BadValue
from copernicus.model import values
from copernicus.model.jobs import Command
from copernicus.modules.analysis.dcd import DcdWriter
from copernicus.modules.analysis.dihedrals import phi_psi
from copernicus.modules.analysis.functions import ramachandran
from copernicus.modules.openmm import checkpoint, runner, system
from copernicus.modules.openmm.functions import simulate
from copernicus.registry import discover
from copernicus.sdk import File
from copernicus.sdk.calling import Task, call_task
from copernicus.worker.outcome import find_fatal

ALA2 = Path(str(files("copernicus.modules"))) / "data" / "ala2"
START = File("ab" * 32, 3, "start.pdb")


# --- openmm.simulate ------------------------------------------------------------------------------


def described(**changed: Any) -> Command:
    return simulate(**{"structure": START, "n_steps": 1000, **changed})


def test_the_modules_are_found() -> None:
    found = discover()
    assert "openmm.simulate" in found.catalog()
    assert {"analysis.ramachandran", "analysis.adaptive_sampling"} <= set(found.catalog())
    assert not {"openmm", "analysis"} & set(found.broken)


def test_the_runner_reads_the_settings_that_are_written(tmp_path: Path) -> None:
    command = described(temperature=600.0, seed=7, timestep=1.0, platform="CPU", threads=2)
    text = next(file.text for file in command.files if file.path == "settings.json")
    assert text is not None
    (tmp_path / "settings.json").write_text(text)
    read = system.read_settings(tmp_path / "settings.json")
    assert (read.n_steps, read.temperature_K, read.seed, read.timestep_fs) == (1000, 600.0, 7, 1.0)
    assert (read.platform, read.threads) == ("CPU", 2)
    assert command.resources is not None
    assert (command.resources.cores, command.resources.gpus) == (2, 0)


def test_a_gpu_is_asked_for_where_one_is_named() -> None:
    resources = described(platform="CUDA").resources
    assert resources is not None
    assert resources.gpus == 1


def test_a_longer_simulation_continues_and_never_from_beyond_its_end() -> None:
    assert simulate.spec.extends == {"n_steps"}
    command = described(n_steps=5000)
    assert command.checkpoint is not None
    assert command.checkpoint.limit == 5000
    assert command.done_when.at_least == 5000
    assert [line.when for line in command.lines] == ["fresh", "resume"]
    assert "--must-resume" in command.lines[1].argv


@pytest.mark.parametrize("port", ["n_steps", "temperature", "timestep", "report_interval"])
def test_what_cannot_be_simulated_is_refused_at_once(port: str) -> None:
    with pytest.raises(BadValue, match=f"{port} is 0: it must be greater than 0"):
        described(**{port: 0})


def _no_atoms(folder: Path) -> None:
    (folder / "structure.pdb").write_text("REMARK nothing\n")
    system.build_model(system.Settings(n_steps=1), folder / "structure.pdb")


def _no_template(folder: Path) -> None:
    text = (ALA2 / "start0.pdb").read_text().replace("ALA", "XYZ")
    (folder / "structure.pdb").write_text(text)
    system.build_model(system.Settings(n_steps=1), folder / "structure.pdb")


def _damaged(folder: Path) -> None:
    (folder / "state.xml").write_text("half")
    checkpoint.load_checkpoint(folder / "state.xml", {})


def _no_platform(folder: Path) -> None:
    system.choose_platform(system.Settings(n_steps=1, platform="HIP"), 22)


def _blown_up(folder: Path) -> None:
    settings = system.Settings(n_steps=500, timestep_fs=200.0, temperature_K=5000.0)
    runner.simulate(system.build_model(settings, ALA2 / "start0.pdb"), folder, folder / "state.xml")


@pytest.mark.openmm
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_atoms, "has no ATOM records"),
        (_no_template, "cannot be simulated with"),
        (_damaged, "is damaged or incomplete"),
        (_no_platform, "has no platform HIP"),
        (_blown_up, "blew up"),
    ],
)
def test_the_reason_of_the_runner_becomes_the_reason_of_the_job(
    spoil: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    pytest.importorskip("openmm")
    with pytest.raises(Exception, match=said) as refused:
        spoil(tmp_path)
    line = " ".join(str(refused.value).split())
    log = f"some words of a library\n{line}\n"
    assert find_fatal(described().done_when.fatal, log) == line


def test_going_on_from_the_checkpoint_before_is_no_failure() -> None:
    note = (
        "state.xml or state.json is damaged or missing: going on from the checkpoint before, at "
        "step 500\n"
    )
    assert find_fatal(described().done_when.fatal, note) is None


# --- analysis.ramachandran ------------------------------------------------------------------------


class Store:
    """Files by their hash, as a worker holds them."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def put(self, path: Path, name: str) -> values.File:
        with path.open("rb") as stream:
            manifest = manifest_of(stream)
        self.paths[manifest.sha256] = path
        return values.File(manifest.sha256, manifest.size, name)

    def get(self, file: values.File) -> Path:
        return self.paths[file.sha256]


def coordinates(start: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    lines = (ALA2 / f"start{start}.pdb").read_text().splitlines()
    rows = [line for line in lines if line.startswith("ATOM")]
    return np.array([[float(row[i : i + 8]) / 10 for i in (30, 38, 46)] for row in rows])


def write_trajectory(path: Path, frames: list[int]) -> Path:
    """A frame every picosecond, each a copy of one of the start structures."""
    writer = DcdWriter(path, atoms=22, first_step=500, interval=500, timestep_ps=0.002)
    for start in frames:
        writer.write(coordinates(start))
    writer.close()
    return path


@pytest.fixture
def analyse(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    store = Store()

    def run(*trajectories: list[int], **inputs: Any) -> dict[str, Any]:
        paths = [
            write_trajectory(tmp_path / f"{i}.dcd", frames) for i, frames in enumerate(trajectories)
        ]
        work = tmp_path / "work"
        work.mkdir()
        given = {
            "trajectories": [store.put(path, "traj.dcd").plain() for path in paths],
            "structure": store.put(ALA2 / "start0.pdb", "start0.pdb").plain(),
            "temperature": 600.0,
            **inputs,
        }
        found = call_task(ramachandran.spec.entry, given, store.get, store.put, Task(work))
        msgspec.json.encode(found)
        return {**found, "path": lambda file: store.get(values.file_of(file))}

    return run


def test_populations_of_known_frames(analyse: Callable[..., dict[str, Any]]) -> None:
    found = analyse([0, 0, 0, 2], [1, 1, 1, 1])
    populations = {name: each["value"] for name, each in found["populations"].items()}
    assert populations == {"C5": 0.125, "C7eq": 0.375, "C7ax": 0.5, "alpha_R": 0.0, "alpha_L": 0.0}
    assert found["positive_phi"]["value"] == 0.5
    assert found["positive_phi"]["error"] > 0.1
    assert found["frames"] == 8
    assert found["visited"] == 3 / 36**2


def test_one_trajectory_says_nothing_of_its_error(analyse: Callable[..., dict[str, Any]]) -> None:
    found = analyse([0, 0, 1])
    assert found["positive_phi"] == {"value": pytest.approx(1 / 3), "error": None}


def test_the_beginning_does_not_count_nor_does_what_is_too_short(
    analyse: Callable[..., dict[str, Any]],
) -> None:
    found = analyse([1, 1, 0, 0], [1, 1], [1, 1, 0], discard=2.0)
    assert found["frames"] == 3
    assert found["populations"]["C7eq"]["value"] == 1.0


def test_nothing_is_left_to_count(analyse: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(BadValue, match=r"none of 2 trajectories is longer than discard = 5 ps"):
        analyse([0, 1], [1], discard=5.0)


def test_the_next_starts_are_the_frames_that_were_seen_least(
    analyse: Callable[..., dict[str, Any]],
) -> None:
    found = analyse([0] * 6 + [1] * 3, [1, 1, 4, 0, 0], n_starts=2, discard=1.0)
    angles = []
    for file in found["starts"]:
        path = found["path"](file)
        rows = [row for row in path.read_text().splitlines() if row.startswith("ATOM")]
        positions = np.array([[float(row[i : i + 8]) for i in (30, 38, 46)] for row in rows])
        angles.append(phi_psi(positions[None], path)[0])
    expected = [phi_psi(coordinates(start)[None], ALA2 / "start0.pdb")[0] for start in (4, 1)]
    assert np.allclose(angles, expected, atol=0.5)


def test_the_files_hold_what_they_say(analyse: Callable[..., dict[str, Any]]) -> None:
    found = analyse([0, 0, 0], [1, 1, 1])
    with found["path"](found["surface"]).open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 36**2
    assert sum(int(row["frames"]) for row in rows) == 6
    visited = [row for row in rows if row["free_energy_kJ_mol"]]
    assert [float(row["free_energy_kJ_mol"]) for row in visited] == [0.0, 0.0]
    assert found["path"](found["plot"]).read_bytes().startswith(b"\x89PNG")
    with np.load(found["path"](found["angles"])) as arrays:
        assert [arrays[name].shape for name in sorted(arrays)] == [(3, 2), (3, 2)]
