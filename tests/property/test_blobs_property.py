"""Round trips through the blob store, for any bytes cut in any way."""

from __future__ import annotations

import io
import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from copernicus.blobs import CHUNK_SIZE, BlobStore, GrowingManifest, Manifest, manifest_of
from copernicus.blobs.chunks import check_manifest, split
from support.blobs import hexdigest

POOL = random.Random(7).randbytes(3 * CHUNK_SIZE + 17)
NEAR = st.sampled_from([0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE])
SIZES = NEAR | st.integers(0, len(POOL))
CUTS = st.lists(SIZES, max_size=6).map(sorted)

few = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module", params=["folder", "memory"])
def store(request, tmp_path_factory):
    if request.param == "memory":
        return BlobStore(MemoryStore())
    return BlobStore.in_folder(tmp_path_factory.mktemp("blobs"), durable=False)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@few
@given(start=st.integers(0, 50), size=SIZES, cuts=CUTS, ends=st.tuples(SIZES, SIZES))
def test_any_range_of_what_was_put_is_read(store, start, size, cuts, ends):
    data = POOL[start : start + size]
    manifest = store.put_stream(pieces(data, cuts))
    low, high = sorted(min(end, len(data)) for end in ends)
    assert b"".join(store.read(manifest.sha256, low, high)) == data[low:high]
    assert b"".join(store.read(manifest.sha256)) == data
    assert store.manifest(manifest.sha256) == manifest


@few
@given(size=SIZES, cuts=CUTS)
def test_every_way_to_a_manifest_gives_the_same_possible_one(size, cuts):
    data = POOL[:size]
    growing = GrowingManifest()
    for piece in pieces(data, cuts):
        growing.update(piece)
        check_manifest(growing.manifest())
    manifest = growing.manifest()
    assert manifest == manifest_of(io.BytesIO(data))
    assert (manifest.sha256, manifest.size) == (hexdigest(data), len(data))
    chunks = list(split(pieces(data, cuts)))
    assert b"".join(chunks) == data
    assert [(hexdigest(each), len(each)) for each in chunks] == [
        (chunk.sha256, chunk.size) for chunk in manifest.chunks
    ]


@few
@given(sizes=st.lists(SIZES, min_size=2, max_size=4).map(sorted))
def test_a_growing_file_shares_every_full_chunk_and_is_read_once(sizes):
    growing = GrowingManifest()
    before = growing.manifest()
    for size in sizes:
        after = growing.read_on(io.BytesIO(POOL[:size]))
        assert after == manifest_of(io.BytesIO(POOL[:size]))
        full = before.size // CHUNK_SIZE
        assert after.chunks[:full] == before.chunks[:full]
        before = after


@settings(few, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=5, unique=True),
    kept=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_a_sweep_keeps_exactly_what_is_referenced_whole(sizes, kept):
    store = BlobStore(MemoryStore())
    blobs: list[tuple[Manifest, bytes, bool]] = [
        (store.put_bytes(POOL[:size]), POOL[:size], keep)
        for size, keep in zip(sizes, kept, strict=False)
    ]
    referenced = {manifest.sha256 for manifest, _, keep in blobs if keep}
    store.sweep(referenced, older_than=0)
    assert store.check() == []
    needed = {chunk.sha256 for manifest, _, keep in blobs if keep for chunk in manifest.chunks}
    for manifest, data, keep in blobs:
        if keep:
            assert b"".join(store.read(manifest.sha256)) == data
        elif manifest.sha256 not in needed:
            assert not store.has(manifest.sha256)
    everything = [chunk.sha256 for manifest, _, _ in blobs for chunk in manifest.chunks]
    assert set(everything) - set(store.missing_chunks(everything)) == needed


@settings(few, max_examples=30)
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=5, unique=True),
    goes=st.lists(st.booleans(), min_size=5, max_size=5),
    needed=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_a_removal_takes_exactly_what_is_named_and_not_needed(sizes, goes, needed):
    store = BlobStore(MemoryStore())
    blobs = {store.put_bytes(POOL[:size]).sha256: POOL[:size] for size in sizes}
    these = {digest for digest, goes in zip(blobs, goes, strict=False) if goes}
    referenced = {digest for digest, needed in zip(blobs, needed, strict=False) if needed}
    chunks = {digest: {c.sha256 for c in store.manifest(digest).chunks} for digest in blobs}
    store.remove(these, referenced=referenced, older_than=0)
    assert store.check() == []
    left = [digest for digest in blobs if digest not in these or digest in referenced]
    in_use = set().union(*(chunks[digest] for digest in left))
    for digest, data in blobs.items():
        if digest in left:
            assert b"".join(store.read(digest)) == data
        elif digest not in in_use:
            assert not store.has(digest)
    everything = set().union(*chunks.values())
    assert everything - set(store.missing_chunks(everything)) == in_use
