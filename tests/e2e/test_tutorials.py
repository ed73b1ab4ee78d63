"""The tutorials, done to the letter, with a real server, a real worker and real programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tutorials import Reader, blocks, following, shows

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    yield from following(tmp_path)


@pytest.mark.gromacs
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_first_project_with_gromacs(reader: Reader) -> None:
    reader.follow(TUTORIALS / "first-project.md")


@pytest.mark.timeout(300)
def test_any_program(reader: Reader) -> None:
    reader.follow(TUTORIALS / "any-program.md")


@pytest.mark.timeout(400)
def test_your_own_workflow(reader: Reader) -> None:
    # Modules go into a folder of this reader's own, by what is here: nothing is fetched.
    modules = reader.folder / "modules"
    pip = reader.folder / "tools" / "pip"
    pip.parent.mkdir()
    pip.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m pip "$@" '
        f"--quiet --no-deps --no-build-isolation --target {modules}\n"
    )
    pip.chmod(0o755)
    reader.environment = {
        **reader.environment,
        "PATH": f"{pip.parent}{os.pathsep}{reader.environment['PATH']}",
        "PYTHONPATH": str(modules),
    }
    reader.follow(TUTORIALS / "your-own-workflow.md")


def test_there_is_no_tutorial_that_nobody_follows() -> None:
    found = {path.name for path in TUTORIALS.glob("*.md")}
    assert found == {"first-project.md", "any-program.md", "your-own-workflow.md"}


def test_what_is_shown_is_looked_for_in_its_order() -> None:
    output = "worker w12 of lab\nrun   done 3/3\n"
    assert shows(output, ["worker ... of lab", "run done ...", "..."]) == ""
    assert shows(output, ["run done ...", "worker ... of lab"]) == "worker ... of lab"
    assert shows(output, ["run done"]) == "run done"


def test_blocks_are_read_with_their_words() -> None:
    found = blocks("text\n```console terminal=w\n$ a b\nsays c\n$ d\n```\n\n```toml file=x\n```\n")
    assert [(b.language, b.option("terminal"), b.option("file")) for b in found] == [
        ("console", "w", ""),
        ("toml", "", "x"),
    ]
    assert found[0].commands() == [("a b", ["says c"]), ("d", [])]
    assert found[0].line == 3
