"""``openmm.simulate`` on a real server and worker: extended, moved, refused."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from copernicus.client.client import save_worker_bundle
from copernicus.client.network import Instance
from copernicus.client.waiting import WorkFailed
from copernicus.demo.children import Child
from copernicus.demo.site import Site, own_site
from copernicus.demo.sizing import alanine_starts
from copernicus.modules.analysis.dcd import dcd_info, read_dcd

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.openmm,
    pytest.mark.timeout(170),
]
PATIENCE_S = 120.0


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    pytest.importorskip("openmm")
    (tmp_path / "logs").mkdir()
    with own_site(tmp_path / "logs", 1) as made:
        yield made


def simulation(site: Site, name: str, n_steps: int, **inputs: Any) -> Instance:
    project = site.client.create_project(name, seed=1)
    given = {"structure": alanine_starts()[0], "n_steps": n_steps, "temperature": 600.0, **inputs}
    with project.transaction():
        run = project.add("run", "openmm.simulate")
        for port, value in given.items():
            run[port] = value
        run.activate()
    return run


def wait(run: Instance) -> None:
    run.project.wait(timeout=PATIENCE_S, show=False)


def frames(run: Instance, folder: Path) -> Any:
    file = run.out["trajectory"].value.download(folder / "fetched.dcd")
    return read_dcd(file), dcd_info(file)


def test_more_steps_continue_a_finished_simulation(site: Site, tmp_path: Path) -> None:
    run = simulation(site, "extend", 20_000, report_interval=500)
    wait(run)
    short, _ = frames(run, tmp_path)
    run["n_steps"] = 50_000
    wait(run)
    long, info = frames(run, tmp_path)
    assert (len(short), len(long), info.first_step) == (40, 100, 500)
    assert (long[:40] == short).all()
    trace = run.project.trace("run.out.trajectory")
    assert trace.root.parent
    rows = run.out["energies"].value.read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(500, 50_001, 500))


def test_another_worker_goes_on_where_one_was_stopped(site: Site, tmp_path: Path) -> None:
    run = simulation(site, "move", 800_000, report_interval=4000)
    wait_until(lambda: any(j.progress and j.progress.step for j in run.project.jobs()))
    _, first = site.children
    first.stop(signal.SIGTERM, patience_s=PATIENCE_S)
    second = worker(site, tmp_path, "second")
    try:
        wait(run)
    finally:
        second.stop(signal.SIGTERM, patience_s=PATIENCE_S)
    assert len(frames(run, tmp_path)[0]) == 200
    (one, two) = run.project.trace("run.out.trajectory").attempts
    assert (one.outcome, two.outcome) == ("stopped", "completed")
    assert one.checkpoint is not None
    assert one.checkpoint.step is not None
    assert 0 < one.checkpoint.step < 800_000


def worker(site: Site, folder: Path, name: str) -> Child:
    bundle = folder / f"{name}.cpc"
    save_worker_bundle(bundle, site.client.worker_bundle(uses=1, days=1))
    words = ["worker", "start", "--bundle", str(bundle), "--work-dir", str(folder / name)]
    return Child(name, [*words, "--cores", "1"], folder, folder / f"{name}.log")


def test_what_openmm_refuses_is_the_reason_of_the_failure(site: Site, tmp_path: Path) -> None:
    structure = tmp_path / "unknown.pdb"
    structure.write_text(alanine_starts()[0].read_text().replace("ALA", "XYZ"))
    run = simulation(site, "refused", 1000, structure=structure)
    with pytest.raises(WorkFailed, match=r"cannot be simulated with amber99sbildn.xml: No tem"):
        wait(run)
    with run.project.transaction():
        run["structure"] = alanine_starts()[0]
        run["n_steps"] = -5
    with pytest.raises(WorkFailed, match="n_steps is -5: it must be greater than 0"):
        wait(run)
    run["n_steps"] = 1000
    wait(run)
    assert run.state == "done"
