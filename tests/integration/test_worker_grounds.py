"""Folders of attempts that are used again: by whom, and by whom not."""

import asyncio
import os
from pathlib import Path

import pytest

from copernicus.executors.local import LocalExecutor, Process
from copernicus.worker.grounds import Grounds, layout_for

PLAIN = layout_for(())
WITH_INPUT = layout_for(["inputs/x/file"])


@pytest.fixture
def grounds(tmp_path):
    return Grounds(tmp_path / "spare", 2)


def inode(home: Path) -> int:
    return (home / "work").stat().st_ino


def used(grounds: Grounds, home: Path, *, vacant: bool = True, files: int = 2) -> int:
    """An attempt that makes files: the inode of its work folder, which is cleared afterwards."""
    grounds.lay_out(home, PLAIN)
    for number in range(files):
        (home / "work" / f"out{number}").write_text("result")
    (home / "work" / "link").symlink_to(home.parent / "elsewhere")
    found = inode(home)
    asyncio.run(grounds.clear(str(home), vacant=vacant))
    assert not home.exists()
    return found


def test_a_folder_that_nobody_is_in_serves_the_next_attempt_empty(grounds, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not of the job")
    first = used(grounds, tmp_path / "one")
    grounds.lay_out(tmp_path / "two", PLAIN)
    assert inode(tmp_path / "two") == first
    assert [str(p.relative_to(tmp_path)) for p in (tmp_path / "two").rglob("*")] == ["two/work"]
    assert elsewhere.read_text() == "not of the job"


def test_an_attempt_that_needs_other_folders_gets_its_own(grounds, tmp_path):
    first = used(grounds, tmp_path / "one")
    grounds.lay_out(tmp_path / "two", WITH_INPUT)
    assert inode(tmp_path / "two") != first
    (tmp_path / "two/work/inputs/x").mkdir(parents=True, mode=0o700)
    (tmp_path / "two/work/inputs").chmod(0o700)
    second = inode(tmp_path / "two")
    asyncio.run(grounds.clear(str(tmp_path / "two"), vacant=True))
    grounds.lay_out(tmp_path / "three", WITH_INPUT)
    assert inode(tmp_path / "three") == second
    assert (tmp_path / "three/work/inputs/x").is_dir()


@pytest.mark.parametrize("what", ["somebody is in it", "a folder more", "open to others"])
def test_a_folder_that_is_not_as_new_is_removed(grounds, tmp_path, what):
    home = tmp_path / "one"
    grounds.lay_out(home, PLAIN)
    if what == "a folder more":
        (home / "work" / "sub").mkdir()
    if what == "open to others":
        (home / "work").chmod(0o777)
    asyncio.run(grounds.clear(str(home), vacant=what != "somebody is in it"))
    assert not home.exists()
    assert not (tmp_path / "spare").exists()


def test_many_files_are_removed_and_no_more_folders_are_kept_than_said(grounds, tmp_path):
    used(grounds, tmp_path / "one", files=200)
    assert not (tmp_path / "spare").exists()
    homes = [tmp_path / f"h{number}" for number in range(3)]
    for home in homes:
        grounds.lay_out(home, PLAIN)
    for home in homes:
        asyncio.run(grounds.clear(str(home), vacant=True))
    assert len(list((tmp_path / "spare").iterdir())) == 2
    assert not any(home.exists() for home in homes)


def test_a_program_that_leaves_a_process_behind_does_not_end_alone(tmp_path):
    async def run() -> list[bool]:
        executor = LocalExecutor()
        void = os.open(os.devnull, os.O_RDWR)

        def start(script: str) -> Process:
            argv = ("/bin/sh", "-c", script)
            return executor.start(argv, tmp_path, (void, void, void), os.environ)

        async def alone(script: str) -> bool:
            process = start(script)
            assert await process.ended() == 0
            return process.alone

        try:
            other = start("exec sleep 600")
            told = [await alone(":"), await alone("setsid -f sleep 600")]
            while not await alone(":"):  # until what was left behind has been found and killed
                pass
            assert not other.over.done()
        finally:
            os.close(void)
            executor.close()
        return told

    assert asyncio.run(run()) == [True, False]
