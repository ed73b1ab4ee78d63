"""The way to one peer: a link that shows this server's certificate, and files over it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from copernicus.blobs import CHUNK_SIZE, BlobStore, Manifest
from copernicus.calling.addresses import addresses
from copernicus.calling.link import Link
from copernicus.calling.transfer import Carrier
from copernicus.errors import CopernicusError, NotAllowed, ServerBusy, ServerUnreachable
from copernicus.protocol import Assignment, LeaseReply, LeaseRequest
from copernicus.protocol.common import PROTOCOL
from copernicus.protocol.peers import PeerAdmitted
from copernicus.scheduling.lending import Ask
from copernicus.security.tls import client_context
from copernicus.server.batch import Batch
from copernicus.server.peers import PeerRecord, keep_peer
from copernicus.server.relay.joining import is_due, join_peer, pair_file
from copernicus.server.site import Site

_MARGIN_S = 15.0
_MOST_UNANSWERED = 7
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A blob of this server's, to be sent to a peer."""

    blobs: BlobStore
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """The SHA-256 of the whole file."""
        return self.manifest.sha256

    def chunk(self, index: int) -> bytes:
        """One of its chunks."""
        start = index * CHUNK_SIZE
        return self.read(start, start + self.manifest.chunks[index].size)

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Some of its bytes, or all of them."""
        return b"".join(self.blobs.read(self.sha256, start, end))


def kept(blobs: BlobStore, files: Iterable[str]) -> list[Kept]:
    """Blobs to send, each once. Blocking."""
    return [Kept(blobs, blobs.manifest(sha256)) for sha256 in dict.fromkeys(files)]


class Way:
    """Requests to one peer; opened with the first, and anew when its certificate is due."""

    def __init__(self, site: Site, peer: str) -> None:
        self.peer = peer
        self._site = site
        self._link: Link | None = None
        self._carrier: Carrier | None = None
        self._seq = 0
        self._unanswered: list[LeaseRequest] = []
        self._rest_until = 0.0
        self._rest_s = _FIRST_REST_S

    @property
    def is_resting(self) -> bool:
        """Whether the peer was in trouble a moment ago, and is not asked for work yet."""
        return self._site.clock.now() < self._rest_until

    def rest(self) -> None:
        """Do not ask it for a while, longer each time; several requests fail at the same time."""
        if self.is_resting:
            return
        self._rest_until = self._site.clock.now() + self._rest_s
        self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)

    def rested(self) -> None:
        """It answers, and it has changed its mind if it had refused."""
        self._rest_until, self._rest_s = 0.0, _FIRST_REST_S

    @property
    def record(self) -> PeerRecord:
        """What is known of the peer; ``NotFound`` if it was removed."""
        return self._site.runtime.holdings.peers.get(self.peer)

    async def link(self) -> Link:
        """The link, with a certificate that is good.

        Raises:
            NotAllowed: the peer's administrator has not said yes yet.
            CopernicusError: there is no way to it, or it does not take this server.
        """
        file = pair_file(self._site, self.peer)
        if is_due(file):
            await self._join()
        if self._link is None:
            peer = self.record
            context = client_context(peer.ca_pem, cert_file=file, key_file=file)
            self._link = Link(peer.machine_urls, peer.id, context)
            self._carrier = Carrier(self._link, self._site.blobs, lambda _error, _delay: None)
        return self._link

    async def carrier(self) -> Carrier:
        """Files over the link; errors as ``link``."""
        await self.link()
        assert self._carrier is not None
        return self._carrier

    async def _join(self) -> None:
        """Tell the peer where this server is, learn where it is, and get a certificate."""
        admitted = await join_peer(self._site, self.record)
        await self._learn(admitted)
        if not admitted.certificate:
            raise NotAllowed(
                "It has not said yes yet: its administrator does so with cpc peer trust "
                f"{self._site.authority.server_id}"
            )
        await self.close()

    async def _learn(self, admitted: PeerAdmitted) -> None:
        """Keep what the peer tells of itself; the address that is known to work stays the first."""
        known = self.record
        now = msgspec.structs.replace(
            known,
            urls=tuple(dict.fromkeys((known.urls[0], *addresses(admitted.urls))))[:8],
            machine_urls=addresses(admitted.machine_urls) or known.machine_urls,
            name=admitted.name[:255] or known.name,
            waits=not admitted.certificate,
        )

        def keep(batch: Batch) -> None:
            batch.holdings.peers.records[now.id] = now
            batch.write(lambda tx: keep_peer(tx, now))

        if now != known:
            await self._site.runtime.do(keep)

    def next_seq(self, count: int = 1) -> int:
        """Numbers that grow, also over a restart: the last one of so many."""
        self._seq = max(self._seq + count, int(1000 * self._site.clock.now()))
        return self._seq

    async def lease(self, ask: Ask, wait_s: float) -> list[Assignment]:
        """Work for one idle worker; also what an earlier request was given whose answer was lost.

        Raises:
            CopernicusError: the peer refuses, or is away.
        """
        link = await self.link()
        lost, self._unanswered = self._unanswered, []
        again = [msgspec.structs.replace(one, wait_s=0.0) for one in lost]
        request = LeaseRequest(self._new_id(), ask.offer, wait_s, (), PROTOCOL, ask.via)
        found: list[Assignment] = []
        for one in (*again, request):
            try:
                reply = await link.ask(
                    "/v1/work/lease", one, LeaseReply, timeout_s=one.wait_s + _MARGIN_S
                )
            except (ServerUnreachable, ServerBusy):
                # It may have been granted all the same: the same id tells.
                self._unanswered = [*self._unanswered[-_MOST_UNANSWERED:], one]
                if not found:
                    raise
            else:
                found.extend(reply.assignments)
        self.rested()
        return found

    def _new_id(self) -> str:
        """What no other request has."""
        return uuid.uuid4().hex

    def forget_requests(self) -> None:
        """What was asked before a refusal was given nothing."""
        self._unanswered.clear()

    async def close(self) -> None:
        """Close every connection."""
        link, self._link, self._carrier = self._link, None, None
        if link is not None:
            await link.close()

    async def leave(self) -> None:
        """Tell the peer that this server works for it no more, if it hears it."""
        try:
            link = await self.link()
            await link.send("POST", "/v1/work/leave", timeout_s=5.0)
        except CopernicusError:
            return
