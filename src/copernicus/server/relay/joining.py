"""Becoming a peer of another server: who is it, and will it have us?"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
import msgspec

from copernicus.errors import CopernicusError, NotAuthenticated, ServerBusy, ServerUnreachable
from copernicus.errors import error_for_code as class_of
from copernicus.protocol import ErrorBody, Health
from copernicus.protocol.peers import PeerAdmitted, PeerHeard, PeerJoin, PeerMoved
from copernicus.security.certificates import Validity
from copernicus.security.files import make_private_folder, read_private, write_private
from copernicus.security.identity import certificate_validity, make_key_and_csr, server_id_of
from copernicus.security.peering import prove, where
from copernicus.security.tls import client_context, host_header, server_name_extension
from copernicus.server.clock import wall
from copernicus.server.peers import PeerRecord
from copernicus.server.site import Site

T = TypeVar("T")
_TIMEOUT_S = 15.0
_BEGIN = "-----BEGIN CERTIFICATE-----"
_BUSY = frozenset({429, 500, 502, 503, 504, 507})


class Joined(NamedTuple):
    """What a peer says to a request to work for it, at which of its addresses; what it was told."""

    admitted: PeerAdmitted
    url: str
    told: tuple[str, ...]

    def learned(self, known: PeerRecord) -> PeerRecord:
        """The peer as it is known now; the address that has worked is the first."""
        admitted = self.admitted
        return msgspec.structs.replace(
            known.moved((self.url, *admitted.urls), admitted.machine_urls),
            name=admitted.name[:255] or known.name,
            waits=not admitted.certificate,
            knows=self.told,
        )


async def find_peer(url: str, server_id: str) -> PeerRecord:
    """Who answers at an address; nothing is believed but what the authority's key proves.

    Raises:
        ServerUnreachable: nobody, or another server than that of the id.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    health, _ = await _ask([url], context, "", "GET", "/v1/health", None, Health)
    proven = server_id_of(health.ca_pem)
    if server_id and proven != server_id:
        raise ServerUnreachable(
            f"What answers at {url} is the server {proven}, not {server_id}: check the address, "
            "and the invitation."
        )
    return PeerRecord(proven, url.removeprefix("https://"), health.ca_pem, (url,))


async def join_peer(site: Site, peer: PeerRecord, token: str = "") -> Joined:
    """Ask a peer for a certificate; it is kept if it comes.

    Raises:
        NotAuthenticated: the peer does not take this server, or not any more.
        ServerUnreachable: no address answers.
        CopernicusError: what else it says.
    """
    key, csr = make_key_and_csr()
    challenge, signature = prove(site.authority, peer.id, csr, wall())
    request = PeerJoin(
        site.authority.ca_pem,
        csr,
        challenge,
        signature,
        token,
        site.names[0],
        site.user_urls,
        machine_urls=site.machine_urls,
    )
    context = client_context(peer.ca_pem)
    reply, url = await _ask(
        peer.urls, context, peer.id, "POST", "/v1/peers/join", request, PeerAdmitted
    )
    if reply.certificate:
        write_private(pair_file(site, peer.id), (key + reply.certificate).encode())
    return Joined(reply, url, site.addresses)


async def tell_address(site: Site, peer: PeerRecord) -> None:
    """Tell a peer where this server is now; errors as ``join_peer``."""
    urls, machine_urls = site.user_urls, site.machine_urls
    challenge, signature = prove(site.authority, peer.id, where(urls, machine_urls), wall())
    said = PeerMoved(site.authority.ca_pem, challenge, signature, urls, machine_urls)
    context = client_context(peer.ca_pem)
    await _ask(peer.urls, context, peer.id, "POST", "/v1/peers/moved", said, PeerHeard)


def pair_file(site: Site, peer: str) -> Path:
    """Where the key and the certificate for a peer are."""
    folder = site.identity / "peers"
    make_private_folder(folder)
    return folder / f"{peer}.pem"


def is_due(file: Path) -> bool:
    """Whether there is no certificate, or two thirds of its life are over."""
    try:
        written = file.stat().st_mtime_ns
    except FileNotFoundError:
        return True
    return _life(file, written).renewal_due(wall())


@lru_cache(maxsize=64)
def _life(file: Path, _written: int) -> Validity:
    """Read once for each time that it was written: every request asks."""
    pem = read_private(file).decode("ascii", "replace")
    return certificate_validity(_BEGIN + pem.partition(_BEGIN)[2])


async def _ask(
    urls: Sequence[str],
    context: ssl.SSLContext,
    server_id: str,
    method: str,
    path: str,
    body: Any,
    form: type[T],
) -> tuple[T, str]:
    """The answer, and at which address there was one."""
    problems = []
    named = server_name_extension(server_id) if server_id else {}
    content = None if body is None else msgspec.json.encode(body)
    headers = {"content-type": "application/json", "accept": "application/json"}
    if server_id:
        headers |= host_header(server_id)
    async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=_TIMEOUT_S) as client:
        for url in urls:
            try:
                response = await client.request(
                    method, url + path, content=content, headers=headers, extensions=named
                )
            except (httpx2.TransportError, ssl.SSLError, OSError) as error:
                problems.append(f"{url}: {str(error) or type(error).__name__}")
                continue
            if response.status_code >= 400:
                raise _refusal(response.status_code, response.content)
            try:
                return msgspec.json.decode(response.content, type=form), url
            except msgspec.DecodeError as error:
                problems.append(f"{url}: no Copernicus server that speaks of peers ({error})")
    raise ServerUnreachable(f"The peer cannot be reached ({'; '.join(problems)}).")


def _refusal(status: int, content: bytes) -> CopernicusError:
    try:
        body = msgspec.json.decode(content, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ServerUnreachable(f"The peer answers {status}: it does not speak of peers.")
    if status in _BUSY:
        return ServerBusy(body.message)
    return NotAuthenticated(body.message) if status == 401 else class_of(body.code)(body.message)
