"""Files to and from a project: in chunks, only what the other side lacks, verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from copernicus.errors import (
    BadValue,
    Conflict,
    NotFound,
    ServerBusy,
    ServerUnreachable,
)
from copernicus.model.values import File
from copernicus.protocol import (
    BlobManifest,
    ChunkRef,
    MissingReply,
    MissingRequest,
    SmallBlobs,
)
from copernicus.protocol.common import SMALL_BLOB, SMALL_BLOBS, SMALL_BLOBS_AT_ONCE

if TYPE_CHECKING:
    from copernicus.client.transport import Transport

Progress = Callable[[str, int, int], None]
"""Called with a file's name, bytes done and bytes in all."""

_QUESTION = 10_000
_TRIES = 5
_PIECE = 1 << 20


class Source(NamedTuple):
    """Bytes to be sent: what they are called, what they are, how to read them."""

    name: str
    manifest: BlobManifest
    open: Callable[[], IO[bytes]]


class BlobPort:
    """The files of one project on its server; ``base`` is the project's address."""

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._base = base

    def upload(self, paths: Sequence[Path], progress: Progress | None = None) -> list[File]:
        """Store files; what the server has already is not sent.

        Raises:
            NotFound: A file does not exist.
            BadValue: It is no file, or cannot be read.
            Conflict: It changed while it was sent.
        """
        sources = [Source(path.name, _manifest(path), _opener(path)) for path in paths]
        self.send(sources, progress)
        return [
            File(source.manifest.sha256, source.manifest.size, source.name) for source in sources
        ]

    def send(self, sources: Sequence[Source], progress: Progress | None = None) -> None:
        """Store what these can be read from; what the server has already is not sent.

        Raises:
            Conflict: It is not (any more) what its manifest says.
        """
        absent = self._missing([source.manifest for source in sources])
        blobs, chunks = set(absent.blobs), set(absent.chunks)
        small = []
        for source in sources:
            tell = telling(progress, source.name, source.manifest.size)
            if source.manifest.sha256 not in blobs:
                tell(source.manifest.size)
            elif source.manifest.size <= SMALL_BLOB:
                small.append(source)
                blobs.discard(source.manifest.sha256)
            else:
                self._send(source, chunks, tell)
                self._commit(source, tell)
        for some in _batches(small):
            self._send_small(some, progress)

    def _send_small(self, sources: Sequence[Source], progress: Progress | None) -> None:
        """Several in one message: a request for each would cost more than what is in it."""
        contents = tuple(_whole(source) for source in sources)
        self._transport.send("POST", f"{self._base}/blobs/small", SmallBlobs(contents))
        for source in sources:
            telling(progress, source.name, source.manifest.size)(source.manifest.size)

    def _commit(self, source: Source, tell: Callable[[int], None]) -> None:
        """The server may have forgotten since who sent what (it was restarted): send it again."""
        for left in reversed(range(_TRIES)):
            try:
                self._transport.send("POST", f"{self._base}/blobs", source.manifest)
            except Conflict:
                if not left:
                    raise
                self._send(source, set(self._missing([source.manifest]).chunks), tell)
            else:
                return

    def described(self, paths: Sequence[Path]) -> list[File]:
        """The files as they would be stored; nothing is sent.

        Raises:
            NotFound: A file does not exist.
            BadValue: It is no file, or cannot be read.
        """
        manifests = [_manifest(path) for path in paths]
        return [
            File(manifest.sha256, manifest.size, path.name)
            for path, manifest in zip(paths, manifests, strict=True)
        ]

    def pieces(self, file: File, start: int = 0) -> Iterator[bytes]:
        """The bytes of a stored file from ``start`` on, going on by itself if the line breaks.

        Raises:
            ServerUnreachable: The line broke too often without a single byte coming through.
        """
        position, failures = start, 0
        while True:
            try:
                for piece in self._once(file, position):
                    position += len(piece)
                    failures = 0
                    yield piece
            except (ServerUnreachable, ServerBusy):
                failures += 1
                if failures >= _TRIES:
                    raise
            else:
                return

    def _once(self, file: File, start: int) -> Iterator[bytes]:
        position = start
        where = f"{self._base}/blobs/{file.sha256}"
        with self._transport.bytes_from(where, start) as pieces:
            for piece in pieces:
                position += len(piece)
                yield piece
        if position < file.size:
            raise ServerUnreachable(f"The transfer of {file.name} ended early: try again")

    def _missing(self, manifests: Sequence[BlobManifest]) -> MissingReply:
        chunks = list(dict.fromkeys(c.sha256 for m in manifests for c in m.chunks))
        blobs = tuple(dict.fromkeys(m.sha256 for m in manifests))
        lacking: list[str] = []
        absent: tuple[str, ...] = ()
        for start in range(0, max(len(chunks), 1), _QUESTION):
            question = MissingRequest(
                tuple(chunks[start : start + _QUESTION]), () if start else blobs
            )
            reply = self._transport.post(f"{self._base}/blobs/missing", question, MissingReply)
            lacking += reply.chunks
            absent += reply.blobs
        return MissingReply(tuple(lacking), absent)

    def _send(self, source: Source, lacking: set[str], tell: Callable[[int], None]) -> None:
        done = 0
        with source.open() as stream:
            for chunk in source.manifest.chunks:
                if chunk.sha256 in lacking:
                    stream.seek(done)
                    content = _checked(stream.read(chunk.size), chunk.sha256, source)
                    self._transport.put_bytes(f"{self._base}/chunks/{chunk.sha256}", content)
                    lacking.discard(chunk.sha256)
                done += chunk.size
                tell(done)


