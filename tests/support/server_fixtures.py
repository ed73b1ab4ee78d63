"""A real server in the process of the tests, and who is there: users, terminals, workers.

A file of tests that wants other settings has a fixture ``server_settings`` of its own, and one
that wants module code a ``server_modules``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.server.embedded import EmbeddedServer
from support.cli_world import Terminal
from support.cli_world import worker as start_worker
from support.evaluators import TESTS, install
from support.server_client import PASSWORD, ScriptedWorker, User


@pytest.fixture(scope="module")
def server_settings() -> dict[str, object]:
    """The server's settings that are not as by default."""
    return {}


@pytest.fixture(scope="module")
def server_modules() -> dict[str, str]:
    """Modules that are installed for the server's evaluators: name -> where the code is."""
    return {}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    server_settings: dict[str, object],
    server_modules: dict[str, str],
) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        if server_modules:
            install(folder / "lib", server_modules)
            paths = [str(folder / "lib"), str(TESTS), os.environ.get("PYTHONPATH", "")]
            patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        _, made = EmbeddedServer.make(folder / "s", PASSWORD, server_settings)
        with made as running:
            yield running


@pytest.fixture(scope="module")
def admin(server: EmbeddedServer) -> Iterator[User]:
    user = User(server, "admin")
    yield user
    user.close()


@pytest.fixture
def worker(server: EmbeddedServer, admin: User, tmp_path: Path) -> Iterator[ScriptedWorker]:
    made = ScriptedWorker(server, admin, tmp_path)
    yield made
    made.close()


@pytest.fixture
def cpc(server: EmbeddedServer, tmp_path: Path) -> Terminal:
    """A terminal at which ``admin`` is logged in."""
    return Terminal(tmp_path / "ann").login(server)


@pytest.fixture(scope="module")
def lab(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle for workers; one worker has used it, which has the program of ``steps.count``."""
    folder = tmp_path_factory.mktemp("lab")
    Terminal(folder).login(server)("worker", "bundle", "-o", folder / "lab.cpc")
    with start_worker(folder / "worker", folder / "lab.cpc"):
        yield folder / "lab.cpc"
