"""The blob store under rot, kills, power cuts and full disks."""

from __future__ import annotations

import errno
import io
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from copernicus.blobs import CHUNK_SIZE, BlobStore, DamagedBlob, manifest_of
from copernicus.blobs.objects import Objects
from copernicus.errors import ServerBusy
from support.blobs import chunk_file, everything, hexdigest
from support.mounts import small_disk

BIG = random.Random(1).randbytes(2 * CHUNK_SIZE + 12_345)
SMALL = b"a small file"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def local(folder):
    return BlobStore.in_folder(folder)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class TestDamage:
    def test_fault_07_a_flipped_byte_is_never_served_and_storing_again_mends_it(
        self, local, folder
    ):
        manifest = local.put_bytes(BIG)
        bad = manifest.chunks[1].sha256
        flip(chunk_file(folder, bad))
        served = []
        with pytest.raises(DamagedBlob, match=f"blob {manifest.sha256} .*chunk 2 of 3") as caught:
            served.extend(local.read(manifest.sha256))
        assert b"".join(served) == BIG[:CHUNK_SIZE]
        assert caught.value.code == "damaged"
        assert local.missing_chunks([bad]) == [bad]
        assert not local.has(manifest.sha256)
        assert [damage.sha256 for damage in local.check()] == [manifest.sha256]
        local.put_chunk(bad, BIG[CHUNK_SIZE : 2 * CHUNK_SIZE])
        assert everything(local, manifest.sha256) == BIG
        assert local.check() == []

    def test_fault_07_a_damaged_small_blob_is_told_from_one_that_never_was(self, local, folder):
        digest = local.put_bytes(SMALL).sha256
        flip(chunk_file(folder, digest))
        for _ in range(2):
            with pytest.raises(DamagedBlob, match=digest):
                everything(local, digest)
        assert [damage.sha256 for damage in local.check()] == [digest]
        local.sweep({digest}, older_than=0)
        assert [damage.sha256 for damage in local.check()] == [digest]
        local.put_bytes(SMALL)
        assert everything(local, digest) == SMALL
        assert local.check() == []

    def test_fault_07_a_missing_chunk_is_named(self, local, folder):
        manifest = local.put_bytes(BIG)
        gone = manifest.chunks[2].sha256
        chunk_file(folder, gone).unlink()
        with pytest.raises(DamagedBlob, match=rf"{gone}\) is missing"):
            everything(local, manifest.sha256)
        (damage,) = local.check()
        assert damage.sha256 == manifest.sha256
        assert damage.reason == f"1 of 3 chunks: {gone} is missing"

    @pytest.mark.parametrize("left", [b"", b"{}", b"\xff\xfe", b'{"sha256":'])
    def test_a_torn_manifest_is_damage_and_is_mended(self, local, folder, left):
        manifest = local.put_bytes(BIG)
        (folder / "manifests" / manifest.sha256[:2] / manifest.sha256).write_bytes(left)
        with pytest.raises(DamagedBlob, match="list of chunks"):
            local.manifest(manifest.sha256)
        assert [damage.sha256 for damage in local.check()] == [manifest.sha256]
        assert list(local.blobs()).count(manifest.sha256) == 1
        local.commit(manifest)
        assert everything(local, manifest.sha256) == BIG

    def test_a_chunk_torn_by_a_power_cut_is_mended_by_storing_it_again(self, local, folder):
        digest = local.put_bytes(SMALL).sha256
        chunk_file(folder, digest).write_bytes(b"")
        local.put_bytes(SMALL)
        assert everything(local, digest) == SMALL

    def test_commit_does_not_believe_a_damaged_chunk(self, local, folder):
        manifest = manifest_of(io.BytesIO(BIG))
        for index, chunk in enumerate(manifest.chunks):
            local.put_chunk(chunk.sha256, BIG[index * CHUNK_SIZE :][:CHUNK_SIZE])
        flip(chunk_file(folder, manifest.chunks[0].sha256))
        with pytest.raises(DamagedBlob):
            local.commit(manifest)
        assert not local.has(manifest.sha256)

    def test_damage_in_an_object_store(self):
        objects = MemoryStore()
        store = BlobStore(objects)
        digest = store.put_bytes(SMALL).sha256
        objects.put(f"chunks/{digest[:2]}/{digest}", b"a small fire")
        with pytest.raises(DamagedBlob, match=digest):
            everything(store, digest)
        assert not store.has(digest)
        store.put_bytes(SMALL)
        assert everything(store, digest) == SMALL


