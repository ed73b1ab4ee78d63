"""Passwords: argon2id, and the same work for a user who does not exist.

Each call takes tens of milliseconds of CPU and 64 MiB on purpose: run it in a thread.
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from copernicus.errors import BadValue

MAX_PASSWORD_BYTES = 1024

_HASHER = PasswordHasher()
# Of a random password that was thrown away, with the hasher's parameters: the time to refuse an
# unknown user is the time to refuse a wrong password.
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4"
    "$T+HFo5ldHm1sK8YlRcs9HA$+ym2YD14OULipdPq8ajZd5LKilXhdhpyTmrZ55xLPLc"
)


def hash_password(password: str) -> str:
    """The argon2id hash to store, with its salt and parameters in it.

    Raises:
        BadValue: an empty or oversized password.
    """
    encoded = _encode(password)
    if not encoded or len(encoded) > MAX_PASSWORD_BYTES:
        raise BadValue(f"A password has 1 to {MAX_PASSWORD_BYTES} bytes.")
    return _HASHER.hash(encoded)


def verify_password(password: str, stored: str | None) -> bool:
    """True if this is the password; pass None when the user does not exist."""
    try:
        matches = _HASHER.verify(stored or _NOBODY, _encode(password)[: MAX_PASSWORD_BYTES + 1])
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None


def needs_rehash(stored: str) -> bool:
    """True if the hash has older parameters: store a new one at the next login."""
    return _HASHER.check_needs_rehash(stored)


def _encode(password: str) -> bytes:
    # NFC, because keyboards differ in how they compose one and the same letter (RFC 8265).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
