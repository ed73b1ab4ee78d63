"""What a store does with folders that are not as they should be: it says so and changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

import copernicus.store
from copernicus.errors import BadSettings, InternalError
from copernicus.store import Store
from copernicus.store.database import plain_engine
from copernicus.store.folder import DATABASE
from copernicus.store.opening import GAP, bring_up_to_date
from copernicus.store.schema import FORMAT, METADATA
from copernicus.version import __version__
from support.store_writer import last_committed
from support.store_writers import killed_after
from support.stores import session


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "server"
    Store.open(folder, create=True).close()
    return folder


def change(folder, sql, *arguments):
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute(sql, arguments)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def refusal(folder, **options):
    """The message of a refusal that changed nothing."""
    before = content(folder)
    with pytest.raises(BadSettings) as caught:
        Store.open(folder, **options)
    assert content(folder) == before
    return caught.value.message


def test_there_must_be_a_server_or_the_wish_to_make_one(tmp_path):
    with pytest.raises(BadSettings, match="no server"):
        Store.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_new_folder_is_private(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with Store.open(folder) as store:
        with store.transaction() as tx:
            tx.set_meta("a", "b")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.glob(f"{DATABASE}*")}
    assert set(modes) == {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"}
    assert set(modes.values()) == {0o600}


def test_each_start_is_counted(folder):
    for epoch in (2, 3, 4):
        with Store.open(folder) as store:
            assert (store.epoch, store.restored, store.attempt_base) == (epoch, False, 0)
            assert store.meta("version") == __version__


def test_a_closed_store_frees_the_folder(folder):
    store = Store.open(folder)
    store.close()
    store.close()
    Store.open(folder).close()


def test_fault_09_two_stores_in_one_process_are_refused_too(folder):
    with Store.open(folder), pytest.raises(BadSettings, match=f"pid {os.getpid()}"):
        Store.open(folder)


def test_fault_15_a_newer_format_is_left_alone(folder):
    change(folder, "UPDATE meta SET value = ? WHERE key = 'format'", str(FORMAT + 1))
    change(folder, "UPDATE meta SET value = '9.1.0' WHERE key = 'version'")
    message = refusal(folder)
    assert "newer version: Copernicus 9.1.0" in message
    assert "upgrade" in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: os.truncate(file, 0),
        lambda file: os.truncate(file, 50),
        lambda file: os.truncate(file, 4096),
        lambda file: os.truncate(file, file.stat().st_size - 4096),
        lambda file: os.truncate(file, file.stat().st_size // 2 + 17),
        lambda file: file.write_bytes(b"not a database" * 1000),
        lambda file: file.write_bytes(file.read_bytes()[:4096] + bytes(file.stat().st_size - 4096)),
    ],
)
def test_fault_08_a_damaged_database_is_left_alone(folder, damage):
    damage(folder / DATABASE)
    message = refusal(folder)
    assert "damaged" in message
    assert "backup" in message
    assert refusal(folder, create=True) == message


def test_fault_08_a_database_truncated_under_its_log_is_left_alone(tmp_path):
    folder = tmp_path / "server"
    killed_after(folder, 40)
    assert (folder / f"{DATABASE}-wal").stat().st_size
    with closing(sqlite3.connect(folder / DATABASE)) as other:
        # A checkpoint moves the log into the file, which then is cut.
        other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        other.execute("INSERT INTO meta VALUES ('in', 'the log')")
        other.commit()
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
    (copy / f"{DATABASE}-shm").unlink()
    os.truncate(copy / DATABASE, 3 * 4096)
    before = {p.name: p.read_bytes() for p in copy.iterdir() if p.suffix in (".db", ".db-wal")}
    with pytest.raises(BadSettings, match="damaged"):
        Store.open(copy)
    assert {name: (copy / name).read_bytes() for name in before} == before


def test_fault_08_a_database_of_something_else_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    assert "damaged" in refusal(tmp_path)


def test_fault_08_a_lost_database_is_not_replaced_by_an_empty_one(folder):
    (folder / DATABASE).unlink()
    assert "missing" in refusal(folder, create=True)


def test_fault_10_an_older_database_that_was_put_back_is_noticed(tmp_path):
    folder = tmp_path / "server"
    Store.open(folder, create=True).close()
    shutil.copy(folder / DATABASE, tmp_path / "old.db")
    for _ in range(3):
        Store.open(folder).close()
    shutil.copy(tmp_path / "old.db", folder / DATABASE)
    with Store.open(folder) as store:
        assert (store.epoch, store.restored, store.attempt_base) == (4 + GAP, True, GAP)
    with Store.open(folder) as store:
        assert (store.epoch, store.restored, store.attempt_base) == (5 + GAP, False, GAP)


def test_the_migrations_make_the_tables_of_the_schema(folder):
    engine = plain_engine(folder / DATABASE)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_the_format_is_the_newest_migration():
    config = Config()
    scripts = Path(copernicus.store.__file__).parent / "migrations"
    config.set_main_option("script_location", str(scripts))
    assert ScriptDirectory.from_config(config).get_current_head() == f"{FORMAT:04}"


class Killed(BaseException):
    pass


def migrate(file, stop_before):
    """Migrate an empty database, and die before statement number ``stop_before``."""
    engine = plain_engine(file)
    seen = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(_connection, _cursor, statement, *_):
        seen.append(statement)
        if len(seen) == stop_before:
            raise Killed

    try:
        with engine.begin() as connection:
            bring_up_to_date(connection)
    finally:
        engine.dispose()
    return len(seen)


def test_fault_13_a_migration_happens_as_a_whole_or_not_at_all(tmp_path):
    statements = migrate(tmp_path / "whole.db", stop_before=None)
    assert statements > 20
    file = tmp_path / "cut.db"
    for number in range(1, statements + 1):
        with pytest.raises(Killed):
            migrate(file, stop_before=number)
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    migrate(file, stop_before=None)


def test_what_a_killed_creation_left_is_swept(tmp_path):
    (tmp_path / f"{DATABASE}.new").write_bytes(b"half")
    (tmp_path / f"{DATABASE}.new-journal").write_bytes(b"half")
    Store.open(tmp_path, create=True).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [DATABASE, "epoch", "lock"]


def test_a_changed_audit_entry_is_found(tmp_path):
    killed_after(tmp_path, 10)
    change(tmp_path, "UPDATE audit SET outcome = 'refused' WHERE number = 4")
    with Store.open(tmp_path) as store:
        assert store.check_audit().broken == 5
    change(tmp_path, "UPDATE audit SET outcome = 'done' WHERE number = 4")
    with Store.open(tmp_path) as store:
        assert last_committed(store) >= 10
    change(tmp_path, "DELETE FROM audit WHERE number = 7")
    with Store.open(tmp_path) as store:
        assert store.check_audit().broken == 8


def test_commits_are_made_durable_and_references_are_checked(folder):
    with Store.open(folder) as store, store.database._writer.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reference_to_nothing_is_refused(folder):
    with Store.open(folder) as store:
        with pytest.raises(InternalError, match="FOREIGN KEY"), store.transaction() as tx:
            tx.add_session(session("a", user="nobody"))
        with store.transaction() as tx:
            tx.set_meta("still", "works")
        assert store.meta("still") == "works"
