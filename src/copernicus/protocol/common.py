"""What both ports speak: versions, ports, errors, blobs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from copernicus.errors import UpgradeNeeded

PROTOCOL = 1
PROTOCOL_HEADER = "copernicus-protocol"
MACHINE_PORT = 13807
USER_PORT = 14807


def check_protocol(protocol: int) -> None:
    """Refuse a worker that is more than one version older than this server, or newer.

    Raises:
        UpgradeNeeded: saying which of both is to be upgraded.
    """
    if not PROTOCOL - 1 <= protocol <= PROTOCOL:
        raise UpgradeNeeded(
            f"This worker speaks protocol {protocol}, the server {PROTOCOL}: "
            f"upgrade the {'server' if protocol > PROTOCOL else 'worker'}."
        )


def check_client(protocol: str) -> None:
    """Refuse a client that says it is more than one version away from this server.

    Raises:
        UpgradeNeeded: saying which of both is to be upgraded.
    """
    spoken = int(protocol[:9]) if protocol.isascii() and protocol.isdecimal() else PROTOCOL
    if abs(spoken - PROTOCOL) > 1:
        older = "server" if spoken > PROTOCOL else "client"
        raise UpgradeNeeded(
            f"This client speaks protocol {spoken}, the server {PROTOCOL}: upgrade the {older}."
        )


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal: a stable code (``errors.py``) and the sentence for the user."""

    code: str
    message: str


class ChunkRef(msgspec.Struct, frozen=True):
    """A piece of a blob."""

    sha256: str
    size: int


class BlobManifest(msgspec.Struct, frozen=True):
    """A blob as its chunks; sent to commit it when the server has all of them."""

    sha256: str
    size: int
    chunks: tuple[ChunkRef, ...]


SMALL_BLOB = 64 << 10
SMALL_BLOBS = 1 << 20
SMALL_BLOBS_AT_ONCE = 1000
"""Of this size in bytes at most, in all and in number, blobs are sent several in one message."""


class SmallBlobs(msgspec.Struct, frozen=True):
    """Blobs that are sent whole; each is named by what is in it."""

    contents: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=SMALL_BLOBS_AT_ONCE)]


class MissingRequest(msgspec.Struct, frozen=True):
    """Which of these chunks, and of these blobs, does the server not have?"""

    chunks: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


class MissingReply(msgspec.Struct, frozen=True):
    """Those it does not have."""

    chunks: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
