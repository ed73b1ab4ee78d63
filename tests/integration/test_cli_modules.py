"""What users see of a server's modules, the broken ones too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from copernicus.server.embedded import EmbeddedServer
from support.cli_world import PASSWORD, Terminal
from support.evaluators import install

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cpc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    install(folder / "lib", {"authored": "support.authored", "torn": "support.nowhere"})
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(folder / "lib"), str(TESTS), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        _, made = EmbeddedServer.make(folder / "s", PASSWORD, {"evaluators": 1})
        with made as running:
            yield Terminal(folder / "ann").login(running)


def test_modules_are_listed_and_those_that_are_broken_have_their_reason(cpc):
    done = cpc("module", "list")
    line = next(line for line in done.out.splitlines() if line.startswith("authored"))
    assert "3 programs, 3 tasks, 6 workflows" in line
    assert "cpc: module torn cannot be used: ModuleNotFoundError" in done.err
    found = {module["name"]: module for module in cpc("module", "list", "--json").data}
    assert found["authored"]["version"] == "1.0"
    assert "authored.count" in found["authored"]["functions"]
    assert "support.nowhere" in found["torn"]["problem"]


def test_a_module_is_shown_with_its_functions_their_ports_types_and_docs(cpc):
    shown = cpc("module", "info", "gromacs").out
    assert "gromacs.mdrun" in shown
    assert "needs a worker with gromacs" in shown
    assert "installed by copernicus" in shown
    shown = cpc("module", "info", "authored").out
    assert "How many files were read." in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_one_function_is_shown_by_either_command(cpc):
    assert (
        cpc("module", "info", "authored.mean").out == cpc("functions", "info", "authored.mean").out
    )


def test_modules_that_are_not_there_or_broken_say_so(cpc):
    assert "cpc module list" in cpc.refused(1, "module", "info", "nothing")
    assert "cannot be used: ModuleNotFoundError" in cpc.refused(1, "module", "info", "torn")
