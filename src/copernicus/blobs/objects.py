"""Objects by key over any obstore store: what the blob store needs from one, and no more.

Such a store (S3, GCS, Azure, memory) writes an object whole or not at all and has it for good
when the call returns; a folder is less kind (``folder.py``).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore

from copernicus.errors import BadSettings, ServerBusy

if TYPE_CHECKING:
    from obstore import ObjectMeta

FRESH_SECONDS = 600.0
"""An object younger than this needs no new sign of life when somebody asks for it."""

ASIDE = "damaged/"
_SIGNS = "fresh/"


class Entry(msgspec.Struct, frozen=True):
    """One stored object: its key, its size in bytes, the seconds since it was last wanted."""

    key: str
    size: int
    age: float


def _age(modified: datetime) -> float:
    return (datetime.now(UTC) - modified).total_seconds()


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise BadSettings(
            "the object store refuses these credentials; correct them in the settings"
        ) from error
    except BaseError as error:
        raise ServerBusy(
            f"the object store does not answer as it should ({type(error).__name__}); "
            "nothing was lost, try again"
        ) from error


class Objects:
    """Objects by key in an obstore store.

    Every method raises ``FileNotFoundError`` if there is no such object (unless it says what
    it does then), ``ServerBusy`` if the store cannot be reached or takes nothing now, and
    ``BadSettings`` if it refuses the credentials.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # Held while an object changes its name, its age or its existence, never during I/O
        # that waits for a disk to sync: so a sweep cannot remove what was just promised.
        self._guard = threading.Lock()

    def publish(self, key: str, data: bytes) -> None:
        """Store an object whole, replacing any; its *name* may need ``settle`` to last."""
        with _answering():
            self._store.put(key, data, use_multipart=False)

    def publish_all(self, several: Sequence[tuple[str, bytes]]) -> None:
        """Store some objects, as ``publish`` does each."""
        for key, data in several:
            self.publish(key, data)

    def settle(self, keys: Iterable[str]) -> None:
        """Return when the names of these objects are durable."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self._head(key)
        except FileNotFoundError:
            return False
        return True

    def revive(self, key: str) -> bool:
        """As ``exists``, and if so its content is durable and its age starts again."""
        try:
            if _age(self._head(key)["last_modified"]) < FRESH_SECONDS:
                return True
        except FileNotFoundError:
            return False
        # Cloud stores cannot touch an object, hence an empty one beside it.
        with self._guard:
            self.publish(_SIGNS + key, b"")
            return self.exists(key)

    def size(self, key: str) -> int:
        """The size of an object in bytes."""
        return self._head(key)["size"]

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        with _answering():
            return bytes(self._store.get(key).bytes())

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object below a prefix, in no order."""
        with _answering():
            for page in self._store.list(prefix):
                for meta in page:
                    yield Entry(meta["path"], meta["size"], _age(meta["last_modified"]))

    def read_or_set_aside(self, key: str, good: Callable[[bytes], bool]) -> bytes | None:
        """Read once more what looked damaged; if it still does, move it away and return None.

        What is moved away counts as missing, so that it is asked for and stored again.
        """
        with self._guard:
            data = self.read(key)
            if good(data):
                return data
            self._move(key, ASIDE + key)
            return None

    def remove_if_older(self, key: str, seconds: float) -> bool:
        """Remove an object unless it was wanted less than ``seconds`` ago."""
        with self._guard:
            try:
                if self._age_of(key) < seconds:
                    return False
            except FileNotFoundError:
                return False
            self._delete(key)
        return True

    def remove_temporary(self, seconds: float, *, dry_run: bool) -> int:
        """Remove what writers that died have left, if older than this; return how many."""
        del seconds, dry_run
        return 0

    def _head(self, key: str) -> ObjectMeta:
        with _answering():
            return self._store.head(key)

    def _age_of(self, key: str) -> float:
        age = _age(self._head(key)["last_modified"])
        with contextlib.suppress(FileNotFoundError):
            age = min(age, _age(self._head(_SIGNS + key)["last_modified"]))
        return age

    def _move(self, key: str, to: str) -> None:
        with _answering():
            self._store.rename(key, to, overwrite=True)

    def _delete(self, key: str) -> None:
        with _answering():
            self._store.delete(key)
            with contextlib.suppress(FileNotFoundError):
                self._store.delete(_SIGNS + key)
