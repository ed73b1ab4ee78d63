"""Values as plain data: JSON, in which a file is ``{"$file": sha256, "size": n, "name": s}``.

Plain data is what the engine, the journal and the wire know. ``File`` and dataclasses exist only
in the hands of authors and users; ``to_plain`` and ``sdk.from_plain`` convert at that border.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from copernicus.model.units import written


class File(msgspec.Struct, frozen=True):
    """Immutable bytes in the blob store, and the name they go by."""

    sha256: str
    size: int
    name: str = "file"

    def plain(self) -> dict[str, Any]:
        """The plain form of this file."""
        return {"$file": self.sha256, "size": self.size, "name": self.name}


def is_file(value: Any) -> bool:
    """Whether a plain value is a file."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("$file"), str)
        and isinstance(value.get("size"), int)
        and isinstance(value.get("name"), str)
    )


def file_of(value: Mapping[str, Any]) -> File:
    """The ``File`` of a plain file."""
    return File(value["$file"], value["size"], value["name"])


def files_in(value: Any) -> Iterator[File]:
    """Every file anywhere inside a plain value."""
    if is_file(value):
        yield file_of(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from files_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from files_in(inner)


def to_plain(value: Any) -> Any:
    """The plain form of an author's or user's value.

    Files, dataclasses, tuples, numpy scalars and arrays, Pint quantities (text with the unit).
    """
    if isinstance(value, File):
        return value.plain()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if hasattr(value, "dimensionality") and hasattr(value, "magnitude"):
        return to_plain(written(value))
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    return value


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a plain value: equal values, equal digests."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
