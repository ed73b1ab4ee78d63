"""A store and its files under load: ``python -m support.power_writer FOLDER RECORD``.

Transaction n commits what ``store_writer`` commits, and names a file that was stored before it.
What was acknowledged is noted in the record of the disk.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from copernicus.blobs import BlobStore
from copernicus.store import Entry, Store
from support.power import acknowledge
from support.store_writer import PROJECT, commit
from support.stores import created, project

LAST = 60
LARGE_EVERY = 20


def content(n: int) -> bytes:
    """The file of transaction ``n``; some are of several chunks."""
    luck = random.Random(n)
    size = 1_100_000 if n % LARGE_EVERY == 2 else luck.choice((0, 100, 5_000, 40_000))
    return luck.randbytes(size) + str(n).encode()


def begin(store: Store) -> None:
    """The project that all transactions are of."""
    with store.transaction() as tx:
        tx.add_project(project())
        tx.append(PROJECT, [Entry(1, 1, 1.0, created())])


def write(store: Store, blobs: BlobStore, n: int) -> None:
    """Transaction ``n``, and before it the one that names its file."""
    digest = blobs.put_bytes(content(n)).sha256
    with store.transaction() as tx:
        tx.set_meta(f"file{n}", digest)
    commit(store, n)


def main(folder: Path, record: Path) -> None:
    handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Store.open(folder / "server", create=True) as store:
        blobs = BlobStore.in_folder(folder / "server" / "blobs")
        begin(store)
        for n in range(1, LAST + 1):
            write(store, blobs, n)
            acknowledge(handle, n)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
