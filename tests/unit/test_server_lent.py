"""What peers lent, in memory: which of their projects are here is known without a walk over all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copernicus.scheduling.lending import Lent
from copernicus.server.peers import Peers

LENT = st.builds(
    lambda project, number: Lent(
        f"lent-{project}.{number}", "peer", f"p.{number}#1", "p", ("a", project), 1, 10.0
    ),
    st.sampled_from("xyz"),
    st.integers(1, 4),
)


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
