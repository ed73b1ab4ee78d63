"""``cpc module new``: what it writes can be installed, and its tests pass as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CPC = (sys.executable, "-m", "copernicus")


def run(*argv: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    return subprocess.run(
        list(map(str, argv)),
        cwd=folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def site_packages() -> list[str]:
    """Where what runs here lies: the new environment has it, too, as if it was installed there."""
    return [path for path in sys.path if path.endswith(("site-packages", "/src"))]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of a scratch environment."""
    made = run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (packages / "base.pth").write_text("\n".join(site_packages()) + "\n")
    return tmp_path / "venv" / "bin" / "python"


def test_a_new_module_installs_and_its_tests_are_green(tmp_path: Path, python: Path) -> None:
    made = run(*CPC, "module", "new", "my_sim", "--json", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "my_sim"
    written = json.loads(made.stdout)["files"]
    assert all((tmp_path / path).is_file() for path in written)
    assert not [path for path in written if "NAME" in path or path.endswith(".in")]

    pip = ("-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation")
    installed = run(sys.executable, *pip, folder, folder=tmp_path)
    assert installed.returncode == 0, installed.stderr

    tested = run(python, "-m", "pytest", "-q", "-W", "error", folder=folder)
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout

    offered = run(python, "-m", "copernicus", "worker", "programs", "--json", folder=tmp_path)
    names = {program["name"] for program in json.loads(offered.stdout)["offered"]}
    assert "module/my_sim" in names


def test_a_new_module_is_clean_by_our_own_rules(tmp_path: Path) -> None:
    assert run(*CPC, "module", "new", "tidy", folder=tmp_path).returncode == 0
    checked = run(sys.executable, "-m", "ruff", "check", "--select", "E,F,I,B,UP", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout
    formatted = run(
        *(sys.executable, "-m", "ruff", "format", "--check", "tidy"),
        folder=tmp_path,
    )
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my-sim", "no name for a module"),
        ("class", "no name for a module"),
        ("MySim", "small letters"),
        ("json", "taken by a Python module"),
        ("copernicus", "taken"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, said: str) -> None:
    refused = run(*CPC, "module", "new", name, folder=tmp_path)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    refused = run(*CPC, "module", "new", "my_sim", "mine", folder=tmp_path)
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious"]
