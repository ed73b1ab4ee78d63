"""A peer that says what a test wants, over real TLS."""

from __future__ import annotations

from pathlib import Path

from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import LeaseRequest
from copernicus.protocol.peers import PeerJoin
from copernicus.security.identity import Authority, create_authority, make_key_and_csr
from copernicus.security.peering import prove, read_invitation
from copernicus.server.clock import wall
from support.places import Place
from support.server_client import ScriptedWorker


class FakePeer(ScriptedWorker):
    """A server of which nothing is true but its key: it says what the test wants."""

    def __init__(self, place: Place, folder: Path) -> None:
        folder.mkdir()
        create_authority(folder / "identity", ["localhost"], wall())
        self.authority = authority = Authority.load(folder / "identity")
        self.id = authority.server_id
        self.key, csr = make_key_and_csr()
        _, self.token = read_invitation(place.invitation())
        self.join = join_request(authority, place.id, csr, self.token)
        reply = place.admin.call("POST", "/v1/peers/join", self.join)
        self.show(place.server, folder, reply["certificate"])

    def renewal(self, place: Place) -> PeerJoin:
        """What it says to join anew, as it does every day."""
        return join_request(self.authority, place.id, make_key_and_csr()[1])

    def asking(self, *via: str, name: str = "", cores: int = 4, program: str = "echo"):
        offer = Offer((ProgramOffer(program, "1.0"),), cores, memory_mb=1000)
        return LeaseRequest(name or f"via {via} {cores} {program}", offer, 0.0, via=via)


def join_request(authority: Authority, to: str, csr: str, token: str = "") -> PeerJoin:
    challenge, signature = prove(authority, to, csr, wall())
    return PeerJoin(authority.ca_pem, csr, challenge, signature, token, "fake")
