"""Power cuts and failing disks under the real store and its files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from copernicus.blobs import BlobStore
from copernicus.store import Store
from support import power, shims
from support.power_writer import LAST, content
from support.store_writer import last_committed

pytestmark = pytest.mark.fault_tools

TESTS = Path(__file__).parents[1]
IMAGES = 100


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shims.build("disk_shim", tmp_path_factory.mktemp("shim"))


def recorded(library: Path, folder: Path) -> list[power.Operation]:
    """What a store under load does to its disk until its end."""
    disk, record = folder / "disk", folder / "record"
    disk.mkdir()
    argv = [sys.executable, "-m", "support.power_writer", str(disk), str(record)]
    more = power.variables(library, disk, record)
    subprocess.run(argv, cwd=TESTS, env={**os.environ, **more}, check=True)
    return list(power.read_record(record))


def check(image: Path, acknowledged: int) -> None:
    """Open what is left as a server would, twice; nothing that was acknowledged is missing."""
    if not (image / "server").is_dir():
        assert acknowledged == 0
        return
    for _ in range(2):
        with Store.open(image / "server", create=True) as store:
            blobs = BlobStore.in_folder(image / "server" / "blobs")
            last = last_committed(store)
            assert last >= acknowledged, f"{acknowledged} were acknowledged, {last} are there"
            for n in range(1, last + 1):
                assert b"".join(blobs.read(store.meta(f"file{n}"))) == content(n)
            assert blobs.check() == []


def test_fault_03_a_power_cut_loses_nothing_acknowledged(
    library: Path, tmp_path: Path, request: pytest.FixtureRequest, record_property
) -> None:
    operations = recorded(library, tmp_path)
    disk = power.Disk(tmp_path / "disk")
    images = request.config.getoption("--power-cuts") or IMAGES
    luck = random.Random(20261128)
    cuts = sorted(luck.randrange(1, len(operations)) for _ in range(images))
    seen = []
    for at, operation in enumerate(operations):
        while cuts and cuts[0] == at:
            cuts.pop(0)
            image = tmp_path / "image"
            disk.image(image, luck)
            check(image, disk.acknowledged)
            shutil.rmtree(image)
            seen.append(disk.acknowledged)
        disk.do(operation)
    assert len(seen) == images
    assert disk.acknowledged == LAST
    assert len(set(seen)) > min(images, LAST) // 4
    record_property("fault", f"power cuts: {images} images, 0 lost acknowledgements")


def test_a_power_cut_shows_a_store_that_does_not_sync(library: Path, tmp_path: Path) -> None:
    """The test of the test: without its syncs the same store loses what it acknowledged."""
    operations = [one for one in recorded(library, tmp_path) if one.kind != "S" or luckless(one)]
    disk = power.Disk(tmp_path / "disk")
    for operation in operations:
        disk.do(operation)
    disk.image(tmp_path / "image", random.Random(1))
    with pytest.raises(Exception):  # noqa: B017  # lost, torn or not to be opened
        check(tmp_path / "image", disk.acknowledged)


def luckless(operation: power.Operation) -> bool:
    """Keep the syncs of folders, so that something is there to be opened."""
    return not operation.path.endswith(("-wal", ".db"))
