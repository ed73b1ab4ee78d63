"""The audit log's chain: each entry holds the hash of the one before, so none can be changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from copernicus.store.records import AuditEntry

START = "0" * 64


def link_of(entry: AuditEntry) -> str:
    """What the entry after this one holds as ``previous``."""
    fields = msgspec.structs.astuple(entry)
    return hashlib.sha256(msgspec.msgpack.encode(fields)).hexdigest()


def first_broken(entries: Iterable[AuditEntry]) -> int | None:
    """The number of the first entry that does not follow from the one before (entries in order)."""
    number, link = 0, START
    for entry in entries:
        if entry.number != number + 1 or entry.previous != link:
            return entry.number
        number, link = entry.number, link_of(entry)
    return None
