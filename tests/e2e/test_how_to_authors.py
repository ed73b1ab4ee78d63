"""The pages for those who bring programs, scripts and modules, done to the letter."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.worker.program_file import read_programs
from support.e2e import Env
from support.tutorials import Reader, blocks

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = DOCS / "how-to"


@pytest.fixture
def reader(env: Env) -> Iterator[Reader]:
    """Somebody in the folder of ``env``, with its logins."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = Reader(env.root, env.environment(PATH=path, COLUMNS="120"), (0, 0))
    yield made
    for terminal in made.terminals.values():
        terminal.kill()


@pytest.mark.timeout(200)
def test_run_a_script(env: Env, reader: Reader) -> None:
    env.open()
    env.start_worker("careful")
    reader.follow(HOW_TO / "run-a-script.md")


@pytest.mark.environment_modules
def test_configure_programs(reader: Reader) -> None:
    reader.follow(HOW_TO / "configure-programs.md")


def test_the_other_examples_of_programs_are_ones(tmp_path: Path) -> None:
    text = (HOW_TO / "configure-programs.md").read_text(encoding="utf-8")
    found = [b for b in blocks(text) if b.language == "toml" and not b.option("file")]
    assert len(found) == 2
    for block in found:
        file = tmp_path / "programs.toml"
        file.write_text(block.text)
        (name,) = tomllib.loads(block.text)["programs"]
        (refused,) = read_programs(file).programs.refused
        assert refused.name == name  # for it is not on this machine, and for nothing else
        assert "no conda environment" in refused.reason or "no executable" in refused.reason


@pytest.mark.timeout(200)
def test_write_a_module(reader: Reader) -> None:
    page = HOW_TO / "write-a-module.md"
    reader.follow(page)
    files = [b.option("file") for b in blocks(page.read_text(encoding="utf-8"))]
    tests = [name for name in files if name.startswith("test_")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *tests],
        cwd=reader.folder,
        env={**reader.environment, "PYTHONPATH": ".", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(tests)} passed" in done.stdout


def test_examples_of_toml_functions(reader: Reader) -> None:
    reader.follow(DOCS / "reference" / "toml-functions.md")
