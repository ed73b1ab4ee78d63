"""What every blob store promises, in a folder and in an object store."""

from __future__ import annotations

import io
import os
import random
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from obstore.store import LocalStore, MemoryStore

from copernicus.blobs import (
    CHUNK_SIZE,
    BlobStore,
    Chunk,
    DamagedBlob,
    GrowingManifest,
    Manifest,
    manifest_of,
)
from copernicus.errors import BadSettings, BadValue, Conflict, NotFound
from support.blobs import chunk_file, everything, hexdigest
from support.s3 import s3_server

BIG = random.Random(1).randbytes(2 * CHUNK_SIZE + 12_345)
SMALL = b"a small file"
NONE = frozenset[str]()


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as found:
        yield found


@pytest.fixture(params=["folder", "folder, not durable", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "memory":
        return BlobStore(MemoryStore())
    if request.param == "s3":
        return BlobStore(request.getfixturevalue("bucket").store(tmp_path.name))
    return BlobStore.in_folder(tmp_path / "blobs", durable=request.param == "folder")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def local(folder):
    return BlobStore.in_folder(folder)


@pytest.mark.parametrize("data", [b"", SMALL, BIG[:CHUNK_SIZE], BIG[: CHUNK_SIZE + 1], BIG])
def test_what_is_put_is_read(store, data):
    manifest = store.put_bytes(data)
    assert manifest == manifest_of(io.BytesIO(data)) == store.manifest(manifest.sha256)
    assert manifest.sha256 == hexdigest(data)
    assert store.has(manifest.sha256)
    assert everything(store, manifest.sha256) == data
    assert list(store.blobs()) == [manifest.sha256]
    assert store.check() == []


def test_many_are_put_at_once_the_same_ones_once(store):
    several = [SMALL, b"", BIG, SMALL, b"another", SMALL]
    store.put_all(several)
    assert set(store.blobs()) == {hexdigest(data) for data in several}
    assert [everything(store, hexdigest(data)) for data in several] == several
    assert store.check() == []


def test_what_was_damaged_meanwhile_is_mended_when_it_is_put_again(local, folder):
    local.put_all([SMALL])
    chunk_file(folder, hexdigest(SMALL)).write_bytes(b"rotten")
    local.put_all([SMALL])
    assert everything(local, hexdigest(SMALL)) == SMALL


def test_ranges_are_cut_as_slices(store):
    digest = store.put_bytes(BIG).sha256
    for start, end in [(0, 0), (5, 9), (CHUNK_SIZE - 1, CHUNK_SIZE + 1), (CHUNK_SIZE, None)]:
        assert b"".join(store.read(digest, start, end)) == BIG[start:end]
    assert b"".join(store.read(digest, 7, len(BIG) + 99)) == BIG[7:]
    assert b"".join(store.read(digest, len(BIG))) == b""


@pytest.mark.parametrize(("start", "end"), [(-1, None), (4, 3), (len(SMALL) + 1, None)])
def test_a_range_outside_the_blob_is_refused_at_once(store, start, end):
    digest = store.put_bytes(SMALL).sha256
    with pytest.raises(BadValue, match=digest):
        store.read(digest, start, end)


def test_chunks_then_commit(store):
    manifest = manifest_of(io.BytesIO(BIG))
    wanted = [chunk.sha256 for chunk in manifest.chunks]
    assert store.missing_chunks([*wanted, wanted[0]]) == wanted
    with pytest.raises(Conflict, match="lacks 3 of its chunks"):
        store.commit(manifest)
    for index, digest in enumerate(wanted):
        assert not store.has(manifest.sha256)
        store.put_chunk(digest, BIG[index * CHUNK_SIZE :][:CHUNK_SIZE])
        store.put_chunk(digest, BIG[index * CHUNK_SIZE :][:CHUNK_SIZE])
        assert store.missing_chunks(wanted) == wanted[index + 1 :]
    store.commit(manifest)
    store.commit(manifest)
    assert everything(store, manifest.sha256) == BIG


def test_a_single_chunk_needs_no_commit_but_may_have_one(local, folder):
    manifest = manifest_of(io.BytesIO(SMALL))
    local.put_chunk(manifest.sha256, SMALL)
    assert local.has(manifest.sha256)
    local.commit(manifest)
    assert local.manifest(manifest.sha256) == manifest
    assert not (folder / "manifests").exists()


def test_wrong_bytes_are_refused(store):
    digest = hexdigest(SMALL)
    with pytest.raises(BadValue, match=f"chunk {digest} have another SHA-256"):
        store.put_chunk(digest, SMALL + b"!")
    with pytest.raises(BadValue, match="at most"):
        store.put_chunk(hexdigest(BIG), BIG)
    assert not store.has(digest)
    assert list(store.blobs()) == []


def test_chunks_in_another_order_are_another_blob(store):
    manifest = store.put_bytes(BIG[: 2 * CHUNK_SIZE])
    lie = Manifest(hexdigest(b"else"), manifest.size, manifest.chunks[::-1])
    with pytest.raises(BadValue, match="make up another one"):
        store.commit(lie)
    assert not store.has(lie.sha256)


@pytest.mark.parametrize(
    "digest", ["", "../" * 22, "A" * 64, "0" * 63, "0" * 65, "0" * 63 + "\n", "/etc/passwd", 7]
)
def test_only_a_sha256_becomes_a_path(store, digest):
    for ask in (store.has, store.manifest, store.read, lambda d: store.missing_chunks([d])):
        with pytest.raises(BadValue, match="not a SHA-256"):
            ask(digest)
    with pytest.raises(BadValue, match="not a SHA-256"):
        store.put_chunk(digest, b"")


ONE, TWO = hexdigest(b"1"), hexdigest(b"2")
IMPOSSIBLE = {
    "no chunks": Manifest(ONE, 0, ()),
    "sum": Manifest(ONE, CHUNK_SIZE + 2, (Chunk(ONE, CHUNK_SIZE), Chunk(TWO, 1))),
    "short chunk inside": Manifest(ONE, 3, (Chunk(ONE, 2), Chunk(TWO, 1))),
    "empty last": Manifest(ONE, CHUNK_SIZE, (Chunk(ONE, CHUNK_SIZE), Chunk(TWO, 0))),
    "negative": Manifest(ONE, CHUNK_SIZE - 1, (Chunk(ONE, CHUNK_SIZE), Chunk(TWO, -1))),
    "too long": Manifest(ONE, CHUNK_SIZE + 1, (Chunk(ONE, CHUNK_SIZE + 1),)),
    "only chunk of another": Manifest(ONE, 1, (Chunk(TWO, 1),)),
    "bad hash": Manifest(ONE, 1, (Chunk("../x", 1),)),
}


@pytest.mark.parametrize("manifest", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_manifest_is_refused(store, manifest):
    with pytest.raises(BadValue):
        store.commit(manifest)


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFound, match=ONE):
        store.manifest(ONE)
    with pytest.raises(NotFound, match=ONE):
        store.read(ONE)
    assert not store.has(ONE)


def test_a_file_that_grew_shares_its_full_chunks(store, tmp_path):
    path = tmp_path / "traj.xtc"
    path.write_bytes(BIG)
    before = store.put_file(path)
    growing = GrowingManifest()
    with path.open("rb") as file:
        assert growing.read_on(file) == before
    with path.open("ab") as file:
        file.write(BIG[:CHUNK_SIZE])
    with path.open("rb") as file:
        after = growing.read_on(file)
    assert after.chunks[:2] == before.chunks[:2]
    assert store.missing_chunks([chunk.sha256 for chunk in after.chunks]) == [
        chunk.sha256 for chunk in after.chunks[2:]
    ]
    assert store.put_file(path) == after


def test_export_replaces_a_file_whole_or_not_at_all(store, tmp_path):
    target = tmp_path / "out.gro"
    target.write_bytes(b"old")
    store.export(store.put_bytes(BIG).sha256, target)
    assert target.read_bytes() == BIG
    with pytest.raises(NotFound):
        store.export(ONE, target)
    assert target.read_bytes() == BIG
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.gro"]


def test_a_failed_export_leaves_the_old_file_and_no_other(local, folder, tmp_path):
    target = tmp_path / "out.gro"
    target.write_bytes(b"old")
    manifest = local.put_bytes(BIG)
    chunk_file(folder, manifest.chunks[1].sha256).unlink()
    with pytest.raises(DamagedBlob):
        local.export(manifest.sha256, target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.gro"]


def test_many_threads_put_and_read_the_same(store):
    def work(_: int) -> set[Manifest]:
        made = {store.put_bytes(BIG)}
        for start in range(8):
            data = BIG[start : start + 2000]
            made.add(store.put_bytes(data))
            assert everything(store, hexdigest(data)) == data
        return made

    with ThreadPoolExecutor(6) as threads:
        made = set().union(*threads.map(work, range(6)))
    assert len(made) == 9
    assert store.check() == []


class TestSweep:
    def test_only_what_is_unreferenced_goes(self, store):
        kept = store.put_bytes(BIG)
        sharing = store.put_bytes(BIG[: 2 * CHUNK_SIZE] + b"another end")
        small, loose = store.put_bytes(SMALL), store.put_bytes(b"loose")
        referenced = {kept.sha256, small.sha256}
        dry = store.sweep(referenced, older_than=0, dry_run=True)
        assert store.has(sharing.sha256)
        assert store.has(loose.sha256)
        swept = store.sweep(referenced, older_than=0)
        assert swept == dry
        assert (swept.manifests, swept.chunks, swept.size) == (1, 2, len("another endloose"))
        assert everything(store, kept.sha256) == BIG
        assert everything(store, small.sha256) == SMALL
        assert not store.has(sharing.sha256)
        assert not store.has(loose.sha256)
        assert store.sweep(referenced, older_than=0).chunks == 0
        assert store.check() == []

    def test_what_is_young_stays(self, store):
        digest = store.put_bytes(BIG).sha256
        assert store.sweep(NONE).chunks == 0
        assert store.has(digest)

    def test_what_was_asked_for_of_late_stays(self, folder):
        data = [b"asked for", b"not asked for"]
        old = [BlobStore.in_folder(folder).put_bytes(each).sha256 for each in data]
        for digest in old:
            os.utime(chunk_file(folder, digest), (1, 1))
        later = BlobStore.in_folder(folder)
        assert later.has(old[0])
        after_a_restart = BlobStore.in_folder(folder)
        assert after_a_restart.sweep(NONE).chunks == 1
        assert later.has(old[0])
        assert not later.has(old[1])

    def test_a_jump_of_the_clock_takes_nothing_that_was_just_stored(self, local, folder):
        digest = local.put_bytes(SMALL).sha256
        os.utime(chunk_file(folder, digest), (1, 1))
        assert local.sweep(NONE).chunks == 0
        assert local.has(digest)

    def test_chunks_without_their_blob_go(self, store):
        store.put_chunk(hexdigest(SMALL), SMALL)
        assert store.sweep(NONE, older_than=0).chunks == 1

    def test_a_manifest_that_cannot_be_read_stops_it_before_anything_goes(self, local, folder):
        kept, loose = local.put_bytes(BIG), local.put_bytes(SMALL)
        (folder / "manifests" / kept.sha256[:2] / kept.sha256).write_bytes(b"{")
        with pytest.raises(DamagedBlob, match=kept.sha256):
            local.sweep({kept.sha256}, older_than=0)
        assert local.has(loose.sha256)
        assert not local.has(kept.sha256)
        local.put_bytes(BIG)
        assert local.sweep({kept.sha256}, older_than=0).chunks == 1
        assert everything(local, kept.sha256) == BIG


class TestRemove:
    def test_only_what_is_named_goes_and_what_shares_its_chunks_stays_whole(self, store):
        gone, small = store.put_bytes(BIG), store.put_bytes(SMALL)
        sharing = store.put_bytes(BIG[: 2 * CHUNK_SIZE] + b"another end")
        # Itself a file, and the end of one that goes.
        tail = store.put_bytes(BIG[2 * CHUNK_SIZE :])
        loose = store.put_bytes(b"loose")
        these = {gone.sha256, small.sha256}
        store.remove(these, referenced={tail.sha256}, older_than=0)
        assert not store.has(gone.sha256)
        assert not store.has(small.sha256)
        for kept in (sharing, tail, loose):
            assert store.has(kept.sha256)
        assert everything(store, tail.sha256) == BIG[2 * CHUNK_SIZE :]
        assert store.check() == []

    def test_what_is_referenced_or_young_or_not_here_stays_as_it_is(self, store):
        large, small = store.put_bytes(BIG), store.put_bytes(SMALL)
        these = {large.sha256, small.sha256, hexdigest(b"never here")}
        store.remove(these, referenced=these, older_than=0)
        store.remove(these, referenced=NONE, older_than=60)
        assert everything(store, large.sha256) == BIG
        assert everything(store, small.sha256) == SMALL

    def test_a_manifest_that_cannot_be_read_stops_it_before_anything_goes(self, local, folder):
        kept, small = local.put_bytes(BIG), local.put_bytes(SMALL)
        (folder / "manifests" / kept.sha256[:2] / kept.sha256).write_bytes(b"{")
        with pytest.raises(DamagedBlob, match=kept.sha256):
            local.remove({small.sha256}, referenced=NONE, older_than=0)
        assert local.has(small.sha256)


def test_a_local_store_needs_a_folder():
    with pytest.raises(BadSettings, match="prefix"):
        BlobStore(LocalStore())


def test_sha256_of_the_empty_blob(store):
    assert store.put_bytes(b"").sha256 == sha256().hexdigest()
