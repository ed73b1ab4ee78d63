"""What servers and their administrators say about peers: other servers that lend or borrow."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.protocol.common import PROTOCOL

PeerState = Literal["trusted", "suspended", "doubted", "asked", "requested"]


class PeerInvite(msgspec.Struct, frozen=True):
    """Let one server in, once, within so many days."""

    days: float = 7.0


class PeerInvitation(msgspec.Struct, frozen=True):
    """What the other server's administrator gives to ``cpc peer add``; the token is in no log."""

    url: str
    token: str
    expires: float


class PeerAdd(msgspec.Struct, frozen=True):
    """Have this server work for the one at ``url``; without a token, ask its administrator.

    ``server_id`` is the id that it must have; an invitation's token names it, too.
    """

    url: str
    token: str = ""
    server_id: str = ""


class PeerChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to change about a peer; ``None`` leaves it. ``cores`` and ``hours`` 0: no limit.

    ``projects``: the only ones of this server (names or ids) whose jobs it may run; empty: all.
    ``clients``: how many connections of people are let through at a time; 0: none.
    """

    priority: int | None = None
    cores: int | None = None
    hours: float | None = None
    projects: tuple[str, ...] | None = None
    clients: int | None = None


class PeerJoin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server wants to work for this one.

    It proves to own the authority ``ca_pem`` by the signature under ``challenge`` and ``csr``.
    Without a token it waits for the administrator's word.
    """

    ca_pem: str
    csr: str
    challenge: str
    signature: str
    token: str = ""
    name: str = ""
    urls: tuple[str, ...] = ()
    protocol: int = PROTOCOL
    machine_urls: tuple[str, ...] = ()


class PeerMoved(msgspec.Struct, frozen=True, omit_defaults=True):
    """A peer says where it is now, with the proof that it owns the authority ``ca_pem``.

    The signature is under ``challenge`` and all of the addresses.
    """

    ca_pem: str
    challenge: str
    signature: str
    urls: tuple[str, ...]
    machine_urls: tuple[str, ...]
    protocol: int = PROTOCOL


class PeerHeard(msgspec.Struct, frozen=True):
    """The server of this id has written down where the peer is."""

    server_id: str


class PeerAdmitted(msgspec.Struct, frozen=True, omit_defaults=True):
    """``certificate`` is empty as long as the administrator has not said yes."""

    server_id: str
    ca_pem: str
    name: str
    urls: tuple[str, ...]
    machine_urls: tuple[str, ...]
    certificate: str = ""


class PeerUsage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Work of one project that was delivered: ``jobs``, and the core-hours that they took."""

    project: str
    jobs: int = 0
    core_hours: float = 0.0


class PeerView(msgspec.Struct, frozen=True):
    """A peer, as shown.

    ``lends``: this server works for it; ``borrows``: it works for this server. ``lent`` and
    ``borrowed`` are attempts and cores at this moment, ``lent_usage`` and ``borrowed_usage`` what
    was delivered in all. ``trouble`` says why nothing comes from it, if that is known.
    ``verified`` of its results were run again elsewhere, of which ``differed`` were not the same.
    """

    id: str
    name: str
    state: PeerState
    urls: tuple[str, ...] = ()
    lends: bool = False
    borrows: bool = False
    last_contact: float = 0.0
    priority: int = 0
    cores: int = 0
    hours: float = 0.0
    projects: tuple[str, ...] = ()
    lent: int = 0
    lent_cores: int = 0
    borrowed: int = 0
    borrowed_cores: int = 0
    lent_usage: tuple[PeerUsage, ...] = ()
    borrowed_usage: tuple[PeerUsage, ...] = ()
    trouble: str = ""
    clients: int = 0
    verified: int = 0
    differed: int = 0
