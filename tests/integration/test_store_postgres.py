"""What a store in PostgreSQL does when the database, its connection or its owner changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from copernicus.errors import BadSettings, ServerBusy
from copernicus.store import Store, StoreFailed
from copernicus.store.opening import GAP
from copernicus.store.postgres import PostgresDatabase
from support.postgres import Cluster, cluster
from support.stores import user

pytestmark = pytest.mark.postgres


def open_store(folder: Path, url: str, **options: object) -> Store:
    return Store.open(folder, create=True, database=lambda: PostgresDatabase(url, **options))


@pytest.fixture
def url() -> str:
    return cluster().new_database()


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """One that may be killed."""
    made = Cluster()
    yield made
    made.stop()


def names(store: Store) -> set[str]:
    return {known.name for known in store.users()}


def end_sessions(url: str) -> int:
    """Break every connection to the database, as a network does; how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return ended.fetchone()[0]


def test_a_second_server_is_refused(tmp_path, url):
    with open_store(tmp_path / "a", url), pytest.raises(BadSettings, match="another Copernicus"):
        open_store(tmp_path / "b", url)
    open_store(tmp_path / "b", url).close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nonsense", "no URL"),
        ("mysql://ann@example.org/cpc", "must begin with postgresql://"),
        ("postgresql://ann:hidden-word@127.0.0.1:1/cpc", "see that it runs"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(tmp_path, wrong, said):
    with pytest.raises(BadSettings, match=said) as caught:
        open_store(tmp_path, wrong)
    assert "hidden-word" not in str(caught.value)


def test_a_database_that_sorts_by_a_language_is_refused(tmp_path):
    url = cluster().new_database("LOCALE_PROVIDER icu", "ICU_LOCALE 'en-US'", "LOCALE 'C.UTF-8'")
    with pytest.raises(BadSettings, match="createdb"):
        open_store(tmp_path, url)


def test_a_lost_connection_is_made_again_and_nothing_is_lost(tmp_path, url):
    with open_store(tmp_path, url) as store:
        with store.transaction() as tx:
            tx.add_user(user("ann"))
        assert end_sessions(url) >= 1
        with pytest.raises(ServerBusy, match="nothing was changed"), store.transaction() as tx:
            tx.add_user(user("bob"))
        with store.transaction() as tx:
            tx.add_user(user("cid"))
        assert names(store) == {"ann", "cid"}


def test_a_connection_lost_within_a_transaction_takes_it_back(tmp_path, url):
    with open_store(tmp_path, url) as store:

        def write() -> None:
            with store.transaction() as tx:
                tx.add_user(user("ann"))
                end_sessions(url)
                tx.add_user(user("bob"))

        with pytest.raises(ServerBusy):
            write()
        assert names(store) == set()


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_that_broke_off_is_found_out(tmp_path, url, kept):
    """The answer to the commit is lost: after it was carried out, or before."""
    notices: list[str] = []
    with open_store(tmp_path, url, notice=notices.append) as store:
        connection = store.database._connected()
        session = connection.connection.dbapi_connection

        class Broken:
            """The driver's connection, which loses the answer to one commit."""

            def __getattr__(self, name: str) -> object:
                return getattr(session, name)

            def commit(self) -> None:
                if kept:
                    session.commit()
                session.close()
                raise psycopg.OperationalError("the connection is lost")

        def write() -> None:
            with store.transaction() as tx:
                tx.add_user(user("ann"))
                connection.connection.dbapi_connection = Broken()

        if kept:
            write()
        else:
            with pytest.raises(ServerBusy):
                write()
        assert names(store) == ({"ann"} if kept else set())
        [notice] = notices
        assert notice.endswith("was kept" if kept else "was not kept")
        with store.transaction() as tx:
            tx.add_user(user("bob"))


def test_a_server_whose_place_was_taken_writes_no_more(tmp_path, url):
    with open_store(tmp_path / "a", url) as first:
        # Its session is gone, and before it notices another one has started.
        end_sessions(url)
        with open_store(tmp_path / "b", url) as second, second.transaction() as tx:
            tx.add_user(user("ann"))
        with pytest.raises((ServerBusy, StoreFailed)), first.transaction() as tx:
            tx.add_user(user("bob"))
        with pytest.raises(StoreFailed, match="taken over"), first.transaction() as tx:
            tx.add_user(user("bob"))
        with pytest.raises(StoreFailed):
            first.users()


def test_a_killed_database_is_waited_for(tmp_path, own_cluster):
    url = own_cluster.new_database()
    with open_store(tmp_path, url) as store:
        with store.transaction() as tx:
            tx.add_user(user("ann"))
        own_cluster.kill()
        read: list[set[str]] = []
        reader = threading.Thread(target=lambda: read.append(names(store)))
        reader.start()
        own_cluster.start()
        reader.join(60)
        assert read == [{"ann"}]
        try:
            with store.transaction() as tx:
                tx.add_user(user("bob"))
        except ServerBusy:
            with store.transaction() as tx:
                tx.add_user(user("bob"))
        assert names(store) == {"ann", "bob"}


def test_a_database_that_does_not_come_back_is_told(tmp_path, own_cluster):
    url = own_cluster.new_database()
    with open_store(tmp_path, url, patience_s=0.1) as store:
        own_cluster.kill()
        with pytest.raises(ServerBusy, match="nothing was changed"):
            store.users()


def test_a_backup_opens_as_a_server_of_its_own(tmp_path, url):
    with open_store(tmp_path / "server", url) as store:
        with store.transaction() as tx:
            tx.add_user(user("ann"))
        (tmp_path / "copy").mkdir()
        store.backup(tmp_path / "copy" / "copernicus.db")
        with pytest.raises(BadSettings, match="exists already"):
            store.backup(tmp_path / "copy" / "copernicus.db")
    with Store.open(tmp_path / "copy") as copy:
        assert names(copy) == {"ann"}
        assert copy.restored
        assert copy.attempt_base == GAP


def test_an_older_dump_put_back_leaves_a_gap(tmp_path, url):
    open_store(tmp_path, url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        older = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    open_store(tmp_path, url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE meta SET value = %s WHERE key = 'epoch'", (older,))
    with open_store(tmp_path, url) as store:
        assert store.restored
        assert store.attempt_base == GAP


def test_a_newer_format_is_refused_untouched(tmp_path, url):
    open_store(tmp_path, url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'format'")
    with pytest.raises(BadSettings, match="newer version"):
        open_store(tmp_path, url)
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    assert found == ("999",)