class TestDurability:
    def test_every_name_is_synced_after_its_content_and_before_the_answer(
        self, folder, monkeypatch
    ):
        """What a power cut keeps: synced files, under names whose folders were synced since."""
        events = []
        real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

        def spy(name):
            def call(fd):
                events.append(("sync", Path(f"/proc/self/fd/{fd}").readlink()))
                return real[name](fd)

            return call

        rename = Path.replace

        def replace(self, target):
            events.append(("rename", self, target))
            return rename(self, target)

        monkeypatch.setattr(os, "fsync", spy("fsync"))
        monkeypatch.setattr("copernicus.blobs.folder._sync_content", spy("fdatasync"))
        monkeypatch.setattr(Path, "replace", replace)
        store = BlobStore.in_folder(folder)
        together = [b"one", b"two", b"one"]
        for put in (
            lambda: store.put_bytes(BIG),
            lambda: store.put_bytes(SMALL),
            lambda: store.put_all(together),
        ):
            events.clear()
            put()
            renames = [(at, each) for at, each in enumerate(events) if each[0] == "rename"]
            assert renames
            for at, (_, source, target) in renames:
                assert ("sync", source) in events[:at]
                for above in (target.parent, target.parent.parent, folder):
                    assert ("sync", above) in events[at:]
        events.clear()
        store.put_bytes(b"another small one")
        assert len([each for each in events if each[0] == "sync"]) <= 4

    def test_a_name_that_another_process_left_unsynced_is_synced_before_it_is_promised(
        self, folder, monkeypatch
    ):
        digest = BlobStore.in_folder(folder, durable=False).put_bytes(SMALL).sha256
        synced = []
        monkeypatch.setattr("copernicus.blobs.folder.sync_folder", synced.append)
        store = BlobStore.in_folder(folder)
        assert store.has(digest)
        assert chunk_file(folder, digest).parent in synced
        synced.clear()
        assert store.has(digest)
        assert synced == []

    def test_files_are_for_this_user_only(self, local, folder):
        digest = local.put_bytes(SMALL).sha256
        assert stat.S_IMODE(chunk_file(folder, digest).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_fault_02_a_writer_killed_before_its_rename_leaves_only_what_is_swept(self, folder):
        script = """
            import os, pathlib, signal, sys
            from copernicus.blobs import BlobStore
            store = BlobStore.in_folder(pathlib.Path(sys.argv[1]))
            store.put_bytes(b"acknowledged")
            pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            store.put_bytes(b"not acknowledged")
        """
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(folder)], check=False, timeout=60
        )
        assert run.returncode == -signal.SIGKILL
        store = BlobStore.in_folder(folder)
        assert list(store.blobs()) == [hexdigest(b"acknowledged")]
        assert store.check() == []
        assert len(list((folder / "tmp").iterdir())) == 1
        assert store.sweep({hexdigest(b"acknowledged")}).temporary == 0
        assert store.sweep({hexdigest(b"acknowledged")}, older_than=0).temporary == 1
        assert list((folder / "tmp").iterdir()) == []
        assert everything(store, hexdigest(b"acknowledged")) == b"acknowledged"

    def test_fault_04_a_full_disk_refuses_and_loses_nothing(self, tmp_path):
        with small_disk(tmp_path / "disk", megabytes=4) as disk:
            store = BlobStore.in_folder(disk / "blobs")
            first = store.put_bytes(BIG)
            with pytest.raises(ServerBusy, match=r"no space left.*nothing was lost") as caught:
                store.put_bytes(random.Random(2).randbytes(4 * CHUNK_SIZE))
            assert str(disk / "blobs") in caught.value.message
            several = [random.Random(number).randbytes(60_000) for number in range(100)]
            with pytest.raises(ServerBusy, match=r"no space left.*nothing was lost"):
                store.put_all(several)
            with pytest.raises(ServerBusy, match=str(disk)):
                store.export(first.sha256, disk / "copy")
            assert everything(store, first.sha256) == BIG
            assert list((disk / "blobs" / "tmp").iterdir()) == []
            store.sweep({first.sha256}, older_than=0)
            assert store.check() == []
            again = random.Random(3).randbytes(CHUNK_SIZE)
            assert everything(store, store.put_bytes(again).sha256) == again


class TestObjectStore:
    """Through ``Objects`` over a folder without our own writing: its files can be made old."""

    @pytest.fixture
    def objects(self, folder):
        folder.mkdir()
        return Objects(LocalStore(folder))

    def test_being_asked_for_renews_the_age_of_an_object(self, objects, folder):
        for key in ("chunks/a", "chunks/b"):
            objects.publish(key, SMALL)
            os.utime(folder / key, (1, 1))
        assert objects.revive("chunks/a")
        assert not objects.revive("chunks/c")
        assert not objects.remove_if_older("chunks/a", 3600)
        assert objects.remove_if_older("chunks/b", 3600)
        assert not objects.remove_if_older("chunks/b", 3600)
        assert objects.read("chunks/a") == SMALL
        assert [entry.key for entry in objects.entries("chunks/")] == ["chunks/a"]
        assert objects.remove_if_older("chunks/a", 0)
        assert not any(path.is_file() for path in folder.rglob("*"))

    def test_one_that_cannot_be_reached_is_busy(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
            store = BlobStore(
                S3Store(
                    "bucket",
                    endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}",
                    access_key_id="key",
                    secret_access_key="do not show me",
                    region="nowhere",
                    client_options={"allow_http": True},
                    retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
                )
            )
            for ask in (lambda: store.put_bytes(SMALL), lambda: store.has("0" * 64), store.check):
                with pytest.raises(ServerBusy, match=r"object store.*nothing was lost") as caught:
                    ask()
                assert "do not show me" not in str(caught.value)


def test_a_sweep_never_takes_what_was_promised_while_it_ran(folder):
    writer = BlobStore.in_folder(folder, durable=False)
    digests = [writer.put_bytes(b"%d" % number).sha256 for number in range(400)]
    for digest in digests:
        os.utime(chunk_file(folder, digest), (1, 1))
    store = BlobStore.in_folder(folder, durable=False)
    with ThreadPoolExecutor(2) as threads:
        swept = threads.submit(store.sweep, frozenset())
        answers = threads.submit(lambda: [store.has(digest) for digest in reversed(digests)])
        promised = [
            digest
            for digest, there in zip(reversed(digests), answers.result(), strict=True)
            if there
        ]
    assert swept.result().chunks == len(digests) - len(promised)
    assert set(store.blobs()) == set(promised)


def test_other_failures_of_the_disk_are_not_called_a_full_one(local, monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("copernicus.blobs.folder._sync_content", fail)
    with pytest.raises(OSError, match="Input/output error"):
        local.put_bytes(SMALL)
    with pytest.raises(OSError, match="Input/output error"):
        local.put_all([b"one", b"two", b"three"])
    assert not any(path.is_file() for path in local._objects.path.rglob("*"))
