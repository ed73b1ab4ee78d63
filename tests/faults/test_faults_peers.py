"""Peers that lie, and peers in a ring: real servers that talk over TLS, workers as scripted."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from copernicus.protocol import LeaseReply, ResultRequest
from copernicus.protocol.peers import PeerJoin
from copernicus.security.identity import Authority, create_authority, make_key_and_csr
from copernicus.security.peering import prove
from copernicus.server.clock import wall
from support.e2e import wait_until
from support.fake_peers import FakePeer, join_request
from support.places import Place, places
from support.server_client import (
    ScriptedWorker,
    User,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with places(tmp_path_factory.mktemp("one"), 1) as (made,):
        yield made


def test_fault_44_a_peer_gets_in_once_with_its_own_key_and_its_own_invitation(
    place: Place, tmp_path: Path
) -> None:
    fake = FakePeer(place, tmp_path / "fake")
    path = "/v1/peers/join"
    said = place.admin.refused(401, "not_authenticated", "POST", path, stranger(tmp_path, fake))
    assert said == "This invitation is used up: ask for a new one (cpc peer invite)."
    # The id of another server cannot be had without its key.
    create_authority(tmp_path / "thief", ["localhost"], wall())
    thief = Authority.load(tmp_path / "thief")
    _, csr = make_key_and_csr()
    challenge, signature = prove(thief, place.id, csr, wall())
    stolen = PeerJoin(fake.join.ca_pem, csr, challenge, signature)
    place.admin.refused(401, "not_authenticated", "POST", path, stolen)
    # What it proved to another server is worth nothing here.
    elsewhere = join_request(thief, fake.id, csr)
    said = place.admin.refused(401, "not_authenticated", "POST", path, elsewhere)
    assert said == "The challenge was made for another server."
    fake.close()


def test_fault_45_a_server_that_asks_to_be_a_peer_cannot_make_this_one_call_an_address(
    place: Place, tmp_path: Path
) -> None:
    create_authority(tmp_path / "asks", ["localhost"], wall())
    asks = Authority.load(tmp_path / "asks")
    _, csr = make_key_and_csr()
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(1.0)
        url = f"https://127.0.0.1:{canary.getsockname()[1]}"
        told = msgspec.structs.replace(join_request(asks, place.id, csr), urls=(url, "file:///x"))
        reply = place.admin.call("POST", "/v1/peers/join", told)
        assert "certificate" not in reply
        shown = place.peer(asks.server_id)
        assert (shown["state"], shown["urls"]) == ("requested", [url])
        place.admin.call("POST", f"/v1/peers/{asks.server_id}/trust")
        with pytest.raises(TimeoutError):
            canary.accept()
        # What an administrator names is called, and believed only if it owns the key.
        body = {"url": url, "server_id": asks.server_id}
        canary.settimeout(30.0)
        with ThreadPoolExecutor() as pool:
            refused = pool.submit(place.admin.send, "POST", "/v1/peers", body)
            canary.accept()[0].close()
            assert refused.result().status_code == 502


def stranger(folder: Path, other: FakePeer) -> PeerJoin:
    """Somebody else with an invitation that was used."""
    create_authority(folder / "stranger", ["localhost"], wall())
    authority = Authority.load(folder / "stranger")
    to = other.join.challenge.partition(":")[0]
    return join_request(authority, to, make_key_and_csr()[1], other.token)


def test_fault_44_a_peer_sees_and_ends_only_what_it_was_lent(place: Place, tmp_path: Path) -> None:
    worker = ScriptedWorker(place.server, place.admin, tmp_path)
    fake = FakePeer(place, tmp_path / "fake")
    place.give_work("secret", 2)
    secret = place.admin.upload("secret", b"not for peers")
    (own,) = worker.lease(cores=1)
    (lent,) = fake.lease(cores=1)
    assert (lent.via, lent.losses) == ((place.id,), 0)
    assert own.via == ()

    foreign = ResultRequest(own.attempt, 1, "completed", {"said": "forged"})
    assert "not granted" in fake.refused(403, "result", foreign)["message"]
    invented = ResultRequest(f"{lent.job}#7", 1, "completed", {"said": "forged"})
    fake.refused(403, "result", invented)
    assert fake.http.get(f"/v1/work/blobs/{secret['$file']}").status_code == 404
    listing = User(place.server)
    for path in ("/v1/projects", "/v1/users", "/v1/workers", "/v1/peers", "/v1/audit"):
        assert listing.send("GET", path).status_code == 401
        assert fake.http.get(path).status_code in (401, 404)
    listing.close()

    assert fake.complete(lent, {"said": "hello"}) == "accepted"
    assert fake.complete(lent, {"said": "hello"}) == "already"
    assert fake.complete(lent, {"said": "other"}) == "superseded"
    assert worker.complete(own, {"said": "hello"}) == "accepted"
    (usage,) = place.peer(fake.id)["borrowed_usage"]
    assert (usage["project"], usage["jobs"]) == ("secret", 1)
    for one in (fake, worker):
        one.close()


def test_fault_44_a_peer_that_hoards_is_held_to_its_limits(place: Place, tmp_path: Path) -> None:
    fake = FakePeer(place, tmp_path / "fake")
    place.admin.call("PUT", f"/v1/peers/{fake.id}", {"cores": 3})
    place.give_work("hoard", 6)
    held = [given.attempt for given in fake.lease(cores=100)]
    held += [given.attempt for given in fake.lease(cores=100, wait_s=0.0)]
    assert len(held) == 3
    assert place.peer(fake.id)["borrowed_cores"] == 3
    place.admin.call("POST", f"/v1/peers/{fake.id}/suspend")
    assert {one.action for one in fake.beat(*held).directives} == {"discard"}
    said = fake.refused(403, "lease", fake.asking())["message"]
    assert said.endswith("its administrator has suspended this peer.")
    assert {job["state"] for job in place.jobs("hoard")} == {"queued"}
    place.admin.call("POST", f"/v1/peers/{fake.id}/resume")
    place.admin.call("DELETE", f"/v1/peers/{fake.id}")
    refused = fake.refused(401, "lease", fake.asking())["message"]
    assert "was removed here" in refused
    place.admin.call("DELETE", "/v1/projects/hoard")
    fake.close()


def test_fault_44_a_wrong_result_of_a_peer_is_found_by_running_it_again_elsewhere(
    place: Place, tmp_path: Path
) -> None:
    """The peer never gets the second run, under no request; nothing that was accepted changes."""
    fake = FakePeer(place, tmp_path / "fake")
    place.give_work("checked", 1)
    (lie,) = fake.ask("lease", fake.asking(), LeaseReply).assignments
    assert fake.complete(lie, {"said": "a lie"}) == "accepted"
    path = "/v1/projects/checked"
    body = {"path": "one0.out.said", "elsewhere": True}
    run = place.admin.call("POST", f"{path}/reproductions", body)
    for _ in range(3):
        assert fake.ask("lease", fake.asking(name=f"again {_}"), LeaseReply).assignments == ()
    honest = ScriptedWorker(place.server, place.admin, tmp_path / "own")
    (given,) = honest.lease()
    honest.complete(given, {"said": "hello"})
    run = place.admin.get(f"{path}/reproductions/{run['job']}")
    assert (run["state"], run["expected"], run["outputs"]) == (
        "done",
        {"said": "a lie"},
        {"said": "hello"},
    )
    assert [one["worker"] for one in run["first"]] == [fake.id]
    assert [one["worker"] for one in run["second"]] == [honest.id]
    place.admin.call("DELETE", path)
    honest.close()
    fake.close()


def test_fault_46_an_offer_that_has_come_this_way_or_too_far_is_refused(
    place: Place, tmp_path: Path
) -> None:
    fake = FakePeer(place, tmp_path / "fake")
    others = [f"{'a' * 25}{mark}" for mark in "bcdefg"]
    assert (
        "came this way before"
        in fake.refused(403, "lease", fake.asking(place.id, fake.id))["message"]
    )
    fake.refused(403, "lease", fake.asking(*others[:5]))
    assert fake.send("lease", fake.asking(*others[:4])).status_code == 200
    fake.close()


def test_fault_46_in_a_ring_a_job_goes_to_the_far_worker_and_never_back(tmp_path: Path) -> None:
    """Everybody works for everybody; the only worker is two hops away from the project."""
    with places(tmp_path, 3) as (first, second, third):
        for lender, borrower in ((second, first), (third, second), (first, third)):
            lender.works_for(borrower)
        first.give_work("ring", 3)
        worker = ScriptedWorker(third.server, third.admin, tmp_path)
        done: set[str] = set()

        def work() -> bool:
            for given in worker.lease(wait_s=5.0, cores=1):
                assert given.attempt not in done
                done.add(given.attempt)
                assert worker.complete(given, {"said": given.spec.label or "x"}) == "accepted"
            return {job["state"] for job in first.jobs("ring")} == {"done"}

        wait_until(work, "all jobs of the ring", 120)
        assert len(done) == 3
        assert {job["attempts"] for job in first.jobs("ring")} == {1}
        (usage,) = first.peer(second.id)["borrowed_usage"]
        assert usage["jobs"] == 3
        assert first.peer(third.id)["lent_usage"] == []

        def settled() -> list[dict]:
            return [*second.peer(first.id)["lent_usage"], *third.peer(second.id)["lent_usage"]]

        wait_until(lambda: [one["jobs"] for one in settled()] == [3, 3], "the books", 30)
        # The project has one name on the whole way.
        project = first.admin.get("/v1/projects/ring")["id"]
        assert {one["project"] for one in settled()} == {project}
        worker.close()
