"""The way to one peer: a link that shows this server's certificate, and files over it."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from copernicus.blobs import CHUNK_SIZE, BlobStore, Manifest
from copernicus.calling.link import Link
from copernicus.calling.outbox import Outbox
from copernicus.calling.transfer import Carrier
from copernicus.calling.waiting import within
from copernicus.errors import CopernicusError, NotAllowed, ServerBusy, ServerUnreachable
from copernicus.protocol import Assignment, LeaseReply, LeaseRequest
from copernicus.protocol.common import PROTOCOL
from copernicus.scheduling.lending import Ask
from copernicus.security.tls import client_context
from copernicus.server.batch import Batch
from copernicus.server.peers import PEERS, PeerRecord
from copernicus.server.relay.joining import is_due, join_peer, pair_file, tell_address
from copernicus.server.site import Site

_MARGIN_S = 15.0
_MOST_UNANSWERED = 7
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 30.0
_MISSED_IS_LOST = 2
_FIRST_SEEK_S, _LONGEST_SEEK_S = 10.0, 300.0


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


class _Line(NamedTuple):
    link: Link
    carrier: Carrier
    outbox: Outbox


class Way:
    """Requests to one peer; opened with the first, and anew when its certificate is due."""

    def __init__(self, site: Site, peer: str) -> None:
        self.peer = peer
        self._site = site
        self._line: _Line | None = None
        self._seq = 0
        self._unanswered: list[LeaseRequest] = []
        self._rest_until = 0.0
        self._rest_s = _FIRST_REST_S
        self._missed = 0
        self._has_moved = asyncio.Event()
        self._seek_at, self._seek_s = 0.0, _FIRST_SEEK_S

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
        """Requests of any kind, with a certificate that is good.

        Raises:
            NotAllowed: the peer's administrator has not said yes yet.
            CopernicusError: there is no way to it, or it does not take this server.
        """
        return (await self._open()).link

    async def carrier(self) -> Carrier:
        """Files over the link; errors as ``link``."""
        return (await self._open()).carrier

    async def outbox(self) -> Outbox:
        """Results over the link, several at a time; errors as ``link``."""
        return (await self._open()).outbox

    async def _open(self) -> _Line:
        if is_due(pair_file(self._site, self.peer)):
            await self._join()
        if self._line is None:
            link = Link(self.record.machine_urls, self.peer, self._context())
            link.on_answer = self.heard
            carrier = Carrier(link, self._site.blobs, lambda _error, _delay: None)
            self._line = _Line(link, carrier, Outbox(link))
        return self._line

    def _context(self) -> ssl.SSLContext:
        file = pair_file(self._site, self.peer)
        return client_context(self.record.ca_pem, cert_file=file, key_file=file)

    async def _join(self) -> None:
        """Tell the peer where this server is, learn where it is, and get a certificate."""
        joined = await join_peer(self._site, self.record)
        await self._keep(joined.learned)
        if self.record.waits:
            raise NotAllowed(
                "It has not said yes yet: its administrator does so with cpc peer trust "
                f"{self._site.authority.server_id}"
            )
        if self._line is not None:
            self._line.link.renew(self._context())
            self._line.link.move(self.record.machine_urls)

    async def _keep(self, learned: Callable[[PeerRecord], PeerRecord]) -> None:
        """Write down what the peer was found to be now."""

        def keep(batch: Batch) -> None:
            known = batch.holdings.peers.get(self.peer)
            now = learned(known)
            if now != known:
                batch.holdings.peers.records[now.id] = now
                batch.write(PEERS.keep(now.id, now))

        await self._site.runtime.do(keep)

    # --- where it is ----------------------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        """Whether it is time to ask for it at the addresses that people use."""
        return self._missed >= _MISSED_IS_LOST and self._site.clock.now() >= self._seek_at

    def heard(self) -> None:
        """It answers where it is thought to be."""
        self._missed, self._seek_s = 0, _FIRST_SEEK_S

    def missed(self) -> None:
        """It was told something, and nothing answered."""
        self._missed += 1

    async def find(self) -> None:
        """Ask for it at all addresses that people use; what answers must own its key.

        Raises:
            CopernicusError: it is at none of these, or takes this server no more.
        """
        self._seek_at = self._site.clock.now() + self._seek_s
        self._seek_s = min(2 * self._seek_s, _LONGEST_SEEK_S)
        await self._join()

    def moved(self) -> None:
        """It is elsewhere: its record says where, and the next request goes there."""
        if self._line is not None:
            self._line.link.move(self.record.machine_urls)
        self.rested()
        self._has_moved.set()
        self._has_moved = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        """Wait before the next try, at most until the peer is known to be elsewhere."""
        await within(seconds, self._has_moved)

    async def tell_address(self) -> None:
        """Tell it where this server is now.

        Raises:
            CopernicusError: it cannot be reached, or does not listen.
        """
        told = self._site.addresses
        await tell_address(self._site, self.record)
        await self._keep(lambda known: msgspec.structs.replace(known, knows=told))

    # --- work -------------------------------------------------------------------------------------

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
        request = LeaseRequest(self._new_id(), ask.offer, wait_s, ask.ahead, PROTOCOL, ask.via)
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
        line, self._line = self._line, None
        if line is not None:
            await line.link.close()

    async def leave(self) -> None:
        """Tell the peer that this server works for it no more, if it hears it."""
        try:
            link = await self.link()
            await link.send("POST", "/v1/work/leave", timeout_s=5.0)
        except CopernicusError:
            return
