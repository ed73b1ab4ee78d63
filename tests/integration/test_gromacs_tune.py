"""How fast a system really runs with how many cores, and what that is good for."""

from __future__ import annotations

import pytest

from copernicus.errors import BadValue
from copernicus.modules.gromacs.functions import benchmark, mdrun, tune
from support.gromacs import Lab
from support.worker_process import worker
from support.worker_server import scripted_server

pytestmark = pytest.mark.gromacs


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    with scripted_server(folder) as server, worker(server, folder / "w", cores=2):
        yield Lab(server, folder)


def test_a_system_is_measured_with_one_core_and_with_two(lab):
    tpr, rates = lab.tpr(), []
    for cores in (1, 2):
        result = lab.run(benchmark(tpr, cores=cores, nsteps=2000), cores=cores)
        rates.append(result.outputs["rate"])
        assert f"Using {cores} OpenMP thread" in lab.text(lab.file(result, "log"))
    assert min(rates) > 0
    found = tune([1, 2], rates, efficient=1e-9)
    assert (found.cores, found.fastest) == (2, 1 + rates.index(max(rates)))


def test_a_simulation_says_how_fast_it_was(lab):
    result = lab.run(mdrun(lab.tpr(), nsteps=20_000))
    assert result.record.rate > 0
    assert result.record.rate_unit == "ns/day"


def test_what_cannot_be_is_refused(lab):
    tpr = lab.put("a.tpr", b"x")
    with pytest.raises(BadValue, match="max_cores is 1"):
        mdrun(tpr, cores=2, max_cores=1)
    with pytest.raises(BadValue, match="at least 1, and 100"):
        benchmark(tpr, nsteps=1)
    with pytest.raises(BadValue, match="one rate for each"):
        tune([1, 2], [3.0])


def test_the_most_cores_that_are_used_well_are_chosen():
    found = tune([1, 2, 4, 8, 16], [10.0, 20.0, 36.0, 40.0, 38.0])
    assert (found.cores, found.fastest) == (4, 8)
