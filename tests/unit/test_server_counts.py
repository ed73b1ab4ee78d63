"""What servers tell each other of how much they have: cut, summed, and never of the one told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copernicus.protocol.servers import ServerCounts
from copernicus.scheduling.lending import HOP_LIMIT
from copernicus.server.counts import bounded, total, without

NUMBERS = st.integers(-5, 10**12)
LEAVES = st.builds(
    ServerCounts,
    id=st.sampled_from(["", "a", "b", "c"]),
    servers=NUMBERS,
    workers=NUMBERS,
    cores=NUMBERS,
    busy=NUMBERS,
)
TOLD = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        ServerCounts, id=st.sampled_from(["a", "b", "c"]), peers=st.lists(inner).map(tuple)
    ),
    max_leaves=20,
)


def every(told: ServerCounts) -> list[ServerCounts]:
    return [told, *(inner for one in told.peers for inner in every(one))]


def depth(told: ServerCounts) -> int:
    return 1 + max(map(depth, told.peers), default=0)


@given(TOLD)
def test_whatever_a_peer_tells_is_cut_to_what_can_be_true(told: ServerCounts) -> None:
    kept = bounded(told)

    assert depth(kept) <= HOP_LIMIT
    assert all(0 <= one.busy <= one.cores <= 10**9 for one in every(kept))
    assert all(min(one.servers, one.workers) >= 0 for one in every(kept))
    assert bounded(kept) == kept


@given(TOLD, st.sets(st.sampled_from(["a", "b", "c"])))
def test_nobody_is_told_of_those_that_are_left_out(told: ServerCounts, ids: set[str]) -> None:
    left = without([told], ids)

    assert not {one.id for top in left for one in every(top)} & ids
    assert without(left, ids) == left


def test_a_server_that_is_named_on_two_ways_counts_once() -> None:
    far = ServerCounts("far", "far", cores=4, busy=1, workers=1)
    near = [ServerCounts(name, name, cores=2, peers=(far,)) for name in ("one", "two")]

    assert total(near) == ServerCounts(servers=3, workers=1, cores=8, busy=1)
