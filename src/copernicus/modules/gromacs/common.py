"""What all GROMACS command lines share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

from copernicus.errors import BadValue
from copernicus.sdk import File, Line, Placed, place

VERSIONS = ">=2020"

# Old files are never kept under another name: a work folder belongs to one attempt. Neither are
# thousands of step*.pdb files written while a simulation blows up.
ENVIRONMENT = {"GMX_MAXBACKUP": "-1", "GMX_SUPPRESS_DUMP": "1"}

STRUCTURES = (".gro", ".g96", ".pdb", ".brk", ".ent", ".tpr")
TRAJECTORIES = (".xtc", ".trr", ".tng", ".gro", ".g96", ".pdb", ".cpt")


def gmx(
    *arguments: str,
    when: Literal["always", "fresh", "resume", "complete"] = "always",
    stdin: str = "",
    stdout: str | None = None,
    ok: tuple[int, ...] = (0,),
) -> Line:
    """A line that calls ``gmx`` with these arguments."""
    argv = ("{program}", "-quiet", *arguments)
    return Line(argv, when=when, stdin=stdin, stdout=stdout, ok=ok)


def put(stem: str, file: File, known: Sequence[str]) -> Placed:
    """Place a file as ``stem`` with its own ending, by which GROMACS tells formats apart.

    Raises:
        BadValue: GROMACS does not read files with this ending there.
    """
    ending = PurePosixPath(file.name).suffix.lower()
    if ending not in known:
        raise BadValue(
            f"file {file.name!r} is none that GROMACS reads here: its name must end with "
            f"{', '.join(known)}"
        )
    return place(stem + ending, file)


def put_all(stem: str, files: Sequence[File], known: Sequence[str], port: str) -> list[Placed]:
    """Place several files as ``stem0``, ``stem1``, ...

    Raises:
        BadValue: There are none, or one has an ending that GROMACS does not read there.
    """
    if not files:
        raise BadValue(f"{port} is empty: give at least one file")
    return [put(f"{stem}{index}", file, known) for index, file in enumerate(files)]


def answer(text: str, port: str) -> str:
    """``text`` as the answer to one question of a GROMACS tool.

    Raises:
        BadValue: It would answer several.
    """
    if not text.strip() or "\n" in text or "\r" in text:
        raise BadValue(f"{port} is {text!r}: write one name")
    return text.strip()
