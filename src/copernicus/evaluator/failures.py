"""Errors of authors' code, told so that their author finds the line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from copernicus.errors import CopernicusError
from copernicus.model.jobs import Failure
from copernicus.sdk.recording import is_ours

_FRAMES = 12


def shown_file(filename: str) -> str:
    """A source file, as it is imported: without the folders that say where it is installed."""
    return _inside(filename, tuple(sys.path))


@lru_cache
def _inside(filename: str, folders: tuple[str, ...]) -> str:
    path = Path(filename)
    roots = [Path(root) for root in folders if root]
    inside = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
    return str(min(inside, key=lambda p: len(p.parts))) if inside else path.name


def _shown(code: CodeType, line: int) -> str:
    return f"{shown_file(code.co_filename)}:{line}"


def _where(lines: Iterable[tuple[str, int]], code: CodeType) -> str:
    """The innermost line of the function's own file, else of any author's file."""
    places = list(lines)
    own = [place for place in places if place[0] == code.co_filename]
    authors = own or [place for place in places if not is_ours(place[0])]
    if not authors:
        return _shown(code, code.co_firstlineno)
    filename, line = authors[-1]
    return f"{shown_file(filename)}:{line}"


def failure_of(error: BaseException, code: CodeType) -> Failure:
    """What an error in an author's function is to the instance: the sentence, the line, the story.

    ``code`` is the function's own, so that the line named is the author's, not one of a library.
    """
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not is_ours(frame.filename)
    ]
    reason = error.message if isinstance(error, CopernicusError) else _sentence(error)
    return Failure(
        reason,
        "resource" if isinstance(error, MemoryError) else "definition",
        log=_story(frames[-_FRAMES:], error),
        where=_where(((frame.filename, frame.lineno or 0) for frame in frames), code),
    )


def _story(frames: Sequence[traceback.FrameSummary], error: BaseException) -> str:
    told = [
        f"  {shown_file(frame.filename)}:{frame.lineno} in {frame.name}\n    {frame.line}"
        for frame in frames
    ]
    return "\n".join([*told, _sentence(error)])


def _sentence(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def suspended_at(coroutine: Any, code: CodeType) -> str:
    """The author's line at which a coroutine rests."""
    places = []
    current = coroutine
    while current is not None:
        frame = getattr(current, "cr_frame", None) or getattr(current, "gi_frame", None)
        if frame is None:
            break
        places.append((frame.f_code.co_filename, frame.f_lineno))
        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)
    return _where(places, code)
