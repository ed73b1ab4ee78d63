"""Servers that change their addresses: what was lent goes on, and nobody types anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from copernicus.protocol.peers import PeerMoved
from copernicus.security.identity import Authority, create_authority
from copernicus.security.peering import prove, where
from copernicus.server.clock import wall
from copernicus.server.peers import MOST_URLS
from support.e2e import wait_until
from support.places import Place, places
from support.server_client import ScriptedWorker, User

AWAY = "127.0.0.9"
"""An address of this machine at which no server of the tests listens."""


def first_urls(place: Place, other: str) -> str:
    return str(place.peer(other)["urls"][0])


def said(ca: Authority, signs: Authority, to: str, urls: tuple[str, ...]) -> PeerMoved:
    """What the server of ``ca`` tells of itself, signed by ``signs``."""
    challenge, signature = prove(signs, to, where(urls, urls), wall())
    return PeerMoved(ca.ca_pem, challenge, signature, urls, urls)


def hide(one: Place, other: Place) -> None:
    """Have ``one`` tell ``other`` only addresses at which it is not to be reached."""
    behind = tuple(f"https://{AWAY}:{port}" for port in range(1, MOST_URLS + 1))
    own = Authority.load(one.server.folder / "identity")
    other.admin.call("POST", "/v1/peers/moved", said(own, own, other.id, behind))
    assert other.peer(one.id)["urls"] == list(behind)


def give_and_take(mine: Place, theirs: Place, folder: Path) -> tuple[ScriptedWorker, Any]:
    """A worker of theirs that holds the only job of mine."""
    theirs.works_for(mine)
    mine.give_work("p", 1)
    worker = ScriptedWorker(theirs.server, theirs.admin, folder)
    (held,) = wait_until(worker.lease, "a lent job")
    return worker, held


def finish(mine: Place, worker: ScriptedWorker, held: Any, project: str = "p") -> None:
    """The same attempt counts: it was never given anew."""
    assert worker.complete(held, {"text": "hello"}) == "accepted"
    wait_until(lambda: mine.jobs(project)[0]["state"] == "done", "the result to arrive", 90)
    assert mine.jobs(project)[0]["attempts"] == 1


def test_a_server_that_moves_tells_who_works_for_it_and_whom_it_works_for(
    tmp_path: Path,
) -> None:
    with places(tmp_path, 2) as (mine, theirs):
        worker, held = give_and_take(mine, theirs, tmp_path)
        with mine.moved() as there:
            told = there.server.user_url
            wait_until(lambda: first_urls(theirs, there.id) == told, "it to be told")
            finish(there, worker, held)
            there.give_work("q", 1)
            (held,) = wait_until(worker.lease, "more work from where it is now")
            with theirs.moved() as here:
                worker.at(here.server)
                finish(there, worker, held, "q")
                told_too = here.server.user_url
                wait_until(lambda: first_urls(there, here.id) == told_too, "it to be told")
            worker.close()


def test_a_peer_that_cannot_tell_is_found_at_the_port_for_people(tmp_path: Path) -> None:
    """Nothing reaches the server with the workers where it says to be, as behind a firewall."""
    with places(tmp_path, 2) as (mine, theirs):
        worker, held = give_and_take(mine, theirs, tmp_path)
        hide(theirs, mine)
        with mine.moved(user_port=mine.server.running.user_port) as there:
            finish(there, worker, held)
            worker.close()


def test_nobody_says_where_a_peer_is_but_the_owner_of_its_key(tmp_path: Path) -> None:
    create_authority(tmp_path / "liar", ["localhost"], wall())
    liar = Authority.load(tmp_path / "liar")
    with places(tmp_path, 2) as (mine, theirs):
        worker, held = give_and_take(mine, theirs, tmp_path)
        anyone = User(theirs.server)
        before = theirs.peer(mine.id)
        truth = Authority.load(mine.server.folder / "identity")
        elsewhere = (f"https://{AWAY}:14807",)

        other_urls = msgspec.structs.replace(
            said(truth, truth, theirs.id, tuple(before["urls"])), urls=elsewhere
        )
        for lie in (
            said(truth, liar, theirs.id, elsewhere),
            said(truth, truth, mine.id, elsewhere),
            other_urls,
        ):
            anyone.refused(401, "not_authenticated", "POST", "/v1/peers/moved", lie)
        stranger = said(liar, liar, theirs.id, elsewhere)
        anyone.refused(404, "not_found", "POST", "/v1/peers/moved", stranger)
        assert theirs.peer(mine.id)["urls"] == before["urls"]
        anyone.call("POST", "/v1/peers/moved", said(truth, truth, theirs.id, elsewhere))
        assert first_urls(theirs, mine.id) == elsewhere[0]
        anyone.close()

        # Both have lost the other: an address is enough, and nobody says yes anew.
        hide(theirs, mine)
        with mine.moved() as there:
            theirs.admin.call("POST", "/v1/peers", {"url": there.server.user_url})
            finish(there, worker, held)
            worker.close()
