"""A project on its way between servers: frames, so that neither side holds all of it at once.

A frame is one byte for its kind, four for the length of its body (big-endian), and the body in
msgpack. First the head, then the facts of the journal in order, the rows of the queue, the files
that they name, and the end, without which something is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from copernicus.errors import BadValue

SAVED_FORMAT = 1
"""Grows when a server of today could not read what one of tomorrow saves."""

HEAD, ENTRY, ROW, FILE, END = b"H", b"E", b"R", b"F", b"Z"
_KINDS = HEAD + ENTRY + ROW + FILE + END
_LARGEST = 1 << 30


class SavedHead(msgspec.Struct, frozen=True):
    """Which project this is, where it was, and how far it had come. ``at``: seconds, epoch."""

    format: int
    version: str
    server: str
    project: str
    name: str
    owner: str
    revision: int
    position: int
    created: float
    at: float


class SavedFile(msgspec.Struct, frozen=True):
    """A file that the project names."""

    sha256: str
    size: int


class LoadRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Make a project of frames that are stored as the blob ``sha256``, its files being here."""

    sha256: str
    name: str | None = None
    resume: bool = False


def framed(kind: bytes, body: object) -> bytes:
    """One frame."""
    data = msgspec.msgpack.encode(body)
    return kind + len(data).to_bytes(4, "big") + data


def frames(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The frames (kind, body) of a stream of bytes, up to the end.

    Raises:
        BadValue: It is not such a stream, or breaks off.
    """
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        start = 0
        while len(buffer) - start >= 5:
            kind, size = (
                bytes(buffer[start : start + 1]),
                int.from_bytes(buffer[start + 1 : start + 5]),
            )
            if kind not in _KINDS or size > _LARGEST:
                raise BadValue("What was saved of the project cannot be read: save it again.")
            if len(buffer) - start - 5 < size:
                break
            yield kind, bytes(buffer[start + 5 : start + 5 + size])
            if kind == END:
                return
            start += 5 + size
        del buffer[:start]
    raise BadValue("What was saved of the project breaks off before its end: save it again.")
