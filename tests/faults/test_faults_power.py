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
from support.crashes import check_made_once
from support.e2e import Env, wait_until
from support.e2e_programs import count, programs_file
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


@pytest.mark.parametrize("fail", ["sync:9", "sync:14", "sync:23"])
def test_fault_06_a_failed_sync_or_write_ends_the_server_at_once(
    env: Env, library: Path, fail: str
) -> None:
    project = env.open()
    env.start_worker("w", "--programs", programs_file(env), "--retry", 0.3)
    count(env, "before", 20)
    wait_until(lambda: project.instance_detail("before").summary.state == "done", "it is done")
    env.kill_server()
    process = env.launch_server(**power.variables(library, env.server, fail=fail))
    number = iter(range(1000))

    def ended() -> bool:
        if env.running_server() and process.poll() is None:
            try:
                source = env.write("source", random.Random(fail).randbytes(70_000))
                env.project().add(f"more{next(number)}", "slow.count")
                env.client.project("p").upload(source)
            except Exception:  # noqa: BLE001  # the server is dying
                return False
        return process.poll() is not None

    wait_until(ended, "the server ends", 60)
    assert process.returncode != 0
    assert "disk" in env.server_log.lower() or "input/output" in env.server_log.lower()
    env.start_server()
    assert env.project().get("before.out.result") == 20
    count(env, "after", 20)
    project = env.project()
    wait_until(lambda: project.instance_detail("after").summary.state == "done", "it goes on")
    env.workers[0].end()
    assert env.stop_server() == 0
    check_made_once(env)
