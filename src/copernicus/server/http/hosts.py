"""Requests that a browser was talked into: refused by what they call, and by the page they are of.

A page elsewhere may have the browser call this server, also under a name of its own that leads
here (DNS rebinding). A server answers to addresses, to ``localhost``, to the names that it was
given, and to the internal name that our own clients call it by, wherever they reach it.
"""

from __future__ import annotations

import contextlib
import ipaddress

from copernicus.errors import BadSettings, NotAllowed
from copernicus.security.certificates import canonical_name, tls_name
from copernicus.server.site import Site


def check_called(host: str, origin: str | None, site: Site) -> None:
    """Refuse a request whose ``Host`` is not this server, or whose ``Origin`` is another place.

    Raises:
        NotAllowed: naming what was called, and the remedy.
    """
    if host and not _is_own(host, site):
        raise NotAllowed(
            f"This server is not called {host[:100]!r}: use its address, or add the name to the "
            "names in its settings and start it again."
        )
    if origin is not None and origin.lower() != f"https://{host}".lower():
        raise NotAllowed(f"A page of {origin[:100]!r} may not use this server.")


def _is_own(host: str, site: Site) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.removeprefix("[").removesuffix("]")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    with contextlib.suppress(BadSettings):
        name = canonical_name(name)
        own = (*map(canonical_name, site.names), tls_name(site.authority.server_id))
        return name == "localhost" or name in own
    return False
