"""Whose files are whose: a project's are those that its journal names, an attempt's its inputs.

The set of a project is read from its journal the first time that it is asked for, and kept up to
date from what is committed afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain
from typing import Any

import msgspec

from copernicus.errors import BadValue
from copernicus.model.edits import Connect, Edit, SetInput
from copernicus.model.events import (
    FilesDropped,
    InputSet,
    ItemAppended,
    ItemReplaced,
    PartialMade,
    PinSet,
)
from copernicus.model.jobs import StoredFile
from copernicus.model.values import File, files_in
from copernicus.scheduling.lending import PREFIX
from copernicus.server.peers import LENT
from copernicus.store.records import Entry
from copernicus.store.store import Store

_HASH_LENGTH = 64
_PLAIN = frozenset((str, int, float, bool, bytes, type(None)))
_SOURCES = (InputSet, ItemAppended, ItemReplaced, PinSet)


class FileRights:
    """Which blobs each project refers to, or ever did."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, set[str]] = {}
        self._sources: dict[str, set[str]] = {}
        self._gone: dict[str, dict[str, float]] = {}
        self._read_to: dict[str, int] = {}
        self._reading = threading.Lock()

    def refers(self, project: str, sha256: str) -> bool:
        """Whether the project names this blob. Blocking: reads what is new of its journal."""
        return any(sha256 in known for known in self.named_by(project))

    def named_by(self, project: str) -> Iterator[Set[str]]:
        """The blobs that a project names, in parts. Blocking, as ``refers``."""
        yield self._journaled(project)
        yield frozenset(self._checkpoints(project))
        yield frozenset(self.so_far(project))
        if project.startswith(PREFIX):
            yield frozenset(self._lent(project))

    def in_sources(self, project: str) -> Set[str]:
        """The blobs that were ever given to an input as a value. Blocking, as ``refers``."""
        self._journaled(project)
        return self._sources[project]

    def gone(self, project: str, sha256: str) -> float | None:
        """When a file went that the project does not keep any more. Blocking, as ``refers``."""
        self._journaled(project)
        return self._gone[project].get(sha256)

    def all_referred(self) -> set[str]:
        """Every blob that any project names. Blocking, and slow the first time."""
        found: set[str] = set()
        for record in self._store.projects():
            found.update(*self.named_by(record.id))
        for project in {lent.lent_project for lent in LENT.read(self._store).values()}:
            found.update(*self.named_by(project))
        return found

    def _journaled(self, project: str) -> set[str]:
        with self._reading:
            known = self._known.setdefault(project, set())
            sources = self._sources.setdefault(project, set())
            gone = self._gone.setdefault(project, {})
            while entries := self._store.journal(project, self._read_to.get(project, 0)):
                for entry in entries:
                    named = set(named_in(entry))
                    known |= named
                    if isinstance(entry.event, _SOURCES):
                        sources |= named
                    for sha256 in named & gone.keys():
                        del gone[sha256]
                    for sha256 in dropped_in(entry):
                        known.discard(sha256)
                        gone[sha256] = entry.at
                self._read_to[project] = entries[-1].position
            return known

    def _checkpoints(self, project: str) -> Iterator[str]:
        """Those of running work are not in the journal until it has ended."""
        for row in self._store.checkpoints(project):
            yield from hashes_in(row)

    def _lent(self, project: str) -> Iterator[str]:
        """What the jobs of a peer's project need and have made: no journal here names it."""
        for lent in LENT.read(self._store).values():
            if lent.lent_project == project:
                yield from hashes_in(self._store.job(lent.job))

    def so_far(self, project: str) -> Iterator[str]:
        """What attempts have given that no result in the journal names. Blocking."""
        for row in self._store.unjournaled_attempts(project):
            for given in row.partial.values():
                yield from hashes_in(given.value)
            yield from hashes_in(row.series)


class Referred:
    """The blobs that some projects name: one after another is read, as far as it is asked for."""

    def __init__(self, rights: FileRights, projects: Iterable[str]) -> None:
        self._read: list[Set[str]] = []
        self._rest = chain.from_iterable(map(rights.named_by, projects))

    def __contains__(self, sha256: str) -> bool:
        if any(sha256 in known for known in self._read):
            return True
        for known in self._rest:
            self._read.append(known)
            if sha256 in known:
                return True
        return False


def named_in(entry: Entry) -> Iterator[str]:
    """The SHA-256 of every blob that a fact names.

    What a running job had so far is kept by its attempt as long as it is the newest of it, and
    afterwards by the facts of what was made of it; else there would be no end to it.
    """
    if isinstance(entry.event, PartialMade):
        return iter(())
    return hashes_in(entry.event)


def dropped_in(entry: Entry) -> Iterable[str]:
    """The SHA-256 of every blob that a project does not keep from this fact on."""
    return entry.event.files if isinstance(entry.event, FilesDropped) else ()


def still_named(entries: Iterable[Entry]) -> set[str]:
    """The blobs that a journal names and that have not been dropped since."""
    found: set[str] = set()
    for entry in entries:
        found.update(named_in(entry))
        found.difference_update(dropped_in(entry))
    return found


def files_in_edits(edits: Iterable[Edit]) -> Iterator[File]:
    """Every file that a transaction brings into a project."""
    for edit in edits:
        match edit:
            case SetInput(value=value):
                yield from files_in(value)
            case Connect():
                pass
            case _:
                yield from files_in(msgspec.to_builtins(edit))


def missing_file(file: File) -> BadValue:
    """The refusal of an edit that names a file that is not here."""
    return BadValue(
        f"The file {file.name!r} ({file.size} bytes, sha256 {file.sha256}) is not on this server: "
        "upload it first, then set it."
    )


def kept_by(entry: Entry) -> set[str]:
    """The blobs of a fact that must be there.

    Of the checkpoints of earlier attempts only the record is kept: newer ones took their place.
    """
    attempts = getattr(entry.event, "attempts", ())
    old = {file.sha256 for one in attempts if one.checkpoint for file in one.checkpoint.files}
    last = getattr(entry.event, "checkpoint", None)
    kept = {file.sha256 for file in last.files} if last is not None else set()
    return set(named_in(entry)) - (old - kept)


def hashes_in(value: Any) -> Iterator[str]:
    """The SHA-256 of every blob anywhere in structs and plain values.

    In plain values only what looks like a file counts: a user's JSON may say ``sha256`` of
    anything, and would otherwise make it a file of the project.
    """
    if isinstance(value, StoredFile):
        yield value.sha256
    elif isinstance(value, msgspec.Struct):
        yield from _hashes_of(getattr(value, name) for name in value.__struct_fields__)
    elif isinstance(value, Mapping):
        found = value.get("$file")
        if isinstance(found, str) and len(found) == _HASH_LENGTH:
            yield found
        yield from _hashes_of(value.values())
    elif isinstance(value, list | tuple):
        yield from _hashes_of(value)


def _hashes_of(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        # Most are plain, and this is asked of every result.
        if type(value) not in _PLAIN:
            yield from hashes_in(value)
