"""Snapshots on a real server: made beside it, used at the next start, ignored where damaged."""

import pytest

from copernicus.engine.core import fold
from copernicus.server import app, snapshots
from copernicus.server.embedded import EmbeddedServer
from copernicus.server.holdings import read_state
from copernicus.store.database import reader_engine
from copernicus.store.folder import DATABASE
from copernicus.store.reads import Reads
from copernicus.store.store import Store
from support.e2e import wait_until
from support.server_client import PASSWORD, User, add, define, echo_function, set_input
from support.world import check_fold


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A server that has taken a snapshot, with more in its journal since then."""
    monkeypatch.setattr(app, "_SNAPSHOTS_S", 0.1)
    monkeypatch.setattr(snapshots, "LEAST", 10)
    folder = tmp_path / "server"
    _, server = EmbeddedServer.make(folder, PASSWORD)
    with server:
        admin = User(server, "admin")
        project = admin.call("POST", "/v1/projects", {"name": "long"})["id"]
        admin.edit("long", define(echo_function()))
        for index in range(6):
            admin.edit("long", add(f"i{index}"), set_input(f"i{index}.in.text", str(index)))
        engine = reader_engine(folder / DATABASE)
        reads = Reads(engine.connect)
        taken = wait_until(lambda: reads.snapshot_position(project), "a snapshot")
        engine.dispose()
        monkeypatch.setattr(snapshots, "LEAST", 10_000)
        admin.edit("long", set_input("i0.in.text", "after it"))
        assert admin.get("/v1/projects/long")["position"] > taken
        admin.close()
    return folder


def shown(folder):
    with EmbeddedServer(folder) as server:
        admin = User(server, "admin")
        found = admin.get("/v1/projects/long/instances")
        value = admin.get("/v1/projects/long/value", path="i0.in.text")["value"]
        admin.close()
    return found, value


def test_what_is_read_from_a_snapshot_on_is_what_the_whole_journal_tells(folder):
    with Store.open(folder) as store:
        (record,) = store.projects()
        journal = list(store.load_project(record.id))
        position, _ = store.snapshot(record.id)
        assert 0 < position < record.position
        check_fold(read_state(store, record.id), journal)


def test_a_server_starts_the_same_with_one_without_and_with_a_damaged_one(folder):
    with_it = shown(folder)
    assert with_it[1] == "after it"
    with Store.open(folder) as store:
        (record,) = store.projects()
        position, state = store.snapshot(record.id)
        with store.transaction() as transaction:
            transaction.save_snapshot(record.id, position, state[:-100])
    assert shown(folder) == with_it


def test_one_that_does_not_fit_its_position_is_not_used(folder):
    with Store.open(folder) as store:
        (record,) = store.projects()
        position, state = store.snapshot(record.id)
        with store.transaction() as transaction:
            transaction.save_snapshot(record.id, position - 1, state)
        whole = fold(store.load_project(record.id))
        assert read_state(store, record.id).facts() == whole.facts()


@pytest.mark.parametrize(
    ("position", "taken", "due"),
    [(20_000, 0, False), (20_001, 0, True), (200_000, 160_000, False), (200_000, 149_999, True)],
)
def test_when_one_is_due(position, taken, due):
    assert snapshots.is_due(position, taken) is due
