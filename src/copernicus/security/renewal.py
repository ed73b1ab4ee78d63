"""The way back for a worker whose certificate has expired: TLS refuses it, its key still proves it.

The worker sends the old certificate, a new request, a challenge ``server_id:worker_id:time`` of its
own making, and the old key's signature of challenge and request. The time makes it fresh and the
request is part of it, so a copy of the message yields nothing but the same certificate again.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from copernicus.errors import BadSettings, NotAuthenticated
from copernicus.security.identity import (
    WorkerIdentity,
    certificate_der,
    sign_challenge,
    verify_challenge,
    verify_worker_certificate,
)

RENEWAL_GRACE = timedelta(days=90)
"""How long after its end a certificate can still be renewed; later the worker joins anew."""
CHALLENGE_LIFE = timedelta(minutes=10)
"""How far the worker's clock may be from the server's."""


def make_challenge(server_id: str, worker_id: str, now: datetime) -> str:
    """The challenge to sign, of this moment (aware)."""
    return f"{server_id}:{worker_id}:{int(now.timestamp())}"


def sign_renewal(key_pem: str, challenge: str, csr_pem: str) -> str:
    """The old key's signature (hex) under the wish for this new certificate.

    Raises:
        BadSettings: the key cannot be read.
    """
    return sign_challenge(key_pem, signed_bytes(challenge, csr_pem)).hex()


def verify_renewal(
    certificate: str, csr_pem: str, challenge: str, signature: str, *, ca_pem: str, now: datetime
) -> WorkerIdentity:
    """Who asks for the renewal; whether that worker was revoked is for the caller to look up.

    Args:
        certificate: the old one, PEM, up to 90 days after its end.
        csr_pem: the request for the new one.
        challenge: as ``make_challenge`` made it.
        signature: as ``sign_renewal`` made it.
        ca_pem: the server's own authority.
        now: aware time.

    Raises:
        NotAuthenticated: not our worker, too old, not signed by its key, for another server or
            worker, or not of the last minutes.
    """
    try:
        der = certificate_der(certificate)
    except BadSettings as error:
        raise NotAuthenticated("The old certificate cannot be read: join again.") from error
    identity = verify_worker_certificate(der, ca_pem, now, grace=RENEWAL_GRACE)
    signed = signed_bytes(challenge, csr_pem)
    if not verify_challenge(certificate, signed, from_hex(signature)):
        raise NotAuthenticated("The challenge is not signed by the key of the old certificate.")
    _check_challenge(challenge, identity, now)
    return identity


def _check_challenge(challenge: str, identity: WorkerIdentity, now: datetime) -> None:
    server_id, _, rest = challenge.partition(":")
    worker_id, _, moment = rest.partition(":")
    if (server_id, worker_id) != (identity.server_id, identity.worker_id):
        raise NotAuthenticated("The challenge was made for another server or worker.")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        raise NotAuthenticated("The challenge has no time in it.")
    if abs(now.timestamp() - int(moment)) > CHALLENGE_LIFE.total_seconds():
        raise NotAuthenticated(
            f"The challenge is not of the last {CHALLENGE_LIFE.seconds // 60} minutes: the "
            f"server's clock says {now.astimezone(UTC).isoformat(timespec='seconds')}, set "
            "the worker's."
        )


def signed_bytes(challenge: str, csr_pem: str) -> bytes:
    """What is signed: the challenge, bound to the request."""
    request = hashlib.sha256(csr_pem.encode("utf-8", "surrogatepass")).digest()
    return request + challenge.encode("utf-8", "surrogatepass")


def from_hex(signature: str) -> bytes:
    """The bytes of a signature; none if it is no hexadecimal number."""
    try:
        return bytes.fromhex(signature)
    except ValueError:
        return b""
