"""Makes the folder of a new module: a small one that works, to be changed into one's own."""

from __future__ import annotations

import keyword
import sys
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from copernicus.errors import BadValue, Conflict

_NAME = "NAME"
_PROGRAMS = "program"


def new_module(name: str, folder: Path) -> list[Path]:
    """Write a new module into ``folder``, which must be empty or not there; returns its files.

    Raises:
        BadValue: The name is none for a module.
        Conflict: There is something in the folder.
    """
    _check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is not empty: name another folder, or none to use ./{name}")
    written: list[Path] = []
    _write(resources.files("copernicus.skeleton") / "files", folder, name, written)
    return sorted(written)


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise BadValue(
            f"{name!r} is no name for a module: use small letters, digits and _, as in 'my_sim'"
        )
    if name in sys.stdlib_module_names or name in ("copernicus", "tests", "test"):
        raise BadValue(f"{name!r} is taken by a Python module of that name: choose another")


def _write(source: Traversable, target: Path, name: str, written: list[Path]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        path = target / entry.name.removesuffix(".in").replace(_NAME, name)
        if entry.is_dir():
            if entry.name != "__pycache__":
                _write(entry, path, name, written)
            continue
        path.write_text(entry.read_text(encoding="utf-8").replace(_NAME, name), encoding="utf-8")
        if target.name == _PROGRAMS:
            path.chmod(0o755)
        written.append(path)
