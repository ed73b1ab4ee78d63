"""The page about disk space, done to the letter; what a file that went means everywhere else."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from copernicus.client import Client, Project, RemoteFile
from copernicus.errors import NotAllowed, NotFound
from copernicus.model.values import File
from copernicus.server.filestore import BLOBS
from support.e2e import Env, wait_until
from support.e2e_programs import SHIFT_TOML, programs_file
from support.tutorials import Reader

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "free-disk-space.md"


def blob_of(env: Env, file: RemoteFile) -> Path:
    return env.server / BLOBS / "chunks" / file.sha256[:2] / file.sha256


def fetched(project: Project, file: RemoteFile) -> bytes:
    """From the server, whatever is kept here."""
    return b"".join(project.files.pieces(File(file.sha256, file.size, file.name)))


def two_results(env: Env) -> tuple[Project, RemoteFile, RemoteFile]:
    """A project with a result that was replaced, and the one that stands."""
    project = env.open(sweep_every_s=600.0, sweep_after_s=0.01)
    env.start_worker("w", "--programs", programs_file(env))
    project.define(env.write("shift.toml", SHIFT_TOML))
    project.add("one", "bytes.shift", active=True)
    project.set("one.in.source", env.write("a", "first"))
    project.wait("one", 60, show=False)
    old = project.get("one.out.result")
    project.set("one.in.by", 2)
    project.wait("one", 60, show=False)
    return project, old, project.get("one.out.result")


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_free_disk_space(env: Env) -> None:
    env.open(sweep_every_s=600.0)
    env.start_worker("w", "--programs", programs_file(env))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    Reader(env.root, env.environment(PATH=path, COLUMNS="120"), (0, 0)).follow(PAGE)


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_file_that_went_is_told_from_one_that_is_lost(env: Env) -> None:
    project, old, new = two_results(env)
    assert project.collect(dry_run=False).files == (), "without a rule everything stays"
    project.set_retention(0.0)
    shown = env.json("project", "gc", "--dry-run")
    assert [one["sha256"] for one in shown["files"]] == [old.sha256]
    assert (shown["bytes"], shown["results"]) == (5, 1)
    assert fetched(project, old) == b"gjstu", "a dry run removes nothing"
    assert "To do it, add --yes" in env.refused(1, "project", "gc")

    removed = env.json("project", "gc", "--yes")
    assert removed["files"] == shown["files"]
    with pytest.raises(NotFound, match=r"removed on .* by a retention rule .* 'result' of one"):
        fetched(project, old)
    assert fetched(project, new) == b"hktuv"
    wait_until(lambda: not blob_of(env, old).exists(), "the bytes are gone")
    assert any(entry["action"] == "project.collect" for entry in env.json("audit"))

    env.cpc("project", "save", env.root / "saved")
    with zipfile.ZipFile(env.root / "saved") as archive:
        names = archive.namelist()
    assert f"files/{new.sha256}" in names
    assert f"files/{old.sha256}" not in names
    env.cpc("project", "load", env.root / "saved", "--name", "copy")
    with pytest.raises(NotFound, match="removed on"):
        fetched(env.project("copy"), old)
    env.cpc("project", "export", "--ro-crate", env.root / "crate", "--with-files")
    crate = json.loads((env.root / "crate" / "ro-crate-metadata.json").read_text())
    (told,) = [one for one in crate["@graph"] if one.get("sha256") == old.sha256]
    assert "removed by a rule" in told["description"]

    assert env.stop_server() == 0
    assert "are here" in env.cpc("server", "check", env.server)
    env.start_server()
    project = env.project()
    project.set("one.in.by", 1)
    project.wait("one", 60, show=False)
    again = project.get("one.out.result")
    assert again.sha256 == old.sha256
    assert fetched(project, again) == b"gjstu", "made again, it is a file of the project again"


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_only_owners_say_what_stays(env: Env) -> None:
    project = env.open()
    env.client.add_user("bob", "a password of some length")
    project.share("bob", "editor")
    bundle, config = env.server / "client.cpc", env.root / "bob"
    with Client.login(bundle, "bob", "a password of some length", config=config) as client:
        theirs = client.project("p")
        with pytest.raises(NotAllowed, match="change which files this project keeps"):
            theirs.set_retention(1.0)
        with pytest.raises(NotAllowed, match="change which files this project keeps"):
            theirs.collect()
