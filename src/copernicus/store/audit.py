"""The audit log's chain: each entry holds the hash of the one before, so none can be changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from copernicus.store.records import AuditEntry

START = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which entries are wanted; what is empty does not matter.

    ``action`` is a whole action or what it begins with (``worker``), ``about`` stands in what was
    acted on; ``after`` and ``before`` are times.
    """

    actor: str = ""
    source: str = ""
    action: str = ""
    about: str = ""
    outcome: str = ""
    after: float | None = None
    before: float | None = None


def link_of(entry: AuditEntry) -> str:
    """What the entry after this one holds as ``previous``."""
    fields = msgspec.structs.astuple(entry)
    return hashlib.sha256(msgspec.msgpack.encode(fields)).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """How far the chain holds.

    ``broken`` is the first entry that does not follow from the one before; ``head`` is the link of
    the last one, ``noted`` that of the entry that was asked for. Who keeps number and head
    elsewhere can tell later that nothing up to there was changed, or cut off at the end.
    """

    entries: int
    head: str
    broken: int | None = None
    noted: str = ""


def check_chain(entries: Iterable[AuditEntry], note: int = 0) -> AuditCheck:
    """Follow the chain (entries in order); ``note`` is the entry whose link is wanted."""
    number, link, noted = 0, START, ""
    for entry in entries:
        if entry.number != number + 1 or entry.previous != link:
            return AuditCheck(number, link, entry.number, noted)
        number, link = entry.number, link_of(entry)
        if number == note:
            noted = link
    return AuditCheck(number, link, None, noted)
