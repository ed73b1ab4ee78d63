"""What of a pool's options reaches each batch system, and what a batch job runs."""

from __future__ import annotations

import pytest

from copernicus.errors import BadValue
from copernicus.model.pools import PROVIDERS, Provision, check_provision
from copernicus.provision.arguments import arguments
from copernicus.provision.desk import make_provider
from copernicus.provision.script import script_of

ASKED = {"partition": "short", "cores": 8, "memory_mb": 5000, "gpus": 2, "walltime_s": 5400.0}


def test_each_batch_system_is_asked_in_its_own_words() -> None:
    said = {name: arguments(Provision(name, **ASKED)) for name in PROVIDERS}
    assert said["slurm"] == {
        "partition": "short",
        "cores_per_node": 8,
        "mem_per_node": 5,
        "gpus_per_node": 2,
        "exclusive": False,
        "walltime": "01:30:00",
    }
    assert said["pbspro"]["select_options"] == "mem=5000mb:ngpus=2"
    assert said["pbspro"]["cpus_per_node"] == 8
    assert said["lsf"]["cores_per_block"] == 8
    assert "num=2" in said["lsf"]["scheduler_options"]
    assert "-pe smp 8" in said["grid_engine"]["scheduler_options"]
    assert said["torque"]["queue"] == "short"
    assert said["condor"]["cores_per_slot"] == 8
    assert said["kubernetes"]["max_mem"] == "5000Mi"


def test_options_of_the_provider_win_and_lines_are_added() -> None:
    options = {"exclusive": True, "scheduler_options": "#$ -P chem"}
    assert arguments(Provision("slurm", options={"exclusive": True}))["exclusive"] is True
    lines = arguments(Provision("grid_engine", cores=4, options=options))["scheduler_options"]
    assert lines == "#$ -pe smp 4\n#$ -P chem"


@pytest.mark.parsl
@pytest.mark.parametrize("name", ["slurm", "pbspro", "torque", "lsf", "grid_engine", "local"])
def test_parsl_takes_what_it_is_given(name: str) -> None:
    made = make_provider(Provision(name, **ASKED))
    assert made.nodes_per_block == 1


def test_the_secret_is_in_a_file_and_never_in_the_script() -> None:
    asked = Provision(
        "slurm",
        cores=4,
        labels=("site=kth",),
        setup=("module load gromacs",),
        command=("/shared/env/bin/cpc",),
        worker=("--programs", "my programs.toml"),
    )
    lines = script_of(asked, "/shared/a b").split("\n")
    assert lines[0] == "cd '/shared/a b' || exit 1"
    assert lines[3] == "module load gromacs"
    assert lines[-1].startswith("exec /shared/env/bin/cpc worker start --bundle worker.cpc ")
    assert lines[-1].endswith("--label site=kth --programs 'my programs.toml'")
    assert "--idle-exit 660" in lines[-1]
    assert "--idle-exit" not in script_of(Provision("slurm", min=1), "/home")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cores": 0}, "cores is 0, but must be 1 to 10000"),
        ({"min": 3, "max": 2}, "min is 3, but must be 0 to max, which is 2"),
        ({"walltime_s": 5.0}, "walltime is 5.0, but must be from a minute to 400 days"),
        ({"max_core_hours": -1.0}, "max-core-hours is -1.0"),
        ({"max_core_hours": float("inf")}, "max-core-hours is inf"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(BadValue, match=said.replace("(", r"\(")):
        check_provision("cluster", Provision("slurm", **wrong))


def test_a_name_that_a_batch_system_could_misread_is_refused() -> None:
    for name in ("", "a b", "x;rm", "../x", "-x", "x" * 50):
        with pytest.raises(BadValue, match="cannot name a pool"):
            check_provision(name, Provision("slurm"))
