"""The page about previews, done to the letter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.e2e import Env, wait_until
from support.e2e_programs import count, programs_file
from support.tutorials import Reader

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "preview-an-edit.md"


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_preview_an_edit(env: Env) -> None:
    project = env.open()
    env.start_worker("w", "--programs", programs_file(env))
    count(env, "slow", 100, 0.02)
    wait_until(lambda: project.instance_detail("slow").summary.state == "done", "it is done")
    before = project.view(), project.journal(), project.jobs()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    reader = Reader(env.root, env.environment(PATH=path, COLUMNS="80"), (0, 0))
    try:
        reader.follow(PAGE)
    finally:
        for terminal in reader.terminals.values():
            terminal.kill()
    assert (project.view(), project.journal(), project.jobs()) == before
