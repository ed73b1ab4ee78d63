"""Removing what nobody refers to, and finding what rotted."""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import partial

import msgspec

from copernicus.blobs.objects import ASIDE, Entry, Objects
from copernicus.blobs.recent import Recent
from copernicus.blobs.verify import (
    CHUNKS,
    MANIFESTS,
    DamagedBlob,
    chunk_key,
    digest_in,
    is_whole,
    read_manifest,
)
from copernicus.crashpoints import passing
from copernicus.errors import NotFound


class Swept(msgspec.Struct, frozen=True):
    """What a sweep removed (in a dry run: would have): counts, and bytes of chunks."""

    manifests: int
    chunks: int
    temporary: int
    size: int


class Damage(msgspec.Struct, frozen=True):
    """A blob that is not whole, and what is wrong with it."""

    sha256: str
    reason: str


class Sweep:
    """One removal of what is neither referenced nor was wanted of late.

    Args:
        objects: the store.
        recent: what this process stored or promised of late, whatever the wall clock says.
        referenced: SHA-256 of every blob that must stay.
        older_than: seconds for which unreferenced things are kept, counted from when they were
            last stored or asked for.
        dry_run: only count.
    """

    def __init__(
        self,
        objects: Objects,
        recent: Recent,
        *,
        referenced: Set[str],
        older_than: float,
        dry_run: bool,
    ) -> None:
        self._objects = objects
        self._recent = recent
        self._referenced = referenced
        self._older_than = older_than
        self._dry_run = dry_run

    def run(self) -> Swept:
        """Remove manifests before chunks: a crash in between leaves only unreferenced chunks."""
        kept, dropped = self._sort_manifests()
        passing("sweep.sorted")
        manifests = sum(self._remove(entry) for entry in dropped)
        passing("sweep.manifests")
        chunks = size = 0
        for entry in self._objects.entries(CHUNKS):
            digest = digest_in(entry.key)
            if digest in self._referenced or digest in kept or not self._remove(entry):
                continue
            chunks += 1
            size += entry.size
        for entry in self._objects.entries(ASIDE):
            healed = self._objects.exists(entry.key.removeprefix(ASIDE))
            if healed or digest_in(entry.key) not in self._referenced | kept:
                self._remove(entry)
        temporary = self._objects.remove_temporary(self._older_than, dry_run=self._dry_run)
        return Swept(manifests, chunks, temporary, size)

    def remove(self, these: Set[str]) -> None:
        """Remove these alone, and of their chunks those that are in no other blob."""
        kept, dropped = self._sort_manifests(these)
        # Of those in one chunk, this is all there is.
        chunks = set(these)
        for entry in dropped:
            manifest = read_manifest(self._objects, digest_in(entry.key))
            chunks.update(chunk.sha256 for chunk in manifest.chunks)
        for entry in dropped:
            self._remove(entry)
        passing("removal.manifests")
        for digest in chunks - kept - self._referenced:
            key = chunk_key(digest)
            if not self._recent.within(key, self._older_than):
                self._objects.remove_if_older(key, self._older_than)

    def _sort_manifests(self, only: Set[str] | None = None) -> tuple[set[str], list[Entry]]:
        kept: set[str] = set()
        dropped: list[Entry] = []
        for entry in self._objects.entries(MANIFESTS):
            digest = digest_in(entry.key)
            may_go = digest not in self._referenced and (only is None or digest in only)
            if may_go and self._is_old(entry):
                dropped.append(entry)
                continue
            # One that cannot be read stops the sweep here, before anything is removed: its
            # chunks cannot be told from those of nobody.
            kept.update(chunk.sha256 for chunk in read_manifest(self._objects, digest).chunks)
        return kept, dropped

    def _is_old(self, entry: Entry) -> bool:
        return entry.age >= self._older_than and not self._recent.within(
            entry.key, self._older_than
        )

    def _remove(self, entry: Entry) -> bool:
        if not self._is_old(entry):
            return False
        return self._dry_run or self._objects.remove_if_older(entry.key, self._older_than)


def all_blobs(objects: Objects) -> Iterator[str]:
    """Every blob with a manifest, then every chunk that no readable manifest names."""
    inside: set[str] = set()
    for entry in objects.entries(MANIFESTS):
        digest = digest_in(entry.key)
        try:
            inside.update(chunk.sha256 for chunk in read_manifest(objects, digest).chunks)
        except NotFound:
            continue
        except DamagedBlob:
            pass
        yield digest
    for entry in objects.entries(CHUNKS):
        if (digest := digest_in(entry.key)) not in inside:
            yield digest


def find_damage(objects: Objects) -> list[Damage]:
    """Read everything; set wrong chunks aside; tell of every blob that is not whole."""
    wrong = _wrong_chunks(objects)
    found: list[Damage] = []
    told: set[str] = set()
    for entry in objects.entries(MANIFESTS):
        digest = digest_in(entry.key)
        try:
            chunks = [chunk.sha256 for chunk in read_manifest(objects, digest).chunks]
        except NotFound:
            continue
        except DamagedBlob as error:
            found.append(Damage(digest, error.message))
            continue
        lost = [each for each in chunks if not objects.exists(chunk_key(each))]
        if lost:
            told.update(lost)
            reason = "has the wrong bytes" if lost[0] in wrong else "is missing"
            found.append(Damage(digest, f"{len(lost)} of {len(chunks)} chunks: {lost[0]} {reason}"))
    return found + [Damage(digest, "its bytes are wrong") for digest in sorted(wrong - told)]


def _wrong_chunks(objects: Objects) -> set[str]:
    for entry in objects.entries(CHUNKS):
        digest = digest_in(entry.key)
        try:
            if not is_whole(objects.read(entry.key), digest):
                objects.read_or_set_aside(entry.key, partial(is_whole, digest=digest))
        except FileNotFoundError:
            continue
    return {
        digest_in(entry.key)
        for entry in objects.entries(ASIDE)
        if not objects.exists(entry.key.removeprefix(ASIDE))
    }
