"""A whole project as one file, to take it to another server.

The file is a zip archive: ``files/SHA256`` for every file, stored as they are; ``project.cpc``
with the frames of ``protocol.saved``; and last ``manifest.json``, which binds them. Members are
read by their names only and never unpacked, so no path in it can lead anywhere.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from copernicus.client.files import BlobPort, Progress, Source, manifest_from
from copernicus.errors import BadValue, Conflict, InternalError, NotFound
from copernicus.model.values import File
from copernicus.protocol import ProjectView
from copernicus.protocol.saved import (
    END,
    FILE,
    HEAD,
    SAVED_FORMAT,
    LoadRequest,
    SavedFile,
    SavedHead,
    frames,
)
from copernicus.version import __version__

if TYPE_CHECKING:
    from copernicus.client.transport import Transport

_FRAMES = "project.cpc"
_MANIFEST = "manifest.json"
_PIECE = 1 << 20
_TRIES = 3
_BATCH = 256
_LOADS = "/v1/loads"


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds: the project, its frames (size and SHA-256), its files."""

    format: int
    version: str
    server: str
    name: str
    revision: int
    position: int
    saved: float
    size: int
    sha256: str
    files: int
    bytes: int


def save(
    transport: Transport, base: str, target: Path, progress: Progress | None = None
) -> Manifest:
    """Write the project at ``base`` to a file, which appears whole or not at all.

    Raises:
        Conflict: There is such a file.
        BadValue: It cannot be written.
    """
    if target.exists():
        raise Conflict(f"{target} exists: remove it, or choose another name")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream, zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
            made = _write(transport, base, archive, progress)
        part.replace(target)
    except OSError as error:
        raise BadValue(f"Cannot write {target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return made


def _write(
    transport: Transport, base: str, archive: zipfile.ZipFile, progress: Progress | None
) -> Manifest:
    port = BlobPort(transport, base)
    for attempt in range(_TRIES):
        with tempfile.TemporaryFile() as kept:
            head, files = _fetch_frames(transport, base, kept)
            try:
                _write_files(port, archive, files, head.name, progress)
            except NotFound:
                # A checkpoint was replaced meanwhile: what is new then is little.
                if attempt == _TRIES - 1:
                    raise
                continue
            size, sha256 = _copy_in(archive, kept)
        made = Manifest(
            SAVED_FORMAT,
            __version__,
            head.server,
            head.name,
            head.revision,
            head.position,
            head.at,
            size,
            sha256,
            len(files),
            sum(file.size for file in files),
        )
        archive.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(made)))
        return made
    raise AssertionError("unreachable")


def _fetch_frames(
    transport: Transport, base: str, kept: IO[bytes]
) -> tuple[SavedHead, list[SavedFile]]:
    with transport.bytes_from(f"{base}/saved") as pieces:
        for piece in pieces:
            kept.write(piece)
    return _looked_at(kept)


def _looked_at(kept: IO[bytes]) -> tuple[SavedHead, list[SavedFile]]:
    """The head and the files of frames that are all there."""
    kept.seek(0)
    head: SavedHead | None = None
    files: list[SavedFile] = []
    for kind, body in frames(_pieces(kept)):
        if kind == HEAD:
            head = msgspec.msgpack.decode(body, type=SavedHead)
        elif kind == FILE:
            files.append(msgspec.msgpack.decode(body, type=SavedFile))
        elif kind == END and head is not None:
            return head, files
    raise BadValue("What was saved of the project has no head: save it again")


def _write_files(
    port: BlobPort,
    archive: zipfile.ZipFile,
    files: list[SavedFile],
    label: str,
    progress: Progress | None,
) -> None:
    present = set(archive.namelist())
    total, done = sum(file.size for file in files), 0
    for file in files:
        name = _member(file.sha256)
        if name not in present:
            pieces = port.pieces(File(file.sha256, file.size, file.sha256))
            # Before there is a member of this name: the file may be gone.
            first, whole = next(pieces, b""), hashlib.sha256()
            with archive.open(name, "w", force_zip64=True) as member:
                for piece in chain((first,), pieces):
                    whole.update(piece)
                    member.write(piece)
            if whole.hexdigest() != file.sha256:
                raise InternalError(f"file {file.sha256} came damaged: try again")
        done += file.size
        if progress is not None:
            progress(label, done, total)


