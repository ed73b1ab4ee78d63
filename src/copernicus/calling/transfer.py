"""Files to and from a server, in chunks: nothing that the other side has is sent again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from copernicus.blobs import CHUNK_SIZE, BlobStore, Manifest
from copernicus.calling.link import Link
from copernicus.errors import BadValue, Conflict, CopernicusError, ServerBusy
from copernicus.protocol import MissingReply, MissingRequest

_AT_ONCE = 4
_COMMIT_TRIES = 5
_ASK_AT_ONCE = 10_000


class Sendable(Protocol):
    """A file that the server may not have yet."""

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""
        ...

    @property
    def sha256(self) -> str:
        """The SHA-256 of the whole file."""
        ...

    def chunk(self, index: int) -> bytes:
        """What is there of one of its chunks now."""
        ...


class FileChanged(CopernicusError):
    """A file of a job changed while it was being sent."""

    code = "file_changed"


Trouble = Callable[[CopernicusError, float], None]


class Carrier:
    """Moves blobs for attempts; what is fetched is kept in a store of one's own."""

    def __init__(self, link: Link, kept: BlobStore, on_trouble: Trouble) -> None:
        self._link = link
        self._kept = kept
        self._on_trouble = on_trouble
        self._fetching: dict[str, asyncio.Lock] = {}

    async def fetch(self, attempt: str, digest: str, size: int) -> bool:
        """Return when the blob is in one's own store: whether it had to be sent.

        Raises:
            CopernicusError: The server does not give it.
        """
        lock = self._fetching.setdefault(digest, asyncio.Lock())
        async with lock:
            is_new = not await asyncio.to_thread(self._kept.has, digest)
            if is_new:
                await self._download(attempt, digest, size)
        self._fetching.pop(digest, None)
        return is_new

    async def _download(self, attempt: str, digest: str, size: int) -> None:
        """Some ranges are under way while those before them are hashed and stored by a thread."""
        loop, waiting = asyncio.get_running_loop(), deque[Future[bytes]]()

        def pieces() -> Iterator[bytes]:
            for start in range(0, max(size, 1), CHUNK_SIZE):
                end = min(start + CHUNK_SIZE, size)
                one = self._range(attempt, digest, start, end)
                waiting.append(asyncio.run_coroutine_threadsafe(one, loop))
                if len(waiting) == _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            manifest = await asyncio.to_thread(self._kept.put_stream, pieces())
        finally:
            # The thread of one that is given up ends with the range that it waits for.
            for one in tuple(waiting):
                one.cancel()
        if manifest.sha256 != digest:
            raise ServerBusy(f"blob {digest} arrived damaged; it will be fetched again")

    async def _range(self, attempt: str, digest: str, start: int, end: int) -> bytes:
        # An empty blob has no byte to ask for.
        headers = {"range": f"bytes={start}-{end - 1}"} if end > start else {}

        async def once() -> bytes:
            response = await self._link.send(
                "GET", _with_attempt(f"/v1/work/blobs/{digest}", attempt), headers=headers
            )
            data = response.content
            if response.status_code == 200:
                data = data[start:end]
            if len(data) != end - start:
                raise ServerBusy(f"blob {digest}: {len(data)} bytes came of {end - start}")
            return data

        return await self._link.persist(once, on_trouble=self._on_trouble)

    async def upload(self, attempt: str, files: Sequence[Sendable]) -> None:
        """Return when the server has all of these; what it has already is not sent again.

        Raises:
            FileChanged: A file is not what it was.
            CopernicusError: The server refuses, or is away: repeating goes on where it was.
        """
        unique = {file.sha256: file for file in files}
        for _ in range(_COMMIT_TRIES):
            try:
                for file in unique.values():
                    await self._upload_one(attempt, file)
            except Conflict:
                continue  # chunks were swept between the question and the commit
            return
        raise ServerBusy("the server keeps losing chunks that were sent; trying again later")

    async def _upload_one(self, attempt: str, file: Sendable) -> None:
        chunks = file.manifest.chunks
        for first in range(0, len(chunks), _ASK_AT_ONCE):
            part = chunks[first : first + _ASK_AT_ONCE]
            request = MissingRequest(tuple(c.sha256 for c in part), (file.sha256,))
            reply = await self._ask_missing(attempt, request)
            if file.sha256 not in reply.blobs:
                return
            await self._put_chunks(attempt, file, set(reply.chunks))
        path = _with_attempt("/v1/work/blobs", attempt)
        await self._link.tell(path, file.manifest)

    async def _ask_missing(self, attempt: str, request: MissingRequest) -> MissingReply:
        path = _with_attempt("/v1/work/blobs/missing", attempt)
        return await self._link.ask(path, request, MissingReply)

    async def _put_chunks(self, attempt: str, file: Sendable, missing: set[str]) -> None:
        room = asyncio.Semaphore(_AT_ONCE)

        async def put(index: int, digest: str) -> None:
            async with room:
                data = await asyncio.to_thread(file.chunk, index)
                path = _with_attempt(f"/v1/work/chunks/{digest}", attempt)
                try:
                    await self._link.send("PUT", path, content=data)
                except BadValue as error:
                    # The server hashes what comes; that what goes is right need not be seen first.
                    raise FileChanged(
                        f"a file changed while it was sent: {error.message}"
                    ) from None

        try:
            async with asyncio.TaskGroup() as group:
                for index, chunk in enumerate(file.manifest.chunks):
                    if chunk.sha256 in missing:
                        missing.discard(chunk.sha256)
                        group.create_task(put(index, chunk.sha256))
        except BaseExceptionGroup as troubles:
            raise troubles.exceptions[0] from None


def _with_attempt(path: str, attempt: str) -> str:
    return f"{path}?attempt={attempt.replace('#', '%23')}"
