"""What a configuration of Parsl offers to a worker, and what of it cannot be used."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from copernicus.errors import BadSettings
from copernicus.executors.through_parsl.executor import Gate
from copernicus.executors.through_parsl.gate import what_is_offered

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
    assert what_is_offered(config()) == {"cores": 4, "slots": 30, "label": "nodes"}


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
