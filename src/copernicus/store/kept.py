"""What a server keeps beside journals and queue: values of a kind, each as a setting by its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from copernicus.store.reads import Reads
from copernicus.store.transaction import Transaction

T = TypeVar("T")


class Kept(Generic[T]):
    """The settings of one kind, whose keys begin with ``prefix``."""

    def __init__(self, prefix: str, kind: type[T]) -> None:
        self._prefix = prefix
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, reads: Reads) -> dict[str, T]:
        """All of them, from the store, by what follows the prefix."""
        return {
            key.removeprefix(self._prefix): self._decoder.decode(value)
            for key, value in reads.metas(self._prefix).items()
        }

    def keep(self, key: str, value: T) -> Callable[[Transaction], None]:
        """What stores one, for ``Batch.write``."""
        text = msgspec.json.encode(value).decode()
        return lambda transaction: transaction.set_meta(f"{self._prefix}{key}", text)

    def drop(self, key: str) -> Callable[[Transaction], None]:
        """What removes one."""
        return lambda transaction: transaction.drop_meta(f"{self._prefix}{key}")
