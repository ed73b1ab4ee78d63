"""The first contact with a server: who is it, and is it the one that it should be?"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from copernicus.calling.addresses import server_url
from copernicus.errors import BadSettings, NotAllowed, ServerUnreachable, UpgradeNeeded
from copernicus.protocol import PROTOCOL, USER_PORT, Health
from copernicus.security.bundle import ClientBundle, read_client_bundle
from copernicus.security.identity import server_id_of
from copernicus.security.peering import check_server_id

if TYPE_CHECKING:
    from copernicus.client.through import Gateway

Confirm = Callable[[str, str], bool]


def find_server(
    server: str | Path, server_id: str | None = None, confirm: Confirm | None = None
) -> ClientBundle:
    """What is needed to talk to a server safely: its id, its addresses, its authority.

    Args:
        server: a client bundle (a file), or an address such as ``https://host:14807``.
        server_id: the id that the server at the address must have.
        confirm: asked with (address, id) if no id is given; default: a question on the terminal.

    Raises:
        BadSettings: a bundle that is wrong, an address that is none.
        NotAllowed: nobody confirmed the id.
        ServerUnreachable: no answer, or another server than that of the id.
    """
    path = Path(server)
    if path.is_file():
        bundle = read_client_bundle(path)
        if server_id and bundle.server_id != server_id:
            raise BadSettings(f"{path} is for the server {bundle.server_id}, not for {server_id}")
        return bundle
    url = server_url(str(server))
    health = _ask_unverified(url)
    proven = _proven_id(url, health)
    if server_id and proven != server_id:
        raise ServerUnreachable(
            f"What answers at {url} is the server {proven}, not {server_id}: check the address "
            "and the id"
        )
    if not server_id and not (confirm or confirm_on_terminal)(url, proven):
        raise NotAllowed(
            f"Not logged in: nobody has confirmed who {url} is. It shows the id {proven}: if its "
            "administrator sees the same (cpc server status), add it with --server-id, or log in "
            "with the server's client bundle"
        )
    return ClientBundle(proven, (url,), health.ca_pem)


def find_through(gateway: Gateway, server_id: str) -> ClientBundle:
    """What is needed to talk to a peer of the server in between, whose id is known in full.

    Raises:
        BadValue: that is no id.
        ServerUnreachable: another server answers.
        CopernicusError: what the server in between says.
    """
    from copernicus.client.through import far_url

    wanted = check_server_id(server_id)
    url = far_url(wanted)
    health = _ask_unverified(url, gateway)
    proven = _proven_id(url, health)
    if proven != wanted:
        raise ServerUnreachable(f"What answers is the server {proven}, not {wanted}")
    return ClientBundle(proven, (url,), health.ca_pem)


def confirm_on_terminal(url: str, server_id: str) -> bool:
    """Show the id that the server proves, and ask; False where there is nobody to ask."""
    if not sys.stdin.isatty():
        return False
    print(f"{url} is the server {server_id}.", file=sys.stderr)
    print("Its administrator sees the same id with: cpc server status", file=sys.stderr)
    return input("Is this the right server? [y/N] ").strip().lower() in ("y", "yes")


def _ask_unverified(url: str, gateway: Gateway | None = None) -> Health:
    """Ask who is there; nothing is believed, nothing secret is sent."""
    import httpx2

    from copernicus.client.through import refused
    from copernicus.client.transport import unreachable

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        proxy = None if gateway is None else gateway.proxy()
        with httpx2.Client(verify=context, timeout=10.0, proxy=proxy) as http:
            response = http.get(f"{url}/v1/health")
        return msgspec.json.decode(response.content, type=Health)
    except httpx2.ProxyError as error:
        assert gateway is not None
        raise refused(gateway, error) from error
    except httpx2.TransportError as error:
        raise unreachable(url, "", error) from error
    except msgspec.DecodeError:
        raise ServerUnreachable(
            f"What answers at {url} is no Copernicus server: check the port "
            f"(its user port is {USER_PORT} unless it was set)"
        ) from None


def _proven_id(url: str, health: Health) -> str:
    if abs(health.protocol - PROTOCOL) > 1:
        raise UpgradeNeeded(
            f"The server at {url} is of version {health.version} (protocol {health.protocol}), "
            f"this client speaks protocol {PROTOCOL}: upgrade the older one"
        )
    proven = server_id_of(health.ca_pem)
    if proven != health.server_id:
        raise ServerUnreachable(
            f"What answers at {url} calls itself {health.server_id}, but its authority is that of "
            f"{proven}: do not use it"
        )
    return proven
