"""Tunnels: the bytes of a user's TLS connection with a peer's user port, passed on by this server.

The first server lets its users through to a peer that it can dial. The second one lets those who
come by way of a peer through to its own user port, and to nothing else. Both must want it (``cpc
peer limit --clients``). What passes is encrypted from the user's machine to the second server: the
first one sees how much and when, never what, and the second one asks for a login as ever.

Nobody can name an address: what is asked for is the id of a peer, and the pinned key of what
answers there is proven before a byte passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from copernicus.errors import (
    CopernicusError,
    NotAllowed,
    NotFound,
    ServerBusy,
    ServerUnreachable,
    error_for_code,
)
from copernicus.security.asgi import Connect
from copernicus.security.certificates import INTERNAL_DOMAIN, tls_name
from copernicus.security.policy import Action, authorize
from copernicus.security.tls import client_context
from copernicus.server.http.access import holder_of, session_caller
from copernicus.server.peers import PeerRecord
from copernicus.server.relay.joining import pair_file
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

_LOG = get_logger("tunnels")
IDLE_S = 600.0
MOST_BYTES = 256 << 30
_LOOK_S = 30.0
_DIAL_S = 10.0
_FAREWELL_S = 2.0
_HEAD = 8192


@dataclass(eq=False)
class Tunnel:
    """One that is open: for whom, what it may carry, and its two ends."""

    peer: str
    still_may: Callable[[], object]
    ends: list[asyncio.Transport] = field(default_factory=list)
    carried: int = 0
    used: float = 0.0
    writer: asyncio.StreamWriter | None = None
    """Kept, since one that is forgotten closes its connection."""

    def abort(self) -> None:
        """Cut it at once."""
        for end in self.ends:
            end.abort()


class _End(asyncio.Protocol):
    """What comes in at one end goes out at the other, no faster than that takes it."""

    def __init__(
        self, tunnel: Tunnel, other: asyncio.Transport, on_end: Callable[[], None]
    ) -> None:
        self._tunnel, self._other, self._on_end = tunnel, other, on_end

    def data_received(self, data: bytes) -> None:
        tunnel = self._tunnel
        tunnel.carried += len(data)
        tunnel.used = asyncio.get_running_loop().time()
        if tunnel.carried > MOST_BYTES:
            tunnel.abort()
        elif not self._other.is_closing():
            self._other.write(data)

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()
        self._other.close()
        # Closing politely, TLS may wait for a farewell that never comes.
        asyncio.get_running_loop().call_later(_FAREWELL_S, self._other.abort)


class Tunnels:
    """All tunnels of this server, in both roles."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open: set[Tunnel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._origins: dict[tuple[str, int], str] = {}

    def at_user_port(self, asked: Connect) -> None:
        """A user wants to be let through to a peer."""
        self._spawn(self._answer(asked, self._to_peer))

    def at_machine_port(self, asked: Connect) -> None:
        """A peer wants to let one of its users through to this server's user port."""
        self._spawn(self._answer(asked, self._to_own_port))

    def origin(self, host: str, port: int) -> str:
        """The peer by way of which a connection from this end came, if this server made it."""
        return self._origins.get((host, port), "")

    async def run(self) -> None:
        """Cut, until it is cancelled, what is idle or may not go on; then everything."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                self.look_again()
        finally:
            for task in self._tasks:
                task.cancel()
            for tunnel in tuple(self._open):
                tunnel.abort()

    def look_again(self) -> None:
        """Cut those whose rights have ended, or which nobody uses any more."""
        now = asyncio.get_running_loop().time()
        for tunnel in tuple(self._open):
            try:
                tunnel.still_may()
            except CopernicusError as error:
                _LOG.info("tunnel cut", peer=tunnel.peer, reason=error.message)
                tunnel.abort()
            else:
                if now - tunnel.used > IDLE_S:
                    tunnel.abort()

    # --- who may ------------------------------------------------------------------------------

    async def _to_peer(self, asked: Connect) -> None:
        site = self._site
        caller = session_caller(site, asked.headers.get("authorization", ""), asked.address)
        authorize(caller.principal, Action.REACH_PEER)
        wanted = peer_of(asked.target)
        session = caller.session

        def still_may() -> PeerRecord:
            if session is None or session.sha256 not in site.runtime.holdings.accounts.sessions:
                raise NotAllowed("This login has ended: log in again (cpc login).")
            peer = site.runtime.holdings.peers.get(wanted)
            check_clients(peer)
            if not peer.lends:
                raise NotAllowed(
                    f"This server cannot dial {peer.name}, which dials it: a way through exists "
                    "only to servers for which this one works (cpc peer add)."
                )
            return peer

        peer = still_may()
        tunnel = self._enter(peer, still_may)
        try:
            await self._note(caller.name, caller.address, "peer.reach", peer.id)
            assert site.relay is not None
            # With it, the certificate for the peer is good now.
            await site.relay.way_to(peer.id).link()
            await self._join(asked, tunnel, await self._dial(peer))
        except BaseException:
            self._leave(tunnel)
            raise

    async def _to_own_port(self, asked: Connect) -> None:
        site = self._site
        if asked.certificate is None:
            raise NotAllowed("Only peers may let their users through.")
        worker = holder_of(asked.certificate, site).worker_id

        def still_may() -> PeerRecord:
            site.runtime.holdings.machines.trusted(worker)
            peer = site.runtime.holdings.peers.records.get(worker)
            if peer is None or not peer.borrows:
                raise NotAllowed("Only peers may let their users through.")
            check_clients(peer)
            return peer

        peer = still_may()
        if peer_of(asked.target) != site.authority.server_id:
            raise NotAllowed("A server lets its peers' users through to itself only.")
        tunnel = self._enter(peer, still_may)
        end = ("", 0)
        try:
            await self._note(peer.id, asked.address, "peer.clients", peer.name)
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(site.settings.host, site.settings.host)  # noqa: S104
            _, writer = await asyncio.open_connection(host, site.user_port)
            end = writer.get_extra_info("sockname")[:2]
            self._origins[end] = peer.id
            await self._join(asked, tunnel, writer, lambda: self._origins.pop(end, None))
        except BaseException:
            self._origins.pop(end, None)
            self._leave(tunnel)
            raise

    async def _note(self, who: str, address: str, action: str, thing: str) -> None:
        await self._site.runtime.do(lambda batch: batch.audit(who, address, action, thing))

    def _enter(self, peer: PeerRecord, still_may: Callable[[], object]) -> Tunnel:
        """Count it from now on.

        Raises:
            ServerBusy: there are as many as the limit allows.
        """
        if sum(one.peer == peer.id for one in self._open) >= peer.clients:
            raise ServerBusy(
                f"{peer.clients} connections by way of {peer.name} are open, which is the limit "
                "(cpc peer limit --clients): try again later."
            )
        tunnel = Tunnel(peer.id, still_may, used=asyncio.get_running_loop().time())
        self._open.add(tunnel)
        return tunnel

    def _leave(self, tunnel: Tunnel) -> None:
        self._open.discard(tunnel)

    # --- how ----------------------------------------------------------------------------------

    async def _dial(self, peer: PeerRecord) -> asyncio.StreamWriter:
        """A connection with the peer's user port, by way of its machine port.

        Raises:
            ServerUnreachable: no address answers as this peer.
            NotAllowed: it does not let this server's users through; says why.
        """
        file = pair_file(self._site, peer.id)
        context = client_context(peer.ca_pem, cert_file=file, key_file=file)
        for url in peer.machine_urls:
            host, _, port = url.removeprefix("https://").rpartition(":")
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_DIAL_S):
                    reader, writer = await asyncio.open_connection(
                        host.strip("[]"),
                        int(port),
                        ssl=context,
                        server_hostname=tls_name(peer.id),
                        limit=_HEAD,
                    )
                    try:
                        await self._ask(reader, writer, peer)
                    except BaseException:
                        writer.transport.abort()
                        raise
                    return writer
        raise ServerUnreachable(f"{peer.name} does not answer this server: try again later.")

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: PeerRecord
    ) -> None:
        target = f"{tls_name(peer.id)}:0"
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, said = head.decode("latin-1").partition("\r\n")[0].partition(" ")
        status, _, reason = said.partition(" ")
        if status != "200":
            code, _, message = reason.partition(": ")
            busy = error_for_code(code) is ServerBusy
            raise (ServerBusy if busy else NotAllowed)(
                message or f"{peer.name} is of a version that lets nobody through."
            )

    async def _join(
        self,
        asked: Connect,
        tunnel: Tunnel,
        writer: asyncio.StreamWriter,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Make one way of both ends, and tell the caller that it is open."""

        def ended() -> None:
            self._leave(tunnel)
            on_end()

        near, far = asked.transport, cast("asyncio.Transport", writer.transport)
        if near.is_closing():
            far.abort()
            ended()
            return
        tunnel.ends += [near, far]
        tunnel.writer = writer
        far.set_protocol(_End(tunnel, near, ended))
        asked.accept(_End(tunnel, far, ended))

    async def _answer(
        self, asked: Connect, pass_on: Callable[[Connect], Coroutine[Any, Any, None]]
    ) -> None:
        try:
            await pass_on(asked)
        except CopernicusError as error:
            asked.refuse(error.status, error.code, error.message)
        except (OSError, TimeoutError) as error:
            _LOG.warning("no tunnel", reason=str(error))
            asked.refuse(502, ServerUnreachable.code, "The way to this server's port is broken.")
        except Exception as error:  # noqa: BLE001  # as for every other request
            _LOG.error("bug", exc_info=error)
            asked.refuse(500, "internal", "This is a bug of the server; its log has more.")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def check_clients(peer: PeerRecord) -> None:
    """Refuse where people are not let through between this server and a peer.

    Raises:
        NotAllowed: says why.
    """
    if peer.state != "trusted":
        raise NotAllowed(f"Nobody is let through to or from {peer.name} now: it is {peer.state}.")
    if peer.clients < 1:
        raise NotAllowed(
            f"Nobody is let through to or from {peer.name}: an administrator allows it at both "
            f"servers with cpc peer limit ID --clients NUMBER."
        )


def peer_of(target: str) -> str:
    """The id in what was asked for: a server by its name inside Copernicus, never an address.

    Raises:
        NotFound: it is something else.
    """
    name = target.rpartition(":")[0].lower()
    server_id, dot, domain = name.partition(".")
    if not dot or domain != INTERNAL_DOMAIN or not server_id.isalnum():
        raise NotFound("A server lets its users through to its peers only, by their ids.")
    return server_id
