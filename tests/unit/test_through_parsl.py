"""What a configuration of Parsl offers to a worker, and what of it cannot be used."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from copernicus.errors import BadSettings
from copernicus.executors.through_parsl.executor import Gate
from copernicus.executors.through_parsl.nodes import spread, what_is_offered

pytestmark = pytest.mark.parsl


def config(**changes: object) -> object:
    parsl = importlib.import_module("parsl")
    provider = importlib.import_module("parsl.providers").LocalProvider(
        max_blocks=3, nodes_per_block=2
    )
    executor = parsl.HighThroughputExecutor(
        label="nodes",
        address="127.0.0.1",
        cores_per_worker=4,
        max_workers_per_node=5,
        provider=provider,
    )
    return parsl.Config(executors=[executor], **changes)


def test_slots_are_blocks_times_nodes_times_workers() -> None:
    assert what_is_offered(config()) == {
        "cores": 4,
        "slots": 30,
        "label": "nodes",
        "node_cores": 0,
    }


def spreading(at_once: int, **nodes: int) -> Any:
    parsl = importlib.import_module("parsl")
    launcher = importlib.import_module("parsl.launchers").SimpleLauncher()
    provider = importlib.import_module("parsl.providers").SlurmProvider(
        nodes_per_block=5, max_blocks=3, launcher=launcher, **nodes
    )
    executor = importlib.import_module("parsl.executors").MPIExecutor(
        label="mpi", address="127.0.0.1", max_workers_per_block=at_once, provider=provider
    )
    return parsl.Config(executors=[executor])


def test_slots_of_an_mpi_executor_have_an_equal_share_of_the_nodes_of_a_block() -> None:
    told = {"cores": 32, "slots": 6, "label": "mpi", "node_cores": 16}
    assert what_is_offered(spreading(2, cores_per_node=16)) == told
    assert what_is_offered(spreading(1, cores_per_node=16))["cores"] == 80
    assert what_is_offered(spreading(5, cores_per_node=1))["slots"] == 15


def test_an_mpi_executor_has_to_say_how_its_nodes_can_be_shared() -> None:
    with pytest.raises(ValueError, match=r"SlurmProvider .* must say .* cores_per_node"):
        what_is_offered(spreading(2))
    with pytest.raises(ValueError, match="max_workers_per_block=6 is more than nodes_per_block=5"):
        what_is_offered(spreading(6, cores_per_node=16))


@pytest.mark.parametrize(
    ("cores", "ranks", "nodes", "on_each"),
    [(32, 32, 2, 16), (33, 33, 3, 11), (1, 1, 1, 1), (0, 1, 1, 1), (32, 8, 2, 4), (48, 5, 3, 2)],
)
def test_a_program_runs_on_as_few_nodes_as_have_its_cores(
    cores: int, ranks: int, nodes: int, on_each: int
) -> None:
    told = spread(cores, ranks, 16)
    assert told == {"num_nodes": nodes, "num_ranks": ranks, "ranks_per_node": on_each}


def test_executors_without_nodes_are_told_of_none() -> None:
    assert spread(32, 32, 0) == {}


def test_an_executor_that_does_not_say_offers_nothing_by_itself() -> None:
    parsl = importlib.import_module("parsl")
    threads = parsl.Config(executors=[parsl.ThreadPoolExecutor(label="here")])
    assert what_is_offered(threads)["slots"] == 0


def test_lost_programs_are_tried_again_by_the_server_alone() -> None:
    with pytest.raises(ValueError, match="retries must be 0"):
        what_is_offered(config(retries=2))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "has no config = parsl.Config"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("1 +", "SyntaxError"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "parsl_config.py"
    file.write_text(text)
    with pytest.raises(BadSettings, match=said):
        Gate(file, tmp_path)
    with pytest.raises(BadSettings, match="cannot be used with --parsl"):
        Gate(tmp_path / "nothing.py", tmp_path)


def test_a_work_folder_whose_path_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="too long a path"):
        Gate(tmp_path / "parsl_config.py", tmp_path / ("x" * 90))
