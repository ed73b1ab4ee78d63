"""Large files between a worker and a server: sent in chunks, and never mixed up."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from copernicus.blobs import CHUNK_SIZE, BlobStore
from copernicus.calling.link import Link
from copernicus.calling.transfer import FileChanged
from copernicus.worker.folder import JobFolder
from copernicus.worker.identity import obtain_identity
from copernicus.worker.outputs import pending
from copernicus.worker.probe import Machine
from copernicus.worker.transfer import Transfer
from support.worker_server import ScriptedServer, scripted_server

DATA = random.Random(7).randbytes(3 * CHUNK_SIZE + 5)


def carried(server: ScriptedServer, folder: Path, *, spoil: bool) -> bytes:
    """A file of a job as it comes back; ``spoil``: it is changed once it has been hashed."""

    async def carry() -> bytes:
        made, work = folder / "made", folder / "work"
        for one in (made, work):
            one.mkdir(mode=0o700)
        (made / "big").write_bytes(DATA)
        bundle = server.bundle(folder / "b.cpc")
        identity = await obtain_identity(bundle, work, Machine((0,), 1000))
        link = Link(identity.bundle.urls, identity.bundle.server_id, identity.context())
        kept = BlobStore.in_folder(folder / "cache", durable=False)
        transfer = Transfer(link, kept, lambda _error, _delay: None)
        try:
            file = pending(JobFolder(made), "big")
            if spoil:
                (made / "big").write_bytes(DATA[: CHUNK_SIZE + 1] + DATA)
            await transfer.upload("p1.a.1#1", [file])
            await transfer.place("p1.a.1#1", JobFolder(work), "big", file.sha256, file.size, {})
            return (work / "big").read_bytes()
        finally:
            await link.close()

    return asyncio.run(carry())


def test_a_large_file_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    with scripted_server(tmp_path / "server") as server:
        assert carried(server, tmp_path, spoil=False) == DATA
        assert len(server.uploaded) == 4


def test_a_file_that_changes_while_it_is_sent_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    with scripted_server(tmp_path / "server") as server:
        with pytest.raises(FileChanged, match="changed while it was sent"):
            carried(server, tmp_path, spoil=True)
        found = [server.blobs.manifest(blob).size for blob in server.blobs.blobs()]
        assert all(size <= CHUNK_SIZE for size in found)
