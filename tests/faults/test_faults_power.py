"""Power cuts under the real store and its files, and under a whole server."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.blobs import BlobStore
from copernicus.client import Client
from copernicus.server.embedded import EmbeddedServer
from copernicus.store import Store
from support import power
from support.e2e import ADMIN_PASSWORD, Env, wait_until
from support.e2e_programs import programs_file
from support.power_writer import LAST, content
from support.promises import PASSWORD, Asker, Promise, check_promises
from support.store_writer import last_committed

pytestmark = pytest.mark.fault_tools

TESTS = Path(__file__).parents[1]
IMAGES = 100
OF_A_SERVER = 30
SERVED_EVERY = 6
ASKED = 8


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


def images_of(
    disk: power.Disk, operations: list[power.Operation], cuts: list[int], to: Path
) -> Iterator[int]:
    """An image of the disk in the folder ``to`` at each cut; how many promises there were then."""
    luck, left = random.Random(len(operations)), sorted(cuts)
    for at, operation in enumerate(operations):
        while left and left[0] == at:
            left.pop(0)
            disk.image(to, luck)
            yield disk.acknowledged
            shutil.rmtree(to)
        disk.do(operation)


def test_fault_03_a_power_cut_loses_nothing_acknowledged(
    library: Path, quick_disk: Path, request: pytest.FixtureRequest, record_property
) -> None:
    operations = recorded(library, quick_disk)
    disk = power.Disk(quick_disk / "disk")
    images = request.config.getoption("--power-cuts") or IMAGES
    luck = random.Random(20261128)
    cuts = [luck.randrange(1, len(operations)) for _ in range(images)]
    seen = []
    for acknowledged in images_of(disk, operations, cuts, quick_disk / "image"):
        check(quick_disk / "image", acknowledged)
        seen.append(acknowledged)
    assert len(seen) == images
    assert disk.acknowledged == LAST
    assert len(set(seen)) > min(images, LAST) // 4
    record_property("fault", f"power cuts: {images} images, 0 lost acknowledgements")


def test_a_power_cut_shows_a_store_that_does_not_sync(library: Path, quick_disk: Path) -> None:
    """The test of the test: without its syncs the same store loses what it acknowledged."""
    operations = [one for one in recorded(library, quick_disk) if one.kind != "S" or luckless(one)]
    disk = power.Disk(quick_disk / "disk")
    for operation in operations:
        disk.do(operation)
    disk.image(quick_disk / "image", random.Random(1))
    with pytest.raises(Exception):  # noqa: B017  # lost, torn or not to be opened
        check(quick_disk / "image", disk.acknowledged)


def luckless(operation: power.Operation) -> bool:
    """Keep the syncs of folders, so that something is there to be opened."""
    return not operation.path.endswith(("-wal", ".db"))


def check_served(image: Path, promises: list[Promise]) -> None:
    """A server starts on what is left, shows what was promised, and goes on."""
    with EmbeddedServer(image):
        bundle, config = image / "client.cpc", image.with_name("config")
        client = Client.login(bundle, "admin", ADMIN_PASSWORD, config=config)
        with contextlib.closing(client):
            client.add_user("afterwards", PASSWORD)
            users = {user.name for user in client.users()}
            tokens = {token.name for token in client.tokens()}
            for promise in promises:
                if promise.kind == "user":
                    assert promise.name in users
                elif promise.kind == "token":
                    assert promise.name in tokens
                elif promise.kind == "value":
                    assert client.project("p").get(promise.name) == promise.value


def server_recorded(env: Env, library: Path, asker: Asker) -> tuple[power.Disk, Path]:
    """The disk of a server before, and the record of what it does while it is asked for things."""
    record = env.root / "record"
    disk = power.Disk.as_it_is(env.server)
    handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    asker.on_promise = lambda count: power.acknowledge(handle, count)
    env.start_server(**power.variables(library, env.server, record))
    for _ in range(ASKED):
        asker.ask()
    wait_until(asker.look, "all that it was asked for is done", 90)
    env.workers[0].end()
    env.kill_server()
    os.close(handle)
    return disk, record


@pytest.mark.timeout(7200)
def test_fault_03_a_power_cut_under_a_server_breaks_no_promise(
    env: Env, library: Path, quick_disk: Path, request: pytest.FixtureRequest, record_property
) -> None:
    env.open()
    env.start_worker("w", "--programs", programs_file(env), "--retry", 0.3)
    asker = Asker(env)
    assert env.stop_server() == 0
    disk, record = server_recorded(env, library, asker)
    operations = list(power.read_record(record))
    images = request.config.getoption("--power-cuts") or OF_A_SERVER
    luck = random.Random(20261129)
    begin = next(at for at, one in enumerate(operations) if one.kind == "A")
    cuts = [luck.randrange(begin, len(operations)) for _ in range(images)]
    seen: list[int] = []
    for acknowledged in images_of(disk, operations, cuts, quick_disk / "image"):
        promises = asker.promises[:acknowledged]
        if len(seen) % SERVED_EVERY == 0:
            check_served(quick_disk / "image", promises)
        check_promises(quick_disk / "image", promises)
        seen.append(acknowledged)
    assert len(seen) == images
    assert disk.acknowledged == len(asker.promises) == 5 * ASKED
    assert len(set(seen)) > min(images, 5 * ASKED) // 4
    record_property("fault", f"power cuts under a server: {images} images, 0 broken promises")
