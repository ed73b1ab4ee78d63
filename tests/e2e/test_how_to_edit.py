"""The page about editing a running project, done to the letter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.e2e import Env
from support.e2e_programs import count
from support.tutorials import Reader

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def reader(env: Env) -> Iterator[Reader]:
    """Somebody in the folder of ``env``, with its logins."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = Reader(env.root, env.environment(PATH=path, COLUMNS="120"), (0, 0))
    yield made
    for terminal in made.terminals.values():
        terminal.kill()


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_edit_a_running_project(env: Env, reader: Reader) -> None:
    project = env.open()
    count(env, "slow", 400, 0.02)
    before = project.view().revision
    reader.follow(HOW_TO / "edit-a-running-project.md")
    assert project.get("second.in.last") == 30
    assert project.view().revision == before + 5
