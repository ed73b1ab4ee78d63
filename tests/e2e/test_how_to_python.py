"""The page about Python, done to the letter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.e2e import Env
from support.tutorials import Reader

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-python.md"


@pytest.fixture
def reader(env: Env) -> Reader:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cache = str(env.root / "cache")
    return Reader(env.root, env.environment(PATH=path, COLUMNS="120", CPC_CACHE_DIR=cache), (0, 0))


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_work_from_python(env: Env, reader: Reader) -> None:
    pytest.importorskip("pandas")
    env.open()
    known = f'[programs.python]\ncommand = ["{sys.executable}"]\nversion = "3"\n'
    env.start_worker("w", "--programs", env.write("python.toml", known))
    reader.follow(PAGE)
    project = env.client.project("dice")
    assert project.get("one.out.summary").throws == 60
    assert project.table("one.out.counts")["times"].sum() == 60
