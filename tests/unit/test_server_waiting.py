"""Who is served first of those that wait for work."""

from __future__ import annotations

import asyncio

from copernicus.protocol import LeaseRequest
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server.waiting import MOST_OF_A_PEER, Waiting, WaitingRoom
from support.scheduling import offer


def waiting(worker: str, *via: str, cores: int = 1) -> Waiting:
    request = LeaseRequest(f"{worker}{via}{cores}", offer(cores), via=via)
    return Waiting(WorkerInfo(worker, peer=bool(via)), request, 60.0)


def served(room: WaitingRoom) -> list[tuple[str, tuple[str, ...], int]]:
    return [(one.worker.id, one.request.via, one.request.offer.cores) for one in room.all()]


def test_own_workers_are_served_first_then_offers_that_have_passed_the_fewest_servers():
    async def look() -> list[tuple[str, tuple[str, ...], int]]:
        room = WaitingRoom()
        for one in (
            waiting("b", "d", "c", "b"),
            waiting("d", "d"),
            waiting("w2"),
            waiting("b", "b"),
            waiting("w1"),
        ):
            room.add(one)
        return served(room)

    assert [one[:2] for one in asyncio.run(look())] == [
        ("w2", ()),
        ("w1", ()),
        ("d", ("d",)),
        ("b", ("b",)),
        ("b", ("d", "c", "b")),
    ]


def test_a_peer_has_a_place_for_each_kind_of_worker_and_not_more_than_some():
    async def look() -> tuple[list[int], int]:
        room = WaitingRoom()
        room.give_way(first := waiting("b", "b", cores=1))
        room.add(first)
        room.give_way(same := waiting("b", "b", cores=1))
        room.add(same)
        assert room.all() == [same]
        for cores in range(2, MOST_OF_A_PEER + 3):
            room.add(waiting("b", "b", cores=cores))
        newest = [cores for _, _, cores in served(room)]
        room.release("b")
        return newest, len(room.all())

    newest, after = asyncio.run(look())
    assert newest == list(range(3, MOST_OF_A_PEER + 3))
    assert after == 0
