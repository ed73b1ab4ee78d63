"""A server that is killed in the middle of commits has lost nothing that it acknowledged."""

from __future__ import annotations

import random

import pytest

from copernicus.errors import BadSettings
from copernicus.store import Store
from support.store_writer import last_committed
from support.store_writers import killed_after, start_writer, writer


def test_nothing_acknowledged_is_lost_by_ten_kills(tmp_path):
    chance = random.Random(1)
    acknowledged, epoch = 0, 0
    for _ in range(10):
        acknowledged = killed_after(tmp_path, chance.randint(1, 60))
        with Store.open(tmp_path) as store:
            # One more may have been committed, and killed before it could say so.
            assert last_committed(store) in (acknowledged, acknowledged + 1)
            assert store.epoch > epoch
            assert not store.restored
            epoch = store.epoch


def test_a_second_server_on_a_folder_ends_and_says_why(tmp_path):
    with writer(tmp_path) as first:
        assert first.stdout.readline()
        second = start_writer(tmp_path)
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert errors.startswith("bad_settings: another Copernicus process")
        assert str(first.pid) in errors
        with pytest.raises(BadSettings, match=f"pid {first.pid}"):
            Store.open(tmp_path)
        assert first.stdout.readline()
    with Store.open(tmp_path) as store:
        assert last_committed(store) > 1
