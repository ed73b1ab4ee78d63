"""A backup of a running server opens as a server, is of one moment, and reuses no number."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from copernicus.errors import BadSettings
from copernicus.store import Store, backup_folder, upkeep
from copernicus.store.folder import DATABASE
from copernicus.store.opening import GAP
from support.store_writer import commit, last_committed
from support.store_writers import killed_after, writer


@pytest.fixture
def folder(tmp_path):
    """A server with keys, settings and files, that was killed."""
    folder = tmp_path / "server"
    killed_after(folder, 5)
    for name, content in {
        "keys/ca.key": b"secret",
        "server.toml": b"port = 1",
        "blobs/ab/cd": b"blob",
        "blobs/tmp/put.1": b"half a blob",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "keys/ca.key").chmod(0o600)
    return folder


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_backup_made_while_a_server_commits_is_of_one_moment(folder, tmp_path):
    with writer(folder) as process:
        acknowledged = int(process.stdout.readline())
        for number in range(3):
            backup_folder(folder, tmp_path / f"copy{number}")
            # The server went on, and goes on.
            assert process.stdout.readline()
    last = 0
    for number in range(3):
        with Store.open(tmp_path / f"copy{number}") as store:
            committed = last_committed(store)
            assert committed >= max(acknowledged, last)
            last = committed
    with Store.open(folder) as store:
        assert last_committed(store) >= last
        assert not store.restored


def test_a_backup_goes_on_where_it_was_with_fresh_numbers(folder, tmp_path):
    with Store.open(folder) as store:
        epoch = store.epoch
    backup_folder(folder, tmp_path / "copy")
    with Store.open(tmp_path / "copy") as store:
        assert (store.restored, store.epoch, store.attempt_base) == (True, epoch + GAP, GAP)
        commit(store, last_committed(store) + 1)
    with Store.open(tmp_path / "copy") as store:
        assert (store.restored, store.epoch, store.attempt_base) == (False, epoch + GAP + 1, GAP)
    backup_folder(tmp_path / "copy", tmp_path / "copy of it")
    with Store.open(tmp_path / "copy of it") as store:
        assert (store.restored, store.attempt_base) == (True, 2 * GAP)


@pytest.mark.parametrize("link_files", [False, True])
def test_a_backup_has_all_but_what_belongs_to_the_running_server(folder, tmp_path, link_files):
    copy = tmp_path / "copies/copy"
    backup_folder(folder, copy, link_files=link_files)
    assert files(copy) == ["blobs/ab/cd", DATABASE, "keys/ca.key", "server.toml"]
    assert (copy / "blobs/ab/cd").read_bytes() == b"blob"
    assert (copy / "keys/ca.key").stat().st_mode & 0o777 == 0o600
    assert copy.stat().st_mode & 0o777 == 0o700
    same = (copy / "blobs/ab/cd").samefile(folder / "blobs/ab/cd")
    assert same == link_files
    assert not (copy / "keys/ca.key").samefile(folder / "keys/ca.key")
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_a_backup_may_lie_inside_the_folder(folder):
    backup_folder(folder, folder / "backups/one")
    backup_folder(folder, folder / "backups/two")
    assert files(folder / "backups/one") == files(folder / "backups/two")
    backup_folder(folder, folder / "three")
    assert "server.toml" in files(folder / "three")


def test_a_database_is_copied_while_it_is_open(tmp_path):
    with Store.open(tmp_path / "server", create=True) as store:
        with store.transaction() as tx:
            tx.set_meta("a", "b")
        (tmp_path / "copy").mkdir()
        store.backup(tmp_path / "copy" / DATABASE)
        with pytest.raises(BadSettings, match="exists"):
            store.backup(tmp_path / "copy" / DATABASE)
        with store.transaction() as tx:
            tx.set_meta("a", "c")
    with Store.open(tmp_path / "copy") as copy:
        assert copy.meta("a") == "b"
        assert copy.restored


def test_files_are_not_swept_while_they_are_backed_up(folder, tmp_path):
    with ThreadPoolExecutor() as pool:
        with upkeep(folder):
            waiting = pool.submit(backup_folder, folder, tmp_path / "copy")
            with pytest.raises(BadSettings, match="being backed up"), upkeep(folder):
                pass
            assert not (tmp_path / "copy").exists()
        waiting.result()
    assert (tmp_path / "copy" / DATABASE).exists()


def test_what_cannot_be_backed_up_is_refused(folder, tmp_path):
    with pytest.raises(BadSettings, match="no server"):
        backup_folder(tmp_path / "none", tmp_path / "copy")
    with pytest.raises(BadSettings, match="exists"):
        backup_folder(folder, folder)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadSettings, match="cannot"):
        backup_folder(folder, tmp_path / "file" / "copy")
    (folder / DATABASE).write_bytes(b"no database")
    with pytest.raises(BadSettings, match="cannot copy"):
        backup_folder(folder, tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))
