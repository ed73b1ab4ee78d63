"""Files that were fetched for peers' jobs: kept for the next job, up to a bound.

They are in the one store of files of this server, where an own project may come to name them too.
So only those go that nothing here names and that no attempt is just being taken in for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from functools import partial

from copernicus.blobs import DamagedBlob
from copernicus.crashpoints import passing
from copernicus.errors import CopernicusError, NotFound
from copernicus.scheduling.caching import CachedFile, what_goes
from copernicus.server.batch import Batch
from copernicus.server.peers import CACHED
from copernicus.server.room import MIB
from copernicus.server.site import Site
from copernicus.store.backup import upkeep
from copernicus.telemetry import get_logger

_LOG = get_logger("relay")
_AGAIN_S = 60.0


class Cache:
    """Keeps the files of peers' jobs within ``peer_cache_mb``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._bound = site.settings.peer_cache_mb * MIB
        self._in_use: Counter[str] = Counter()
        # Held while files are removed: who begins to use one finds it whole, or not at all.
        self._removing = asyncio.Lock()
        self._look = asyncio.Event()

    @contextlib.asynccontextmanager
    async def using(self, files: Iterable[str]) -> AsyncIterator[None]:
        """None of these is removed from now on, until what is in the store keeps it."""
        held = Counter(files)
        async with self._removing:
            self._in_use += held
        try:
            yield
        finally:
            self._in_use -= held
            self._look.set()

    async def keep(self, files: Mapping[str, int]) -> None:
        """These were fetched for a job that did not come here after all."""
        # What a full disk lets nobody note goes with the next sweep.
        with contextlib.suppress(CopernicusError):
            await self._site.runtime.do(partial(note, files=files))
        self._look.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        again = min(_AGAIN_S, self._site.settings.peer_cache_keep_s)
        if self._files:
            # A kill may have come between a removal and its note.
            await self.trim()
        while True:
            if self._is_over:
                await self.trim()
                # What is still needed may be let go later, with no news of it.
                await asyncio.sleep(again)
            else:
                self._look.clear()
                await self._look.wait()

    @property
    def _files(self) -> Mapping[str, CachedFile]:
        return self._site.runtime.holdings.peers.cached

    @property
    def _is_over(self) -> bool:
        return sum(file.size for file in self._files.values()) > self._bound

    async def trim(self) -> None:
        """Remove what is too much, and forget what is not here any more."""
        before, is_over = dict(self._files), self._is_over
        try:
            needed = await asyncio.to_thread(self._named) if is_over else set[str]()
            async with self._removing:
                # What was used since the store was read may be named by what was not seen there.
                used = {name for name, file in self._files.items() if file != before.get(name)}
                keep = needed | used | self._in_use.keys()
                going = self._too_many(keep) if is_over else set[str]()
                gone = await asyncio.to_thread(self._remove, going, set(self._files), keep)
                if gone:
                    passing("cache.removed")
                    await self._site.runtime.do(partial(_forget, gone=gone))
        except CopernicusError as error:
            _LOG.warning("files of peers' jobs were not removed", reason=error.message)
        else:
            if going:
                _LOG.info("removed files of peers' jobs", files=len(gone))

    def _too_many(self, keep: Set[str]) -> set[str]:
        since = self._site.clock.now() - self._site.settings.peer_cache_keep_s
        return set(what_goes(self._files, keep, self._bound, since))

    def _named(self) -> set[str]:
        """What anything here names, or somebody may be about to name."""
        return self._site.files.all_referred() | self._site.store.all_sent()

    def _remove(self, going: Set[str], known: Set[str], keep: Set[str]) -> set[str]:
        """Those of the known ones that are not here afterwards."""
        if going:
            with upkeep(self._site.identity.parent):
                older = self._site.settings.peer_cache_keep_s
                self._site.blobs.remove(going, referenced=keep, older_than=older)
        return {name for name in known - keep if not self._is_here(name)}

    def _is_here(self, name: str) -> bool:
        """Without having it kept for longer by asking."""
        try:
            self._site.blobs.manifest(name)
        except NotFound:
            return False
        except DamagedBlob:
            # It is the operator's to see, and takes room.
            return True
        return True


def note(batch: Batch, files: Mapping[str, int]) -> None:
    """These, with their sizes, were used for a peer's job now."""
    for name, size in files.items():
        used = CachedFile(size, batch.now)
        batch.holdings.peers.cached[name] = used
        batch.write(CACHED.keep(name, used))


def _forget(batch: Batch, gone: Set[str]) -> None:
    for name in gone:
        if batch.holdings.peers.cached.pop(name, None) is not None:
            batch.write(CACHED.drop(name))
