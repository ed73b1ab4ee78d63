"""A server's database in PostgreSQL: made there, moved there and back, backed up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from copernicus.errors import BadSettings, Conflict
from copernicus.model.events import InputSet
from copernicus.model.network import Literal
from copernicus.server.database import open_store
from copernicus.server.folder import init_server, settings_of
from copernicus.server.migrating import back_up, migrate
from copernicus.settings import load_settings, with_setting
from copernicus.store import Store
from copernicus.store.folder import DATABASE
from support.postgres import cluster
from support.stores import attempt, created, entries, job, project, session, user, worker

pytestmark = pytest.mark.postgres
PASSWORD = "correct horse battery staple"


def opened(folder: Path) -> Store:
    return open_store(folder, settings_of(folder))


def fill(folder: Path) -> None:
    """Something in most tables, and more of the journal than one page."""
    values = [InputSet("run", "n", Literal(n)) for n in range(2500)]
    with opened(folder) as store, store.transaction() as tx:
        tx.add_user(user("ann"))
        tx.add_session(session("s" * 64))
        tx.add_project(project())
        tx.append("p-villin", entries([created(), *values]))
        first = job(1)
        tx.save_rows([first, attempt(first, 1)])
        tx.save_worker(worker())
        tx.save_snapshot("p-villin", 7, b"\0\xff")
        tx.audit(at=1.0, actor="ann", source="", action="x", object="y", outcome="done")


def content(folder: Path) -> object:
    with opened(folder) as store:
        events = list(store.load_project("p-villin"))
        live = list(store.live_jobs()), store.live_attempts(), store.workers(), store.users()
        return events, live, store.snapshot("p-villin"), store.audit_log(), store.check_audit()


@pytest.fixture
def folder(tmp_path):
    init_server(tmp_path / "server", ["127.0.0.1"], PASSWORD)
    fill(tmp_path / "server")
    return tmp_path / "server"


def test_a_server_moves_to_postgresql_and_back_with_everything(folder):
    before = content(folder)
    with (folder / "server.toml").open("a") as settings:
        settings.write("# a remark of the administrator\n")
    url = cluster().new_database()
    told: dict[str, int] = {}

    def hear(table: str, rows: int) -> None:
        told[table] = told.get(table, 0) + rows

    planned = migrate(folder, url, dry_run=True)
    assert content(folder) == before
    counts = migrate(folder, url, told=hear)
    assert counts["journal"] == told["journal"] == 2501
    assert {**planned, "meta": 0} == {**counts, "meta": 0}
    assert settings_of(folder).database == url
    assert "a remark of the administrator" in (folder / "server.toml").read_text()
    assert not (folder / DATABASE).exists()
    assert content(folder) == before

    with pytest.raises(Conflict, match="there already"):
        migrate(folder, url)
    migrate(folder, "sqlite")
    assert settings_of(folder).database == ""
    assert content(folder) == before

    with pytest.raises(BadSettings, match="holds a server already"):
        migrate(folder, url)
    stale = load_settings(folder, {"database": url})
    with pytest.raises(BadSettings, match="moved to another database"):
        open_store(folder, stale)


def test_a_database_in_use_or_not_empty_is_no_target(folder, tmp_path):
    url = cluster().new_database()
    init_server(tmp_path / "other", ["127.0.0.1"], PASSWORD, {"database": url})
    with pytest.raises(BadSettings, match="holds a server already"):
        migrate(folder, url)
    with opened(tmp_path / "other"), pytest.raises(BadSettings, match="another Copernicus"):
        migrate(folder, url)
    with opened(folder), pytest.raises(BadSettings, match=f"pid {os.getpid()}"):
        migrate(folder, cluster().new_database())


def test_a_backup_of_a_server_in_postgresql_opens_without_one(folder, tmp_path):
    before = content(folder)
    migrate(folder, cluster().new_database())
    with opened(folder):
        back_up(folder, tmp_path / "copy")
    assert settings_of(tmp_path / "copy").database == ""
    with opened(tmp_path / "copy") as store:
        assert store.restored
    assert content(tmp_path / "copy") == before
    assert content(folder) == before


def test_the_command_says_what_it_moved(folder):
    url = cluster().new_database()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "copernicus", "server", *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    told = json.loads(run("migrate-to", url, folder, "--dry-run", "--json").stdout)
    assert told["dry_run"]
    assert told["rows"]["journal"] == 2501
    moved = run("migrate-to", url, folder)
    assert moved.returncode == 0, moved.stderr
    assert "were moved" in moved.stdout
    checked = run("check", folder)
    assert "the database opens" in checked.stdout
    refused = run("migrate-to", "mysql://x@y/z", folder)
    assert refused.returncode == 1
    assert "postgresql://" in refused.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'database = "x"\n'),
        ("host = 'a'\n", "host = 'a'\ndatabase = \"x\"\n"),
        ("# why\ndatabase = 'old'  # where\nhost = 'a'\n", "# why\ndatabase = \"x\"\nhost = 'a'\n"),
    ],
)
def test_one_setting_is_changed_and_all_else_stays(text, expected):
    assert with_setting(text, "database", "x").lstrip("\n") == expected


def test_a_setting_over_several_lines_is_left_to_people():
    with pytest.raises(BadSettings, match="by hand"):
        with_setting('names = [\n"a"]\n', "names", ["b"])
