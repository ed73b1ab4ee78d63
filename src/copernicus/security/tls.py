"""TLS contexts: version 1.3 only, no session tickets, every peer checked by name.

A server listens on two ports with two contexts, never on one port with a context chosen by SNI:
such a switch keeps the first context's ``verify_mode``, so callers without a certificate get in
(https://github.com/pyca/pyopenssl/issues/255). No tickets, because a resumed session skips the
check of the client certificate's dates.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from copernicus.errors import BadSettings
from copernicus.security.certificates import tls_name
from copernicus.security.files import check_private
from copernicus.security.identity import CA_CERTIFICATE, CA_KEY, SERVER_CERTIFICATE, SERVER_KEY

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name."""


def server_context(
    folder: Path, *, require_client_certificate: bool, peer_ca_pems: Sequence[str] = ()
) -> ssl.SSLContext:
    """The context of one port of the server whose identity is in the folder.

    Args:
        folder: made by ``create_authority``.
        require_client_certificate: True for the machine port, False for the user port.
        peer_ca_pems: further authorities whose certificates may connect to the machine port; what
            they may claim is not decided here but by the checks of each identity.

    Raises:
        BadSettings: a file is missing or damaged, or open to other accounts.
    """
    check_private(folder)
    check_private(folder / SERVER_KEY)
    if (folder / CA_KEY).exists():
        check_private(folder / CA_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    load_server_leaf(context, folder)
    if require_client_certificate:
        _trust_file(context, folder / CA_CERTIFICATE)
        for pem in peer_ca_pems:
            _trust(context, pem, "A peer's ca_pem")
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def load_server_leaf(context: ssl.SSLContext, folder: Path) -> None:
    """Load the present server certificate; on a live context new connections get it at once.

    Raises:
        BadSettings: a file is missing or damaged.
    """
    _load_pair(context, folder / SERVER_CERTIFICATE, folder / SERVER_KEY)


class _Named(ssl.SSLContext):
    """Expects one name of whatever it calls, for callers that would expect the address."""

    name = ""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As its parent, but for the name."""
        return super().wrap_socket(*args, **{**options, "server_hostname": self.name})


def gateway_context(ca_pem: str, server_id: str) -> ssl.SSLContext:
    """The context with which to call this one server as a proxy: only its address can be given.

    Raises:
        BadSettings: an authority that cannot be used.
    """
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.name = tls_name(server_id)
    return _trusting(context, ca_pem)


def _trusting(context: ssl.SSLContext, ca_pem: str) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    _trust(context, ca_pem, "The authority's certificate")
    return context


def client_context(
    ca_pem: str,
    *,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    check_dates: bool = True,
) -> ssl.SSLContext:
    """The context to call a server with; it trusts that one server's authority and nothing else.

    Args:
        ca_pem: the authority, as it stands in a bundle.
        cert_file: the caller's own certificate, for the machine port.
        key_file: the key of that certificate, readable by its owner only.
        check_dates: False takes a certificate of the server's that is over or not yet valid: only
            to find out by how much clocks differ, never to send or trust anything.

    Raises:
        BadSettings: an authority, certificate or key that cannot be used.
    """
    context = _trusting(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_pem)
    if not check_dates:
        context.verify_flags |= _NO_CHECK_TIME
    if cert_file is not None and key_file is not None:
        check_private(key_file)
        _load_pair(context, cert_file, key_file)
    elif cert_file is not None or key_file is not None:
        raise BadSettings("A client certificate needs both its certificate file and its key file.")
    return context


def server_name_extension(server_id: str) -> dict[str, str]:
    """``extensions=`` of an HTTP request that must reach this server, whatever its address is."""
    return {"sni_hostname": tls_name(server_id)}


def host_header(server_id: str) -> dict[str, str]:
    """``headers=`` of a request, by which a server knows that it is meant, whatever its address.

    A page in a browser cannot send it: that calls a server by the name that stands in its address.
    """
    return {"host": tls_name(server_id)}


def _trust(context: ssl.SSLContext, pem: str, source: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise BadSettings(f"{source} is not a certificate in PEM form.") from error


def _trust_file(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise BadSettings(f"{path} is not a certificate in PEM form.") from error
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {error.strerror}.") from error


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # An empty password: an encrypted key must fail, never ask on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise BadSettings(
            f"{certificate} and {key} are damaged or do not belong together."
        ) from error
    except OSError as error:
        raise BadSettings(f"Cannot read {certificate} or {key}: {error.strerror}.") from error
