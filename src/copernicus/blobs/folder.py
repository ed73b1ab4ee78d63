"""Objects in a folder, written so that a kill or a power cut loses nothing acknowledged.

obstore's ``LocalStore`` renames a finished file into place but does not fsync, and its Python
binding has no option for it. So writing is done here (temporary file, fsync, rename, fsync of
the directory); listing and deleting stay with obstore.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from obstore.store import LocalStore

from copernicus.blobs.objects import Objects
from copernicus.crashpoints import passing
from copernicus.errors import ServerBusy

# The content and the length are enough: times need not survive a power cut, and an object
# whose age was just renewed would cost a journal commit for nothing.
_sync_content = getattr(os, "fdatasync", os.fsync)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = "tmp"
_AT_ONCE = 8

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Turn "no space left" into a ``ServerBusy`` that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ServerBusy(
            f"the folder {folder} has no space left for files; nothing was lost: "
            "free some space, then try again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder, and journals names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_temporary(path: Path, pieces: Iterable[bytes], *, mode: int, durable: bool) -> Path:
    """Write pieces into a new file, named after ``path`` with something random behind."""
    path = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(path, "xb", buffering=0, opener=partial(os.open, mode=mode)) as file:
            for piece in pieces:
                rest = memoryview(piece)
                while len(rest):
                    rest = rest[file.write(rest) :]
            if durable:
                _sync_content(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def export_file(path: Path, pieces: Iterable[bytes], *, durable: bool) -> None:
    """Write pieces to a file that appears whole or not at all; the umask applies."""
    folder = path.absolute().parent
    with room_in(folder):
        temporary = write_temporary(folder / f".{path.name}", pieces, mode=0o666, durable=durable)
        try:
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if durable:
        sync_folder(folder)


def _done(work: Callable[[T], R], thing: T) -> Future[R]:
    over: Future[R] = Future()
    try:
        over.set_result(work(thing))
    except Exception as error:  # noqa: BLE001 - for whoever asks for the result
        over.set_exception(error)
    return over


class Folder(Objects):
    """Objects by key in a folder of this machine.

    ``on_failure`` is told when the disk fails at a write or a sync: nobody knows any more what is
    on it, so nothing may be promised after it.
    """

    def __init__(
        self, path: Path, *, durable: bool, on_failure: Callable[[OSError], None] | None = None
    ) -> None:
        self.path = path.absolute()
        self._on_failure = on_failure
        self._durable = durable
        self._temporary = self.path / _TEMPORARY
        self._anchored: set[Path] = set()
        self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(LocalStore(self.path))

    def publish(self, key: str, data: bytes) -> None:
        """As ``Objects.publish``: the content is on the disk before the name is given."""
        self.publish_all([(key, data)])

    def publish_all(self, several: Sequence[tuple[str, bytes]]) -> None:
        """As ``publish``; the disk is waited for once, not for one object after the other."""
        with self._watched(), room_in(self.path):
            written = self._together(self._write, [data for _, data in several])
            try:
                for (key, _), temporary in zip(several, written, strict=True):
                    self._name(temporary.result(), key)
            except BaseException:
                for temporary in written:
                    if temporary.exception() is None:
                        temporary.result().unlink(missing_ok=True)
                raise

    def _write(self, data: bytes) -> Path:
        return write_temporary(self._temporary / "put", [data], mode=0o600, durable=self._durable)

    def _name(self, temporary: Path, key: str) -> None:
        path = self.path / key
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        passing("blob.written")
        with self._guard:
            temporary.replace(path)
        passing("blob.renamed")

    def _together(self, work: Callable[[T], R], things: Sequence[T]) -> list[Future[R]]:
        """What came of doing this with each, when all are over."""
        if len(things) == 1:
            return [_done(work, things[0])]
        over = [self._threads.submit(work, one) for one in things]
        wait(over)
        return over

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="blobs")

    def settle(self, keys: Iterable[str]) -> None:
        """Fsync each folder that holds one of these names, once, and all at the same time.

        The folders above it follow the first time: whoever made it may have died before that.
        """
        if not self._durable:
            return
        with self._watched(), room_in(self.path):
            folders = sorted({(self.path / key).parent for key in keys})
            for synced in self._together(sync_folder, folders):
                synced.result()
            for folder in folders:
                if folder not in self._anchored:
                    for above in folder.relative_to(self.path).parents:
                        sync_folder(self.path / above)
                    self._anchored.add(folder)
        passing("blob.settled")

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return (self.path / key).is_file()

    def revive(self, key: str) -> bool:
        """As ``Objects.revive``: an earlier writer may have died before its fsync."""
        path = self.path / key
        try:
            with self._guard:
                os.utime(path)
            if self._durable:
                handle = os.open(path, os.O_RDONLY)
                try:
                    with self._watched(), room_in(self.path):
                        _sync_content(handle)
                finally:
                    os.close(handle)
        except FileNotFoundError:
            return False
        return True

    def size(self, key: str) -> int:
        """The size of a file in bytes."""
        return (self.path / key).stat().st_size

    def read(self, key: str) -> bytes:
        """All bytes of a file."""
        return (self.path / key).read_bytes()

    def remove_temporary(self, seconds: float, *, dry_run: bool) -> int:
        """Remove the temporary files of writers that were killed."""
        count = 0
        for path in self._temporary.iterdir():
            try:
                if time.time() - path.stat().st_mtime < seconds:
                    continue
                if not dry_run:
                    path.unlink()
            except FileNotFoundError:
                continue
            count += 1
        return count

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename is None:  # a write and a sync know their file by a number only
                error.filename = str(self.path)
            if error.errno == errno.EIO and self._on_failure is not None:
                self._on_failure(error)
            raise

    def _age_of(self, key: str) -> float:
        return time.time() - (self.path / key).stat().st_mtime

    def _move(self, key: str, to: str) -> None:
        target = self.path / to
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / key).replace(target)

    def _delete(self, key: str) -> None:
        (self.path / key).unlink(missing_ok=True)
