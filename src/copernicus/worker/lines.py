"""Command lines of a job, from their description to argv: pure but for the look for files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Line

_GLOB = re.compile(r"\{(glob|filled):(.+)\}\Z", re.DOTALL)
_PLACE = re.compile(r"\{(cores|gpus|job|part|ranks|threads)\}")
PROGRAM = "{program}"


@dataclass(frozen=True, slots=True)
class Places:
    """What the placeholders of a job stand for.

    ``glob`` lists the files matching a pattern, ``filled`` those of them that are not empty.
    ``launcher`` stands before the program of lines with MPI, as so many ``ranks``.
    """

    program: tuple[str, ...]
    cores: int
    gpus: str
    job: str
    part: int
    glob: Callable[[str], Sequence[str]]
    filled: Callable[[str], Sequence[str]]
    launcher: tuple[str, ...] = ()
    ranks: int = 1
    threads: int = 1


def argv_of(line: Line, places: Places) -> list[str]:
    """The argument list that a line stands for.

    Raises:
        BadDefinition: It does not start with ``{program}``: nothing else is ever started.
    """
    if not line.argv or line.argv[0] != PROGRAM:
        first = line.argv[0] if line.argv else "nothing"
        raise BadDefinition(
            f"a command line starts with {first!r}: it must start with '{PROGRAM}', "
            "the program that the function names"
        )
    launcher = places.launcher if line.mpi else ()
    argv = [*(fill(word, places) for word in launcher), *places.program]
    for text in line.argv[1:]:
        found = _GLOB.match(text)
        argv += _files(found, places) if found else [fill(text, places)]
    return argv


def _files(found: re.Match[str], places: Places) -> Sequence[str]:
    look = places.filled if found[1] == "filled" else places.glob
    return look(found[2])


def fill(text: str, places: Places) -> str:
    """``text`` with its placeholders filled in; other braces stay as they are."""
    values = {
        "cores": str(places.cores),
        "gpus": places.gpus,
        "job": places.job,
        "part": str(places.part),
        "ranks": str(places.ranks),
        "threads": str(places.threads),
    }
    return _PLACE.sub(lambda found: values[found[1]], text)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts ``part2`` before ``part10``."""
    return [
        (0, len(piece.lstrip("0")), piece.lstrip("0")) if piece.isdecimal() else (1, 0, piece)
        for piece in re.split(r"([0-9]+)", name)
        if piece
    ]
