"""What a relay keeps of the files of peers' jobs: fetched once, bounded, never what is needed."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from copernicus.cli.checking import check_folder
from copernicus.server.peers import Peers
from copernicus.store.store import Store
from support.crashes import GROUPS, KILLED
from support.e2e import wait_until
from support.places import Place, places
from support.server_client import ScriptedWorker, add, define, echo_function, set_input

MIB = 2**20
USES = 100
# More than what comes with an assignment by itself.
SIZE = MIB * 3 // 4
SERVE = """
import sys
from pathlib import Path
from copernicus.server.app import run_server
run_server(Path(sys.argv[1]), {"peer_cache_mb": 1})
"""


def give(place: Place, project: str, *inputs: bytes, each: int = 1) -> list[str]:
    """Jobs, one after another for each of these files; their hashes."""
    place.admin.call("POST", "/v1/projects", {"name": project})
    files = [place.admin.upload(project, data) for data in inputs]
    edits = [define(echo_function())]
    for number, file in enumerate(files * each):
        edits += [add(f"j{number}"), set_input(f"j{number}.in.data", file)]
        edits += [set_input(f"j{number}.in.text", "hello")]
    place.admin.edit(project, *edits)
    return [file["$file"] for file in files]


def done(place: Place, project: str) -> int:
    return sum(job["state"] == "done" for job in place.jobs(project))


def data(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def fetched(place: Place) -> float:
    return files(place, "fetched")


def files(place: Place, way: str) -> float:
    return place.admin.metric("copernicus_peer_job_files_total", uncounted=0.0, way=way)


def sent(place: Place) -> float:
    """Bytes to workers and peers."""
    return place.admin.metric("copernicus_sent_bytes_total", uncounted=0.0, port="machine")


def kept(place: Place) -> float:
    return place.admin.metric("copernicus_peer_cache_bytes")


def noted(place: Place) -> set[str]:
    """Of a server that is stopped."""
    peers = Peers()
    with Store.open(place.server.folder) as store:
        peers.load(store)
    return set(peers.cached)


def run(worker: ScriptedWorker, count: int) -> None:
    """So many jobs, as they come."""
    for _ in range(count):
        (held,) = take(worker, 1)
        assert worker.complete(held, {"text": "hello"}) == "accepted"


def take(worker: ScriptedWorker, count: int) -> list[Any]:
    held: list[Any] = []

    def all_held() -> list[Any] | None:
        held.extend(worker.lease(5.0, cores=1))
        return held if len(held) == count else None

    found: list[Any] = wait_until(all_held, f"{count} lent jobs", 120)
    return found


def has(place: Place, sha256: str) -> bool:
    blobs = place.server.folder / "blobs"
    return any(path.name == sha256 for path in blobs.rglob(sha256))


@pytest.mark.timeout(300)
def test_a_hundred_jobs_behind_a_relay_have_a_common_input_cross_the_line_once(
    tmp_path: Path,
) -> None:
    """Twenty-five workers at a time; the bound is hardly more than the file."""
    with places(tmp_path, 2, peer_cache_mb=1, peer_cache_keep_s=0.2) as (mine, theirs):
        theirs.works_for(mine)
        with ExitStack() as stack:
            workers = [ScriptedWorker(theirs.server, theirs.admin, tmp_path) for _ in range(25)]
            for worker in workers:
                stack.callback(worker.close)
            before = sent(mine)
            give(mine, "p", data(1), each=USES)
            threads = stack.enter_context(ThreadPoolExecutor(len(workers)))
            list(threads.map(lambda worker: run(worker, USES // len(workers)), workers))
        wait_until(lambda: done(mine, "p") == USES, "all results to arrive", 90)
        assert SIZE <= sent(mine) - before < 2 * SIZE
        assert (fetched(theirs), files(theirs, "found")) == (1, USES - 1)
        assert kept(theirs) == SIZE


@pytest.mark.timeout(300)
def test_over_its_bound_what_is_unused_longest_goes_and_is_fetched_again(tmp_path: Path) -> None:
    with places(tmp_path, 2, peer_cache_mb=1, peer_cache_keep_s=0.2) as (mine, theirs):
        theirs.works_for(mine)
        worker = ScriptedWorker(theirs.server, theirs.admin, tmp_path)
        (first,) = give(mine, "p", data(1))
        run(worker, 1)
        (second,) = give(mine, "q", data(2))
        run(worker, 1)
        wait_until(lambda: kept(theirs) == SIZE, "the first file to go", 60)
        assert (has(theirs, first), has(theirs, second)) == (False, True)
        worker.close()

        # What is kept, and for how long it was not used, is known after a restart.
        with theirs.moved() as there:
            assert kept(there) == SIZE
            worker = ScriptedWorker(there.server, there.admin, tmp_path)
            give(mine, "r", data(1))
            run(worker, 1)
            assert fetched(there) == 1
            wait_until(lambda: kept(there) == SIZE, "the second file to go", 60)
            assert (has(there, first), has(there, second)) == (True, False)
            worker.close()


@pytest.mark.timeout(300)
def test_over_its_bound_what_a_running_job_or_an_own_project_needs_stays(tmp_path: Path) -> None:
    with places(tmp_path, 2, peer_cache_mb=1, peer_cache_keep_s=0.2) as (mine, theirs):
        theirs.works_for(mine)
        worker = ScriptedWorker(theirs.server, theirs.admin, tmp_path)
        needed, own, spare = give(mine, "p", data(1), data(2), data(3))
        held = take(worker, 3)
        theirs.admin.call("POST", "/v1/projects", {"name": "theirs"})
        named = theirs.admin.upload("theirs", data(2))
        theirs.admin.edit(
            "theirs", define(echo_function()), add("own"), set_input("own.in.data", named)
        )
        by_file = {one.spec.command.files[0].file["$file"]: one for one in held}
        for done in (own, spare):
            assert worker.complete(by_file[done], {"text": "hello"}) == "accepted"
        wait_until(lambda: kept(theirs) == 2 * SIZE, "what nobody needs to go", 60)
        assert [has(theirs, one) for one in (needed, own, spare)] == [True, True, False]

        assert worker.complete(by_file[needed], {"text": "hello"}) == "accepted"
        wait_until(lambda: kept(theirs) == SIZE, "what the last job needed to go", 60)
        assert [has(theirs, one) for one in (needed, own)] == [False, True]
        worker.close()


@pytest.mark.timeout(300)
def test_a_kill_in_the_middle_of_a_removal_leaves_nothing_that_is_not_here(
    tmp_path: Path,
) -> None:
    """Neither of lists of chunks, nor of what is noted; and the bound holds after a restart."""
    with places(tmp_path, 2, peer_cache_keep_s=0.2) as (mine, theirs):
        theirs.works_for(mine)
        worker = ScriptedWorker(theirs.server, theirs.admin, tmp_path)
        large, small = random.Random(1).randbytes(2 * SIZE), data(2)
        (first,) = give(mine, "p", large)
        run(worker, 1)
        (second,) = give(mine, "q", small)
        run(worker, 1)
        worker.close()
        assert kept(theirs) == 3 * SIZE
        theirs.stop()
        argv = [sys.executable, "-c", SERVE, str(theirs.server.folder)]
        for point in GROUPS["files of peers"]:
            died = subprocess.run(argv, env={"CPC_CRASH_AT": point}, timeout=60, check=False)
            assert died.returncode == KILLED
            assert noted(theirs) == {first, second}
            assert (has(theirs, first), has(theirs, second)) == (False, True)
        # Its bound is large again, so nothing has to go; what is not here is forgotten.
        with theirs.moved() as there:
            wait_until(lambda: kept(there) == SIZE, "the note of the first file to go", 60)
        assert noted(theirs) == {second}
        assert check_folder(theirs.server.folder).problems == []
