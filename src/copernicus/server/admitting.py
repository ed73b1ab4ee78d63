"""Join tokens: made for the bundle of a person or of the provisioner, and ended."""

from __future__ import annotations

from typing import Final

import msgspec

from copernicus.security.tokens import TokenKind, new_token
from copernicus.server.batch import Batch
from copernicus.server.clock import wall
from copernicus.store.records import JoinTokenRecord

DAY_S: Final = 86400.0


def add_join_token(
    batch: Batch, pool: str, uses: int, life_s: float, creator: str
) -> tuple[str, JoinTokenRecord]:
    """A token for so many workers of a pool: its text, which is kept nowhere, and its row."""
    token = new_token(TokenKind.JOIN)
    expires = wall().timestamp() + life_s
    record = JoinTokenRecord(token.id, token.digest, pool, uses, expires, creator, batch.now, uses)
    batch.holdings.machines.tokens[record.id] = record
    batch.write(lambda tx: tx.add_join_token(record))
    return token.text, record


def end_join_token(batch: Batch, token: str) -> bool:
    """Let nobody in with it any more; whether anybody could have."""
    known = batch.holdings.machines.tokens.get(token)
    if known is None or known.revoked_at is not None:
        return False
    at = batch.now
    batch.holdings.machines.tokens[token] = msgspec.structs.replace(
        known, uses_left=0, revoked_at=at
    )
    batch.write(lambda tx: tx.revoke_join_token(token, at))
    return True
