"""A caller whose clock and the server's do not agree: what it is told, and what it asks.

Only certificates go by the wall clock; nothing else between worker and server does.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx2

from copernicus.errors import NotAuthenticated
from copernicus.security.bundle import WorkerBundle
from copernicus.security.clocks import clock_note
from copernicus.security.tls import client_context, server_name_extension


class ClockIsOff(NotAuthenticated):
    """The server refuses, and the two clocks differ: it may take this worker once they agree."""


def refusal(message: str, headers: Mapping[str, str]) -> NotAuthenticated:
    """What a refusal is raised as: with a word about the clocks if they differ."""
    note = clock_note(headers)
    return ClockIsOff(message + note) if note else NotAuthenticated(message)


def explain_tls(error: Exception) -> str:
    """A failed connection in words."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        return text
    if "expired" in text or "not yet valid" in text:
        return f"its certificate is not valid now by the clock of this machine ({text})"
    return f"what answers is not the server of this bundle ({text})"


async def ask_for_clock(bundle: WorkerBundle) -> str:
    """What the user port shows of the trouble: another server, or by how much clocks differ.

    The dates of its certificate do not matter here: with a wrong clock they would hide the answer.
    Its authority and name do.
    """
    async with httpx2.AsyncClient(
        verify=client_context(bundle.ca_pem, check_dates=False), trust_env=False, timeout=10.0
    ) as client:
        for url in bundle.join_urls:
            try:
                response = await client.get(
                    url.rstrip("/") + "/v1/health",
                    extensions=server_name_extension(bundle.server_id),
                )
            except (httpx2.TransportError, ssl.SSLError, OSError) as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    return f" {url}: {explain_tls(error)}"
                continue
            return clock_note(response.headers)
    return ""
