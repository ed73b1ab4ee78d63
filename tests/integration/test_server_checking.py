"""``cpc server check``: what is named and gone is found, and mended as far as it can be."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from copernicus.blobs import BlobStore
from copernicus.cli.checking import check_folder
from copernicus.errors import BadSettings
from copernicus.server.filestore import BLOBS
from copernicus.server.folder import init_server
from copernicus.store import Store
from support.formats import _Maker, fill_project


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A server with a project whose files are all here."""
    folder = tmp_path_factory.mktemp("made") / "server"
    init_server(folder, ["127.0.0.1"], "a password of some length", {})
    blobs = BlobStore.in_folder(folder / BLOBS)
    with Store.open(folder) as store:
        maker = _Maker(store, put=lambda data: blobs.put_bytes(data).sha256)
        fill_project(maker)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "server")


def lose(folder: Path, data: bytes) -> str:
    name = sha256(data).hexdigest()
    (found,) = [p for p in (folder / BLOBS).rglob(name) if "chunks" in p.parts]
    found.unlink()
    return name


def test_all_that_is_named_is_here(folder):
    report = check_folder(folder)
    assert report.problems == report.repaired == []
    assert any("all named are here" in line for line in report.fine)


def test_a_result_that_is_gone_comes_back_from_a_backup(made, folder):
    name = lose(folder, b"result of p1.a1#1")
    (problem,) = check_folder(folder).problems
    assert name in problem
    assert "old, event" in problem
    assert [name in p for p in check_folder(folder, repair=True).problems] == [True]
    report = check_folder(folder, repair=True, backup=made)
    assert (report.problems, len(report.repaired)) == ([], 1)
    assert check_folder(folder).problems == []


def test_a_checkpoint_that_is_gone_is_forgotten(folder):
    name = lose(folder, b"state")
    (problem,) = check_folder(folder).problems
    assert (name in problem, "a checkpoint" in problem) == (True, True)
    with Store.open(folder) as store:
        before = [ref for row in store.checkpoints() for ref in row.refs]
    assert before, "a check changes nothing"
    report = check_folder(folder, repair=True)
    assert report.problems == []
    with Store.open(folder) as store:
        assert [ref for row in store.checkpoints() for ref in row.refs] == []
    assert check_folder(folder).problems == []


def test_what_is_no_backup_is_refused(folder, tmp_path):
    lose(folder, b"state")
    with pytest.raises(BadSettings, match="no backup"):
        check_folder(folder, repair=True, backup=tmp_path)
