"""What a store does when the disk is full, and when it fails."""

from __future__ import annotations

import resource
import threading
from itertools import count

import pytest

from copernicus.errors import BadSettings, ServerBusy
from copernicus.store import Store, StoreFailed
from support.mounts import fill, small_disk
from support.store_writer import commit, last_committed
from support.store_writers import killed_after, writer
from support.stores import created, entries, project


def commits_until_full(store, start):
    for n in count(start):
        try:
            commit(store, n)
        except ServerBusy:
            return n
    raise AssertionError


def test_fault_04_a_full_disk_refuses_loses_nothing_and_resumes(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        with Store.open(disk / "server", create=True) as store:
            with store.transaction() as tx:
                tx.add_project(project())
                tx.append("p-villin", entries([created()]))
            filler = fill(disk)
            refused = commits_until_full(store, 1)
            assert last_committed(store) == refused - 1
            with pytest.raises(ServerBusy, match="full"):
                commit(store, refused)
            filler.unlink()
            for n in range(refused, refused + 20):
                commit(store, n)
            assert last_committed(store) == refused + 19
        with Store.open(disk / "server") as store:
            assert last_committed(store) == refused + 19
            fill(disk)
            with pytest.raises(BadSettings, match="cannot copy"):
                store.backup(disk / "copy.db")
            assert sorted(p.name for p in disk.iterdir()) == ["filler", "server"]


def test_fault_04_a_full_disk_lets_no_server_start_and_harms_none(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        Store.open(disk / "server", create=True).close()
        filler = fill(disk)
        for folder in (disk / "server", disk / "new"):
            with pytest.raises((ServerBusy, BadSettings)):
                Store.open(folder, create=True)
        filler.unlink()
        for folder in (disk / "server", disk / "new"):
            with Store.open(folder, create=True) as store:
                assert not store.restored


def test_fault_06_after_a_failed_write_nothing_more_is_written(tmp_path):
    killed_after(tmp_path, 1)
    with writer(tmp_path) as process:
        acknowledged = int(process.stdout.readline())
        # From here on each write that makes a file longer fails, though the disk has room.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (65536, 65536))
        # Not ``communicate`` at once: what this stream has read ahead is known to it alone.
        rest = process.stdout.read()
        _, errors = process.communicate(timeout=60)
    assert errors.startswith("store_failed: ")
    assert "SQLITE_IOERR_WRITE" in errors
    acknowledged = int(rest.split()[-1]) if rest else acknowledged
    with Store.open(tmp_path) as store:
        assert last_committed(store) == acknowledged


def test_fault_06_a_store_that_failed_stays_so(tmp_path):
    with Store.open(tmp_path, create=True) as store:
        with store.transaction() as tx:
            tx.set_meta("a", "b")
        log = tmp_path / "copernicus.db-wal"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
        try:
            with pytest.raises(StoreFailed, match="check the disk"), store.transaction() as tx:
                tx.set_meta("a", "c" * 10**6)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.set_meta("a", "c")
        with pytest.raises(StoreFailed):
            store.meta("a")
    with Store.open(tmp_path) as store:
        assert store.meta("a") == "b"


def test_fault_12_without_a_free_file_handle_reads_are_refused_and_writes_go_on(tmp_path):
    with Store.open(tmp_path, create=True) as store:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(ServerBusy, match="ulimit"):
                store.meta("a")
            with store.transaction() as tx:
                tx.set_meta("a", "b")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert store.meta("a") == "b"


def test_a_closed_store_says_so(tmp_path):
    store = Store.open(tmp_path, create=True)
    store.close()
    with pytest.raises(StoreFailed, match="closed"):
        store.users()


def test_threads_read_while_one_writes(tmp_path):
    with Store.open(tmp_path, create=True) as store:
        with store.transaction() as tx:
            tx.add_project(project())
            tx.append("p-villin", entries([created()]))
        stop = threading.Event()
        problems = []

        def read():
            seen = 0
            while not stop.is_set():
                position = store.project("p-villin").position
                newest = store.journal("p-villin", since=position - 1)
                if position < seen or not newest or newest[0].position != position:
                    problems.append((seen, position, newest))
                seen = position

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for n in range(1, 150):
            commit(store, n)
        stop.set()
        for thread in threads:
            thread.join()
        assert problems == []
        assert last_committed(store) == 149
