"""What peers lent, in memory: what is asked at every look is known without a walk over all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copernicus.scheduling.lending import Lent
from copernicus.scheduling.rows import JobRow
from copernicus.server.peers import PeerRecord, Peers

LENT = st.builds(
    lambda project, number: Lent(
        *(f"lent-{project}.{number}", f"peer-{project}", f"p.{number}#1", "p", ("a", project)),
        *(number, 10.0),
        ahead=number == 4,
    ),
    st.sampled_from("xyz"),
    st.integers(1, 4),
)
STATES = st.sampled_from(("queued", "leased", "done"))


@given(st.lists(st.tuples(st.booleans(), LENT)))
def test_a_project_of_a_peer_is_here_as_long_as_a_job_of_it_is(steps):
    peers = Peers()
    for stays, lent in steps:
        if stays:
            peers.hold(lent)
        else:
            known = lent.job in peers.lent
            assert peers.let_go(lent.job) == known
        assert dict(peers.lent_projects()) == {
            one.lent_project: one.via for one in peers.lent.values()
        }


@given(st.lists(st.tuples(st.sampled_from(("here", "gone", "told")), LENT, STATES)))
def test_the_cores_of_what_peers_lent_are_counted_as_it_comes_begins_and_goes(steps):
    peers = Peers({one: PeerRecord(one, one, "", lends=True, cores=5) for one in ("peer-x",)})
    states = {}
    for what, lent, state in steps:
        if what == "here":
            peers.hold(lent)
        elif what == "gone":
            peers.let_go(lent.job)
            states.pop(lent.job, None)
        else:
            peers.note([JobRow(lent.job, lent.lent_project, 1, state, 1)])
            if lent.job in peers.lent:
                states[lent.job] = state
        here = peers.lent.values()
        assert peers.cores_unbegun() == sum(
            one.cores for one in here if states.get(one.job) == "queued" and not one.ahead
        )
        (lender,) = peers.lenders()
        assert lender.room == max(0, 5 - sum(one.cores for one in here if one.peer == "peer-x"))
