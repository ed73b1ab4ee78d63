"""Values as Python objects: records, tables, files that are kept by their content."""

import hashlib
import os

import pytest

from copernicus.client.tables import table_of
from copernicus.client.values import FileCache, Record, RemoteFile, revive
from copernicus.errors import BadValue


def file(name, content, fetched=None):
    """A remote file whose fetching writes these bytes, and counts."""
    sha256 = hashlib.sha256(content).hexdigest()

    class Fetched(RemoteFile, frozen=True):
        def download(self, path=None, progress=None):
            if fetched is not None:
                fetched.append(name)
            path.write_bytes(content)
            return path

    return Fetched(sha256, len(content), name)


def test_records_are_dicts_whose_members_read_as_attributes():
    value = revive({"dt": 0.5, "box": {"x": 1, "keys": 2}, "steps": [{"n": 1}]}, None)

    assert value.box.x == 1
    assert value.steps[0].n == 1
    assert value == {"dt": 0.5, "box": {"x": 1, "keys": 2}, "steps": [{"n": 1}]}
    assert value.box["keys"] == 2
    with pytest.raises(AttributeError, match="no member 'tau'; there is: dt, box, steps"):
        _ = value.tau


def test_a_list_of_records_is_a_table_with_a_column_for_each_member():
    pytest.importorskip("pandas")
    rows = [Record(t=1, at=Record(x=2.0)), Record(t=2, at=Record(x=3.0))]

    made = table_of(rows)

    assert list(made.columns) == ["t", "at.x"]
    assert made.index.name == "element"
    assert made["at.x"].sum() == 5.0


def test_lists_and_dicts_of_lists_are_tables_and_a_number_is_not():
    pytest.importorskip("pandas")

    assert table_of([1, 2, 3])["value"].tolist() == [1, 2, 3]
    assert table_of([]).empty
    assert table_of({"a": [1, 2], "b": [3, 4]}).shape == (2, 2)
    with pytest.raises(BadValue, match=r"run\.out\.y is no table, but a single int"):
        table_of(3, "run.out.y")
    with pytest.raises(BadValue, match="is no table: "):
        table_of({"a": [1, 2], "b": [3]})


def test_a_table_of_a_csv_file_is_read(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    monkeypatch.setenv("CPC_CACHE_DIR", str(tmp_path))

    assert table_of(file("e.csv", b"t,e\n0,1.5\n1,2.5\n"))["e"].sum() == 4.0
    with pytest.raises(BadValue, match=r"only \.csv and \.tsv"):
        table_of(file("e.xtc", b"..."))


def test_a_file_is_fetched_once_and_kept_under_its_own_name(tmp_path):
    fetched = []
    cache = FileCache(tmp_path)
    first = cache.path(file("traj.xtc", b"abc", fetched))
    again = cache.path(file("traj.xtc", b"abc", fetched))

    assert first == again
    assert first.name == "traj.xtc"
    assert first.read_bytes() == b"abc"
    assert fetched == ["traj.xtc"]
    assert not os.access(first, os.W_OK) or os.geteuid() == 0
    assert cache.path(file("../../evil", b"x")).is_relative_to(tmp_path)


def test_a_damaged_length_is_fetched_again(tmp_path):
    fetched = []
    cache = FileCache(tmp_path)
    path = cache.path(file("a", b"abc", fetched))
    path.chmod(0o600)
    path.write_bytes(b"ab")

    assert cache.path(file("a", b"abc", fetched)).read_bytes() == b"abc"
    assert len(fetched) == 2


def test_the_least_recently_used_go_first_and_recent_ones_stay(tmp_path):
    cache = FileCache(tmp_path, most=250)
    old, newer = (cache.path(file(name, bytes([n]) * 100)) for n, name in enumerate("ab"))
    os.utime(old.parent, (1, 1))
    os.utime(newer.parent, (2, 2))

    third = cache.path(file("c", b"z" * 100))
    assert not old.exists()
    assert newer.exists()
    fourth = cache.path(file("d", b"y" * 100))
    fifth = cache.path(file("e", b"x" * 100))
    assert third.exists()
    assert fourth.exists()
    assert fifth.exists()
    assert not newer.exists()
