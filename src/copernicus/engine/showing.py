"""Values in at most one line, for lists and histories."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.values import is_file

SHORT = 72


def shorten(value: Any) -> str:
    """A value in at most one line."""
    if is_file(value):
        return f"{value['name']} ({_size(value['size'])})"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} elements: {shorten(value[0])}, ..., {shorten(value[-1])}"
    if isinstance(value, list):
        return "[" + ", ".join(shorten(element) for element in value) + "]"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHORT else text[: SHORT - 3] + "..."


def _size(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
