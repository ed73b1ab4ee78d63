"""Values of a project as Python objects: files that are fetched when needed, records, tables."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from copernicus.client.files import BlobPort, Progress, safe_name, target_for, telling
from copernicus.errors import BadValue, InternalError, NotFound
from copernicus.model.values import File, file_of, is_file

CACHE_BYTES = 20 * 10**9
_RECENT_S = 3600.0


class RemoteFile(File, frozen=True):
    """A file of a project, as a value: fetched when it is asked for."""

    port: Any = None

    def __repr__(self) -> str:
        return f"<{self.name}, {self.size:,} bytes>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and (self.sha256, self.name) == (other.sha256, other.name)

    def __hash__(self) -> int:
        return hash((self.sha256, self.name))

    def download(self, path: Path | str | None = None, progress: Progress | None = None) -> Path:
        """Fetch the file; it is there whole and verified, or not at all.

        Args:
            path: a file, or a folder that exists to put it in under its own name (default: here).
            progress: called with (name, bytes done, bytes in all).

        Returns:
            Where it lies.

        Raises:
            BadValue: It cannot be written there.
        """
        target = target_for(self.name, Path(path or "."))
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        tell = telling(progress, self.name, self.size)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as stream:
                self._copy_to(stream, tell)
            part.replace(target)
        except OSError as error:
            raise BadValue(f"Cannot write {target}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return target

    def save_to(self, path: Path | str | None = None, progress: Progress | None = None) -> Path:
        """The same as ``download``."""
        return self.download(path, progress)

    def path(self, progress: Progress | None = None) -> Path:
        """Where the file lies on this machine, under its own name; fetched if it is not there yet.

        It is kept by its content (``FileCache``): read it, do not change it.
        """
        return FileCache().path(self, progress)

    def open(self) -> BinaryIO:
        """The file to read from, whole and verified; fetched as ``path`` does."""
        return self.path().open("rb")

    def read_bytes(self) -> bytes:
        """All its bytes."""
        with self.open() as stream:
            return stream.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """All its bytes, as text."""
        return self.read_bytes().decode(encoding)

    def _repr_html_(self) -> str:
        from copernicus.client.display import file_html

        return file_html(self)

    def _copy_to(self, stream: BinaryIO, tell: Callable[[int], None]) -> None:
        if not isinstance(self.port, BlobPort):
            raise NotFound(f"file {self.name!r} belongs to no project that is open here")
        whole, done = hashlib.sha256(), 0
        tell(0)
        for piece in self.port.pieces(self):
            whole.update(piece)
            stream.write(piece)
            done += len(piece)
            tell(done)
        if whole.hexdigest() != self.sha256:
            raise InternalError(f"{self.name} came damaged (its SHA-256 is another): try again")


class FileCache:
    """Files that were fetched, by their SHA-256; the least recently used go when there are many.

    Args:
        folder: where; default: ``CPC_CACHE_DIR``, or this platform's place for caches. It may be
            deleted at any time.
        most: bytes that it may hold; what was used within the last hour stays in any case.
    """

    def __init__(self, folder: Path | None = None, most: int = CACHE_BYTES) -> None:
        self.folder = folder or cache_folder()
        self._most = most

    def path(self, file: RemoteFile, progress: Progress | None = None) -> Path:
        """The file, fetched if it is not there; verified when it came."""
        from copernicus.security.files import make_private_folder

        home = self.folder / file.sha256[:2] / file.sha256
        wanted = home / safe_name(file.name)
        if not (wanted.is_file() and wanted.stat().st_size == file.size):
            make_private_folder(self.folder)
            home.mkdir(parents=True, exist_ok=True)
            self._make_room(file.size)
            home.mkdir(parents=True, exist_ok=True)
            file.download(wanted, progress).chmod(0o400)
        os.utime(home)
        return wanted

    def _make_room(self, size: int) -> None:
        homes = [home for home in self.folder.glob("??/*") if home.is_dir()]
        sizes = {home: sum(f.stat().st_size for f in home.iterdir()) for home in homes}
        held = sum(sizes.values()) + size
        used = {home: home.stat().st_mtime for home in homes}
        for home in sorted(homes, key=lambda home: used[home]):
            if held <= self._most or time.time() - used[home] < _RECENT_S:
                return
            shutil.rmtree(home, ignore_errors=True)
            held -= sizes[home]


def cache_folder() -> Path:
    """Where fetched files are kept: ``CPC_CACHE_DIR``, or this platform's place for caches."""
    chosen = os.environ.get("CPC_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("copernicus", appauthor=False) / "files"


class Record(dict[str, Any]):
    """A record (or a ``dict``) of a project: ``value["dt"]``, and ``value.dt`` where that reads.

    Changing it changes nothing in the project: set it, or a member (``run.inputs["settings"].dt``).
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self) or "nothing"
            raise AttributeError(f"there is no member {name!r}; there is: {known}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def revive(value: Any, port: BlobPort) -> Any:
    """A plain value with its files as ``RemoteFile``, its records and dicts as ``Record``."""
    return _revived(value, lambda file: RemoteFile(file.sha256, file.size, file.name, port))


def _revived(value: Any, make: Callable[[File], RemoteFile]) -> Any:
    if is_file(value):
        return make(file_of(value))
    if isinstance(value, Mapping):
        return Record((name, _revived(inner, make)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return [_revived(inner, make) for inner in value]
    return value
