"""Databases of every format that there ever was migrate, and tell the same for ever."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from copernicus.errors import BadSettings
from copernicus.scheduling import SchedulerSettings
from copernicus.server.holdings import Holdings
from copernicus.store import Store
from copernicus.store.folder import DATABASE
from copernicus.store.schema import FORMAT
from support.formats import summary

KEPT = Path(__file__).parents[1] / "data" / "formats"
FORMATS = range(1, FORMAT + 1)


@pytest.fixture(params=FORMATS)
def old(request, tmp_path):
    """A server's folder as that format's version left it, and what it must tell."""
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript((KEPT / f"{request.param:04}.sql").read_text())
    (folder / DATABASE).chmod(0o600)
    return folder, json.loads((KEPT / f"{request.param:04}.json").read_text())


def test_every_format_is_kept():
    """A new migration needs its own: ``python -m support.formats data/formats``, in tests."""
    assert {f.name for f in KEPT.glob("*.sql")} == {f"{number:04}.sql" for number in FORMATS}


def test_it_migrates_and_tells_the_same(old):
    folder, told = old
    for _ in range(2):
        with Store.open(folder) as store:
            assert json.loads(json.dumps(summary(store))) == told
            holdings = Holdings(SchedulerSettings())
            holdings.load(store, 2e9)
            holdings.scheduler.check()
            assert store.check_audit().broken is None
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        kept = database.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    assert kept == (str(FORMAT),)


def test_it_is_refused_untouched_by_versions_before_it(old):
    folder, _ = old
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT + 1),))
    before = (folder / DATABASE).read_bytes()
    with pytest.raises(BadSettings, match="newer"):
        Store.open(folder)
    assert (folder / DATABASE).read_bytes() == before
