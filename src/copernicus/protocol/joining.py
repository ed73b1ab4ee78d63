"""How machines become workers of a server, and what is known of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.model.resources import ProgramOffer


class BundleRequest(msgspec.Struct, frozen=True):
    """A join token for workers of a pool."""

    pool: str = "default"
    uses: int = 100
    days: float = 30.0


class BundleReply(msgspec.Struct, frozen=True):
    """What a worker bundle holds."""

    server_id: str
    urls: tuple[str, ...]
    join_urls: tuple[str, ...]
    ca_pem: str
    pool: str
    join_token: str
    expires: float


class WorkerFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a joining worker says of itself.

    What is left out means the same to every version: so the default of ``protocol`` never changes.
    """

    host: str
    platform: str = ""
    cores: int = 0
    memory_mb: int = 0
    version: str = ""
    protocol: int = 1


class JoinRequest(msgspec.Struct, frozen=True):
    """Become a worker: token, certificate signing request (PEM), facts."""

    token: str
    csr: str
    facts: WorkerFacts


class RenewRequest(msgspec.Struct, frozen=True):
    """A new certificate for an old one (PEM): ``signature`` (hex) of ``challenge`` by its key.

    The challenge is ``server_id:worker_id:time`` with the time (epoch seconds) within 10 minutes.
    """

    certificate: str
    csr: str
    challenge: str
    signature: str


class Certificate(msgspec.Struct, frozen=True):
    """A worker's identity."""

    worker_id: str
    certificate: str
    server_id: str


class WorkerView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker, as shown.

    ``quarantined``: everything failed there lately (``why``), so it gets no work ``until`` then.
    ``full``: its disk is (``why``), so it asks for none until there is room.
    """

    id: str
    host: str
    pool: str
    state: Literal["connected", "silent", "revoked", "draining", "quarantined", "full"]
    last_seen: float
    cores: int = 0
    cores_free: int = 0
    gpus: int = 0
    memory_mb: int = 0
    programs: tuple[ProgramOffer, ...] = ()
    running: int = 0
    joined: float = 0.0
    why: str = ""
    until: float = 0.0
