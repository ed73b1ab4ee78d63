"""Four servers, each reaching only its neighbours: real simulations come to every worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from copernicus.client import Project
from copernicus.protocol import JobView
from support.e2e import Worker, states, wait_until
from support.e2e_gromacs import needs_gmx, steps_lasting
from support.namespaces import inside
from support.peer_chains import Place, books, give, held, join, left, row, simulating

EACH = 3
SIMULATIONS = 16

Work = list[tuple[Place, Project]]


@needs_gmx
@pytest.mark.fault_tools
@pytest.mark.timeout(900)
def test_in_a_chain_and_in_a_ring_every_worker_has_work_until_two_projects_are_done(
    tmp_path: Path,
) -> None:
    steps = steps_lasting(0.7)
    with row(tmp_path, "one", "two", "three", "four") as (places, _):
        one, two, three, four = places
        workers = [
            worker
            for place in places
            for worker in place.start_workers("w1", "w2", "w3", wait=False)
        ]
        # In the chain: from its end over three hops to its other end, then from both ends.
        chain = [(one, one.new_project("a"))]
        give(*chain[0], SIMULATIONS, steps)
        with held(workers, "a simulation of one project at each of twelve workers"):
            assert everybody(places) == [1] * 12
            assert one.peer(two).borrowed >= 9
            assert four.peer(three).lent >= 3
            chain.append((four, four.new_project("b")))
            give(*chain[1], SIMULATIONS, steps)
        all_busy_until_done(places, workers, chain)
        check_books(places, chain)

        join(four, one)
        ring = [(one, one.new_project("c")), (three, three.new_project("d"))]
        give(*ring[0], SIMULATIONS, steps)
        with held(workers, "a simulation of one project at each of twelve workers"):
            assert everybody(places) == [1] * 12
            # Nothing comes back, and both ways are used.
            assert [one.peer(other).lent for other in (two, four)] == [0, 0]
            assert two.peer(one).lent >= 3
            assert four.peer(one).lent >= 3
            give(*ring[1], SIMULATIONS, steps)
        all_busy_until_done(places, workers, ring)
        check_books(places, [*chain, *ring])


def everybody(places: Sequence[Place]) -> list[int]:
    return [count for place in places for count in place.running().values()]


def all_busy_until_done(places: Sequence[Place], workers: Sequence[Worker], work: Work) -> None:
    """Whoever has nothing gets something, as long as there are as many jobs as workers."""

    def remaining() -> int:
        return sum(left(*each) for each in work)

    def busy() -> bool:
        return all(everybody(places)) or remaining() < len(workers)

    while remaining() >= len(workers):
        wait_until(busy, "every worker to hold a lease", 60)
    wait_until(lambda: remaining() == 0, "all simulations", 240)


def check_books(places: Sequence[Place], work: Work) -> None:
    """Each job was completed once, and is in the books of each peer that it has passed."""
    agreed = books(places)
    for place, project in work:
        with inside(place.side):
            shown = [project.job(job.id) for job in project.jobs()]
        peers = {one.id for one in places}
        ends = [one for job in shown for one in job.tries if one.outcome == "completed"]
        assert len(ends) == len(shown) == SIMULATIONS + 1
        by_peers = Counter(one.worker for one in ends if one.worker in peers)
        project_id = shown[0].project
        told = {
            lender: used[project_id][0]
            for (lender, borrower), used in agreed.items()
            if borrower == place.id and project_id in used
        }
        assert told == by_peers


@needs_gmx
@pytest.mark.fault_tools
@pytest.mark.timeout(900)
def test_in_a_chain_a_killed_relay_a_cut_line_and_a_removed_peer_cost_no_job(
    tmp_path: Path,
) -> None:
    """All of it in the middle of two simulations three hops away, each completed once."""
    steps, soon = steps_lasting(3), {"lease_s": 6.0, "peer_patience_s": 1.0}
    with row(tmp_path, "one", "two", "three", "four", two=soon) as (places, cables):
        one, two, three, four = places
        workers = four.start_workers("w1", "w2")
        first = one.new_project("a")
        give(one, first, 2, steps)
        with held(workers, "both simulations at the far end"):
            before = [len(job.tries) for job in runs(one, first)]
            two.env.kill_server()
            with inside(two.side):
                two.env.start_server()
            wait_until(lambda: two.peer(one).last_contact, "the relay to go on", 60)
            wait_until(lambda: two.peer(three).last_contact, "the next relay to go on", 60)
            assert [len(job.tries) for job in runs(one, first)] == before

            cables[1].drop("INPUT")
            cables[1].drop("OUTPUT")
            wait_until(lambda: stand(one, first) == {"queued"}, "both to come back", 90)
        cables[1].heal()
        wait_until(lambda: left(one, first) == 0, "both simulations", 240)
        for job in runs(one, first):
            ends = [one_try.outcome for one_try in job.tries]
            assert ends.count("completed") == 1
            assert {one_try.worker for one_try in job.tries} == {two.id}
        books(places)

        second = one.new_project("b")
        give(one, second, 2, steps)
        with held(workers, "both simulations at the far end"):
            with inside(one.side):
                one.env.client.remove_peer(two.id)
            assert stand(one, second) == {"queued"}
        wait_until(lambda: not simulating(workers), "the workers to stop them", 60)
        on_the_way = ((four, three), (three, two))
        wait_until(
            lambda: not any(lender.peer(other).lent for lender, other in on_the_way),
            "nothing of it to be left on the way",
            60,
        )
        told = wait_until(lambda: two.peer(one).trouble, "the relay to hear why", 60)
        assert "was removed here" in told
        assert left(one, second) == 2
        one.start_workers("own")
        wait_until(lambda: left(one, second) == 0, "the own worker to finish them", 240)
        for job in runs(one, second):
            outcomes = [one_try.outcome for one_try in job.tries]
            assert outcomes[-2:] == ["revoked", "completed"]
            assert outcomes.count("completed") == 1


def stand(place: Place, project: Project) -> set[str]:
    with inside(place.side):
        return set(states(project, "run"))


def runs(place: Place, project: Project) -> list[JobView]:
    """The simulations, with their attempts."""
    with inside(place.side):
        found = [*project.jobs(), *project.ended_jobs().jobs]
        return [project.job(job.id) for job in found if job.path.startswith("run")]
