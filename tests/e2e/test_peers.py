"""Two servers of two groups: the workers of one run the simulations of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.e2e import all_done, wait_until
from support.e2e_gromacs import (
    fetch_times,
    first_steps,
    frozen,
    needs_gmx,
    simulations,
    steps_lasting,
)
from support.peering import id_of, lend, open_server, peer, servers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@needs_gmx
def test_idle_workers_of_one_server_run_the_simulations_of_another(tmp_path: Path) -> None:
    with servers(tmp_path, "project", "lender") as (mine, theirs):
        project = mine.open()
        open_server(theirs)
        lend(theirs, mine)
        theirs.start_worker("w1", cores=2)
        simulations(mine, project, 3, 5000)
        wait_until(lambda: all_done(project, "run", 3), "all simulations", 240)
        for index in range(3):
            frames, step = fetch_times(mine, f"run.out.xtc[{index}]")
            assert (frames, step) == (11, 1.0)

        borrowed, lent = peer(mine, theirs), peer(theirs, mine)
        assert (borrowed["borrows"], lent["lends"]) == (True, True)
        told = wait_until(lambda: peer(theirs, mine)["lent_usage"], "the books of the lender")
        assert [usage["project"] for usage in borrowed["borrowed_usage"]] == ["p"]
        assert told[0]["jobs"] == borrowed["borrowed_usage"][0]["jobs"] == 6
        assert told[0]["core_hours"] == pytest.approx(borrowed["borrowed_usage"][0]["core_hours"])
        attempts = mine.json("job", "show", "run[0]")["tries"]
        assert [attempt["worker"] for attempt in attempts] == [id_of(theirs)]
        wait_until(lambda: peer(theirs, mine)["lent"] == 0, "nothing to be left at the lender")


@needs_gmx
def test_a_lost_worker_and_a_killed_relay_behind_a_peer_are_not_seen_by_the_project(
    tmp_path: Path,
) -> None:
    """Another worker of the peer goes on from the checkpoint, in the same attempt."""
    with servers(tmp_path, "project", "lender") as (mine, theirs):
        project = mine.open(lease_s=60.0)
        open_server(theirs)
        lend(theirs, mine)
        first = theirs.start_worker("w1")
        simulations(mine, project, 1, steps_lasting(15))
        wait_until(lambda: mine.checkpoints(), "a checkpoint at the project's server", 90)
        with frozen(first):
            theirs.kill_server()
            theirs.start_server()
            assert first.running("gmx")
        before = len(theirs.checkpoints())
        wait_until(lambda: theirs.checkpoints()[-1].step, "a checkpoint", 60)
        assert before
        with frozen(first):
            theirs.kill_worker(first)
            theirs.start_worker("w2")
        wait_until(lambda: all_done(project, "run", 1), "the simulation", 240)
        shown = mine.json("job", "show", "run[0]")
        assert [attempt["worker"] for attempt in shown["tries"]] == [id_of(theirs)]
        assert first_steps(mine, project, 0)[-1] > 0
        assert fetch_times(mine, "run.out.xtc[0]")[1] == 1.0


@needs_gmx
def test_a_peer_that_is_suspended_or_removed_gives_everything_back_at_once(
    tmp_path: Path,
) -> None:
    with servers(tmp_path, "project", "lender") as (mine, theirs):
        project = mine.open(lease_s=600.0)
        open_server(theirs)
        lend(theirs, mine)
        worker = theirs.start_worker("w1", cores=2)
        simulations(mine, project, 2, steps_lasting(15))
        wait_until(lambda: len(worker.running("gmx")) == 2, "two simulations at the peer", 90)
        wait_until(lambda: mine.checkpoints(), "a checkpoint at the project's server", 90)

        with frozen(worker):
            mine.cpc("peer", "suspend", id_of(theirs))
            shown = peer(mine, theirs)
            assert (shown["state"], shown["borrowed"]) == ("suspended", 0)
        wait_until(lambda: not worker.running("gmx"), "the peer stops them", 60)
        told = wait_until(lambda: peer(theirs, mine)["trouble"], "the peer hears why", 60)
        assert "suspended this peer" in told
        assert peer(theirs, mine)["lent"] == 0

        mine.cpc("peer", "resume", id_of(theirs))
        wait_until(lambda: len(worker.running("gmx")) == 2, "two simulations at the peer", 90)
        assert "Would remove" in mine.cpc("peer", "remove", id_of(theirs), "--dry-run")
        with frozen(worker):
            mine.cpc("peer", "remove", id_of(theirs), "--yes")
            assert mine.json("peer", "list") == []
        wait_until(lambda: not worker.running("gmx"), "the peer stops them", 60)
        told = wait_until(
            lambda: "removed" in peer(theirs, mine)["trouble"], "the peer hears why", 60
        )

        mine.start_worker("own", cores=2)
        wait_until(lambda: all_done(project, "run", 2), "the own worker to finish them", 240)
        tries = mine.json("job", "show", "run[0]")["tries"]
        assert {attempt["outcome"] for attempt in tries} == {"revoked", "completed"}