def _whole(source: Source) -> bytes:
    with source.open() as stream:
        return _checked(stream.read(source.manifest.size), source.manifest.sha256, source)


def _checked(content: bytes, sha256: str, source: Source) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Conflict(f"{source.name} changed while it was sent: send it again")
    return content


def _batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """These, as many together as one message may hold."""
    batch: list[Source] = []
    size = 0
    for source in sources:
        size += source.manifest.size
        if batch and (size > SMALL_BLOBS or len(batch) == SMALL_BLOBS_AT_ONCE):
            yield batch
            batch, size = [], source.manifest.size
        batch.append(source)
    if batch:
        yield batch


def safe_name(name: str) -> str:
    """The last part of a name that came from elsewhere: it leads out of no folder."""
    plain = Path(name.replace("\\", "/")).name
    return plain if plain not in ("", "..") else "file"


def target_for(name: str, path: Path) -> Path:
    """Where a file of this name goes: ``path`` itself, or inside it if it is a folder."""
    return path / safe_name(name) if path.is_dir() else path


def distinct_names(files: Iterable[File]) -> list[str]:
    """Names under which these files can lie in one folder: numbered where they are not distinct."""
    listed = list(files)
    if len({file.name for file in listed}) == len(listed):
        return [file.name for file in listed]
    width = len(str(len(listed) - 1))
    return [f"{index:0{width}d}-{file.name}" for index, file in enumerate(listed)]


def telling(progress: Progress | None, name: str, size: int) -> Callable[[int], None]:
    """``progress`` for one file: called with the bytes done."""

    def tell(done: int) -> None:
        if progress is not None:
            progress(name, done, size)

    return tell


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def manifest_from(stream: IO[bytes]) -> BlobManifest:
    """What the bytes of a stream are: read once, from its start."""
    from copernicus.blobs.chunks import manifest_of

    made = manifest_of(stream)
    return BlobManifest(
        made.sha256, made.size, tuple(ChunkRef(c.sha256, c.size) for c in made.chunks)
    )


def _manifest(path: Path) -> BlobManifest:
    try:
        with path.open("rb") as stream:
            return manifest_from(stream)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}") from None
    except OSError as error:
        raise BadValue(f"Cannot read {path}: {error.strerror}") from error


def plain_of(value: Any, upload: Callable[[list[Path]], list[File]]) -> Any:
    """A user's value as plain data; every ``Path`` in it becomes a stored file, in one transfer."""
    from copernicus.model.values import to_plain

    paths = list(dict.fromkeys(_paths_in(value)))
    stored = dict(zip(paths, upload(paths), strict=True)) if paths else {}
    return to_plain(_replace(value, stored))


def _paths_in(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _paths_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _paths_in(inner)


def _replace(value: Any, stored: dict[Path, File]) -> Any:
    if isinstance(value, Path):
        return stored[value]
    if isinstance(value, dict):
        return {name: _replace(inner, stored) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(inner, stored) for inner in value]
    return value