def _copy_in(archive: zipfile.ZipFile, kept: IO[bytes]) -> tuple[int, str]:
    kept.seek(0)
    info = zipfile.ZipInfo(_FRAMES, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    whole, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as member:
        for piece in _pieces(kept):
            whole.update(piece)
            size += len(piece)
            member.write(piece)
    return size, whole.hexdigest()


def load(
    transport: Transport,
    file: Path,
    name: str | None = None,
    progress: Progress | None = None,
    *,
    resume: bool = False,
) -> ProjectView:
    """Make a project of an archive; nothing is sent before all of it was found to be whole.

    Raises:
        NotFound: There is no such file.
        BadValue: It is no archive, damaged, or of a newer version.
        Conflict: The name is taken, or the server lacks a module.
    """
    port = BlobPort(transport, _LOADS)
    try:
        with zipfile.ZipFile(file) as archive:
            sources, head = _checked(archive, progress)
            for start in range(0, len(sources), _BATCH):
                port.send(sources[start : start + _BATCH], _renamed(progress, head.name))
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}") from None
    except OSError as error:
        raise BadValue(f"Cannot read {file}: {error.strerror}") from error
    except (zipfile.BadZipFile, msgspec.MsgspecError, KeyError, EOFError) as error:
        raise _damaged(file, str(error).strip("'\"")) from error
    except BadValue as error:
        raise BadValue(f"{file}: {error.message}") from error
    request = LoadRequest(sources[-1].manifest.sha256, name, resume)
    return transport.post(_LOADS, request, ProjectView)


def _damaged(file: Path, why: str) -> BadValue:
    return BadValue(
        f"{file} is no whole archive of a project ({why}); nothing was loaded: save the project "
        "again (cpc project save)"
    )


def _checked(archive: zipfile.ZipFile, progress: Progress | None) -> tuple[list[Source], SavedHead]:
    """Every member that the manifest promises, read and compared; the frames last."""
    manifest = _manifest(archive)
    with archive.open(_FRAMES) as stream:
        head, files = _looked_at(stream)
    total, done = sum(file.size for file in files), 0
    sources: list[Source] = []
    for file in files:
        sources.append(_source(archive, _member(file.sha256), file.sha256, file.size))
        done += file.size
        if progress is not None:
            progress("check", done, total)
    sources.append(_source(archive, _FRAMES, manifest.sha256, manifest.size))
    return sources, head


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    raw = archive.read(_MANIFEST)
    seen = msgspec.json.decode(raw, type=dict)
    number, version = seen.get("format"), str(seen.get("version", ""))[:20]
    if not isinstance(number, int) or number > SAVED_FORMAT:
        raise BadValue(
            f"a newer Copernicus saved it ({version}, format {number}; this is {__version__}, "
            f"format {SAVED_FORMAT}): upgrade Copernicus"
        )
    return msgspec.json.decode(raw, type=Manifest)


def _source(archive: zipfile.ZipFile, member: str, sha256: str, size: int) -> Source:
    if archive.getinfo(member).file_size != size:
        raise zipfile.BadZipFile(f"{member} does not have its {size} bytes")
    opened: Callable[[], IO[bytes]] = partial(archive.open, member)
    with opened() as stream:
        manifest = manifest_from(stream)
    if manifest.sha256 != sha256:
        raise zipfile.BadZipFile(f"{member} has another SHA-256")
    return Source(member, manifest, opened)


def _renamed(progress: Progress | None, name: str) -> Progress | None:
    if progress is None:
        return None
    return lambda member, done, total: progress(f"{name} {member[6:14]}", done, total)


def _member(sha256: str) -> str:
    return f"files/{sha256}"


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
