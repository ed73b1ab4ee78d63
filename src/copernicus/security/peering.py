"""How servers prove to each other who they are, and what an invitation looks like.

A server's id is the hash of its authority's key. To become a peer it signs, with that key, a
challenge that names both servers and the time, together with what it says: the request for its
certificate, or where it is now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from copernicus.errors import BadSettings, BadValue, NotAuthenticated
from copernicus.security.identity import Authority, server_id_of, verify_challenge
from copernicus.security.renewal import CHALLENGE_LIFE, from_hex, make_challenge, signed_bytes

_INVITATION = re.compile(r"([a-z2-7]{26})\.(pt_[0-9a-f]{16}\.[A-Za-z0-9_-]{43})")
_SERVER_ID = re.compile(r"[a-z2-7]{26}")


def invitation(server_id: str, token: str) -> str:
    """What the other administrator types: who invites, and the secret."""
    return f"{server_id}.{token}"


def read_invitation(text: str) -> tuple[str, str]:
    """The server that invites, and the token for it.

    Raises:
        BadValue: it is no invitation. The message does not repeat it.
    """
    found = _INVITATION.fullmatch(text.strip())
    if found is None:
        raise BadValue("This is no invitation of a server: it comes from cpc peer invite.")
    return found[1], found[2]


def check_server_id(text: str) -> str:
    """The id.

    Raises:
        BadValue: it has not the form of one.
    """
    if not _SERVER_ID.fullmatch(text):
        raise BadValue(f"{text!r} is no server id: 26 letters and digits (cpc server status).")
    return text


def where(urls: Iterable[str], machine_urls: Iterable[str]) -> str:
    """What a server signs that says where it is: no request for a certificate looks like it."""
    return json.dumps([list(urls), list(machine_urls)])


def prove(authority: Authority, to: str, said: str, now: datetime) -> tuple[str, str]:
    """A challenge of this moment to the server ``to``, and the signature under both (hex)."""
    challenge = make_challenge(to, authority.server_id, now)
    return challenge, authority.sign(signed_bytes(challenge, said)).hex()


def verify_peer(
    ca_pem: str, said: str, challenge: str, signature: str, *, own_id: str, now: datetime
) -> str:
    """The id of the server that signed this.

    Raises:
        NotAuthenticated: it does not own the key, meant another server, or signed it long ago.
    """
    try:
        peer = server_id_of(ca_pem)
        signed = verify_challenge(ca_pem, signed_bytes(challenge, said), from_hex(signature))
    except BadSettings as error:
        raise NotAuthenticated("The peer's ca_pem is not a certificate in PEM form.") from error
    if not signed:
        raise NotAuthenticated("The challenge is not signed by the key of the peer's authority.")
    to, _, rest = challenge.partition(":")
    name, _, moment = rest.partition(":")
    if (to, name) != (own_id, peer) or not (moment.isascii() and moment.isdigit()):
        raise NotAuthenticated("The challenge was made for another server.")
    if len(moment) > 12 or abs(now.timestamp() - int(moment)) > CHALLENGE_LIFE.total_seconds():
        raise NotAuthenticated(
            f"The challenge is not of the last {CHALLENGE_LIFE.seconds // 60} minutes: this "
            f"server's clock says {now.astimezone(UTC).isoformat(timespec='seconds')}, compare "
            "the other's."
        )
    return peer
