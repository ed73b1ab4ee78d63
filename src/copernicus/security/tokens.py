"""Bearer tokens ``<prefix><id>.<secret>``: the server keeps the id and a hash, never the secret.

A fast hash is right here: the secret has 256 random bits, so nobody can guess it offline.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from copernicus.errors import NotAuthenticated


class TokenKind(StrEnum):
    """What a token is for; the value is its prefix."""

    USER = "ut_"
    JOIN = "jt_"
    PEER = "pt_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its holder has it; ``text`` is shown once and never stored or logged."""

    kind: TokenKind
    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What the server stores and compares with."""
        return hash_token(self.text)


_ID_BYTES = 8
_SECRET_BYTES = 32
_TEXT = re.compile(r"(?P<kind>ut_|jt_|pt_)(?P<id>[0-9a-f]{16})\.[A-Za-z0-9_-]{43}")


def new_token(kind: TokenKind) -> Token:
    """A fresh token with a 256-bit secret."""
    token_id = secrets.token_hex(_ID_BYTES)
    return Token(kind, token_id, f"{kind}{token_id}.{secrets.token_urlsafe(_SECRET_BYTES)}")


def parse_token(text: str, kind: TokenKind) -> Token:
    """Read a token that somebody presents; says nothing about whether it is valid.

    Raises:
        NotAuthenticated: it is not of this kind or form. The message does not repeat it.
    """
    match = _TEXT.fullmatch(text)
    if match is None or match["kind"] != kind:
        raise NotAuthenticated(f"This is not a token of the form {kind}<id>.<secret>.")
    return Token(kind, match["id"], text)


def hash_token(text: str) -> str:
    """SHA-256 of the whole token, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def token_matches(text: str, digest: str) -> bool:
    """True if the token has this digest; takes the same time wherever they differ."""
    return hmac.compare_digest(hash_token(text), digest)
