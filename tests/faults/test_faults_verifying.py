"""A server that is killed while it finds out that a peer lied: real processes, real TLS."""

from __future__ import annotations

from pathlib import Path

from copernicus.protocol import Assignment, LeaseReply
from support.e2e import ADMIN_PASSWORD, Env
from support.fake_peers import FakePeer
from support.places import SETTINGS, Place, Reached
from support.server_client import ScriptedWorker, add, set_input

RULE = "/v1/projects/checked/verification"


def test_fault_44_a_peer_whose_result_was_not_the_same_elsewhere_gets_no_more_through_kills(
    tmp_path: Path,
) -> None:
    """Killed in the middle of the second run, and after the doubt: neither is lost."""
    env = Env(tmp_path)
    try:
        env.init_server(**SETTINGS)
        env.start_server()
        place = Place(Reached(env), ADMIN_PASSWORD)
        peer = FakePeer(place, tmp_path / "fake")
        own = ScriptedWorker(place.server, place.admin, tmp_path / "own")
        place.give_work("checked", 0)
        place.admin.call("PUT", RULE, {"fraction": 1.0})
        give(place, peer, "x0", "a lie")
        (second_run,) = own.lease()
        place = killed(env, place, peer, own)
        assert counts(place) == {"open": 1}
        # What a worker has finished meanwhile counts, sent twice as well; nothing is run again.
        assert own.complete(second_run, {"said": "hello"}) == "accepted"
        place = killed(env, place, peer, own)
        assert own.complete(second_run, {"said": "hello"}) in ("already", "superseded")
        assert counts(place) == {"differed": 1}
        shown = place.peer(peer.id)
        assert (shown["state"], shown["verified"], shown["differed"]) == ("doubted", 1, 1)
        assert "was not the same elsewhere" in refusal(peer)
        assert len(place.admin.get("/v1/projects/checked")["doubts"]) == 1
        # To join anew with its key does not help it.
        place.admin.call("POST", "/v1/peers/join", peer.renewal(place))
        assert "was not the same elsewhere" in refusal(peer)
        place.admin.call("POST", f"/v1/peers/{peer.id}/resume")
        give(place, peer, "x1", "hello")
        assert place.peer(peer.id)["state"] == "trusted"
        for one in (peer, own, place.admin):
            one.close()
    finally:
        env.close()


def give(place: Place, peer: FakePeer, path: str, said: str) -> Assignment:
    place.admin.edit("checked", add(path), set_input(f"{path}.in.text", "hello"))
    (job,) = peer.ask("lease", peer.asking(name=path), LeaseReply).assignments
    assert peer.complete(job, {"said": said}) == "accepted"
    return job


def killed(env: Env, place: Place, *workers: ScriptedWorker) -> Place:
    """``kill -9``, and started again."""
    place.admin.close()
    env.kill_server()
    env.start_server()
    again = Place(Reached(env), ADMIN_PASSWORD)
    for one in workers:
        one.at(again.server)
    return again


def counts(place: Place) -> dict:
    return place.admin.get("/v1/projects/checked")["verified"]


def refusal(peer: FakePeer) -> str:
    return peer.refused(403, "lease", peer.asking(name="more"))["message"]
