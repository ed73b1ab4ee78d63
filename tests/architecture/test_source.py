"""Rules of the source that a reader can rely on (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "copernicus"
REFUSED, LONG = 600, 450
TEXTS = {".py", ".md", ".toml", ".txt", ".cfg", ".json", ".yml", ".yaml", ".sh", ""}
# Not the folders of a usual machine as such: those that only one machine has.
PRIVATE = re.compile(r"(?<![\w.*/])/(?:work|root|home/\w+|Users/\w+)/[\w.]")


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def committed() -> list[Path]:
    """The files of the repository; of an unpacked archive, all but what is made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name]
    made = {".venv", ".git", "__pycache__", "dist", "build"}
    return [p for p in ROOT.rglob("*") if p.is_file() and not made.intersection(p.parts)]


def test_no_file_is_too_long() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in sources()}
    refused = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > REFUSED}
    assert not refused, f"more than {REFUSED} lines; split them: {refused}"


@pytest.mark.filterwarnings("default")
def test_long_files_are_listed() -> None:
    for path in sources():
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > LONG:
            warnings.warn(f"{path.relative_to(ROOT)} has {count} lines", stacklevel=1)


def test_no_function_is_too_long() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({node.end_lineno - node.lineno + 1})"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and _statements(node) > 50
    ]
    assert not found, f"longer than 50 lines: {found}"


def _statements(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, its docstring not counted."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_no_bare_except() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not found


def test_no_module_for_odds_and_ends() -> None:
    odd = {"utils", "util", "misc", "helpers", "common_utils", "manager"}
    assert not [p for p in sources() if p.stem in odd]


def test_no_paths_of_one_machine() -> None:
    found = []
    for path in committed():
        if path.suffix not in TEXTS or not path.is_file() or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in PRIVATE.finditer(text)]
    assert not found


def test_every_dependency_has_a_version_that_was_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pinned = {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}
    extras = project["optional-dependencies"]
    for extra in ("dev", "openmm", "gromacs", "gpu", "pandas", "parsl", "postgresql", None):
        for line in extras[extra] if extra else project["dependencies"]:
            wanted = Requirement(line)
            if wanted.name != "copernicus":
                version = pinned.get(canonicalize_name(wanted.name))
                assert version in wanted.specifier, f"{line}: {version} (make constraints)"


def test_layers_hold() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0
