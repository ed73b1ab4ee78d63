"""Workers and the join tokens that let them in, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from copernicus.errors import NotAuthenticated, NotFound
from copernicus.model.resources import Offer
from copernicus.security.tokens import TokenKind, parse_token, token_matches
from copernicus.store.records import JoinTokenRecord, WorkerRecord
from copernicus.store.store import Store

PEER = "peer"
"""The platform of a worker that is another server."""

_NAMES = {
    TokenKind.JOIN: ("join token", "ask for a new bundle"),
    TokenKind.PEER: ("invitation", "ask for a new one (cpc peer invite)"),
}


@dataclass(slots=True)
class Presence:
    """What a worker last said: not stored, but for ``seen`` now and then."""

    seen: float = 0.0
    noted: float = 0.0
    offer: Offer | None = None
    left: bool = False


@dataclass(slots=True)
class Machines:
    """Who joined. A revoked worker stays listed, so that its certificate stays refused."""

    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    tokens: dict[str, JoinTokenRecord] = field(default_factory=dict)
    presence: dict[str, Presence] = field(default_factory=dict)

    def load(self, store: Store) -> None:
        """Read all of it from the store."""
        self.workers = {worker.id: worker for worker in store.workers()}
        self.tokens = {token.id: token for token in store.join_tokens()}
        for worker in self.workers.values():
            self.presence.setdefault(worker.id, Presence(worker.last_seen, worker.last_seen))

    def trusted(self, worker_id: str) -> WorkerRecord:
        """The worker of this id.

        Raises:
            NotAuthenticated: it never joined this server, or it was revoked.
        """
        worker = self.workers.get(worker_id)
        if worker is None:
            raise NotAuthenticated(
                f"Worker {worker_id} is not known here: let it join with a new bundle."
            )
        if worker.revoked_at is not None and worker.facts.platform == PEER:
            raise NotAuthenticated(
                f"Server {worker_id} was removed here: it may not work here any more. To "
                "begin anew it needs an invitation (cpc peer invite)."
            )
        if worker.revoked_at is not None:
            raise NotAuthenticated(
                f"Worker {worker_id} was revoked: it may not work here any more. To let its "
                "machine in again, make a new bundle (cpc worker bundle) and start a worker with "
                "it in another work folder (--work-dir)."
            )
        return worker

    def get(self, worker_id: str) -> WorkerRecord:
        """The worker of this id, revoked or not.

        Raises:
            NotFound: there is none.
        """
        found = self.workers.get(worker_id)
        if found is None:
            raise NotFound(f"There is no worker {worker_id!r}.")
        return found

    def put(self, worker: WorkerRecord) -> None:
        """Hold what is known of a worker."""
        self.workers[worker.id] = worker
        self.presence.setdefault(worker.id, Presence(worker.last_seen, worker.last_seen))

    def saw(self, worker_id: str, now: float, offer: Offer | None = None) -> None:
        """A worker has just been heard of."""
        presence = self.presence.setdefault(worker_id, Presence())
        presence.seen = now
        presence.offer = offer or presence.offer
        presence.left = False

    def left(self, worker_id: str) -> None:
        """A worker said that it ends."""
        self.presence.setdefault(worker_id, Presence()).left = True

    def take_seen(self) -> dict[str, float]:
        """When workers were seen, of those for whom that has not been stored yet."""
        news = {}
        for worker_id, presence in self.presence.items():
            if presence.seen > presence.noted:
                presence.noted = presence.seen
                news[worker_id] = presence.seen
        return news

    def token(self, token_id: str) -> JoinTokenRecord:
        """The join token of this id.

        Raises:
            NotFound: there is none.
        """
        found = self.tokens.get(token_id)
        if found is None:
            raise NotFound(f"There is no join token {token_id!r} (cpc worker token list).")
        return found

    def joined_with(self, token_id: str) -> list[WorkerRecord]:
        """The workers that a join token let in, those that were revoked since included."""
        return [worker for worker in self.workers.values() if worker.token == token_id]

    def use_token(self, text: str, now: float, kind: TokenKind = TokenKind.JOIN) -> JoinTokenRecord:
        """Take one use of a join token, or of a peer's invitation.

        Raises:
            NotAuthenticated: unknown, expired, revoked or used up.
        """
        token = parse_token(text, kind)
        record = self.tokens.get(token.id)
        what, remedy = _NAMES[kind]
        if record is None or not token_matches(text, record.sha256):
            raise NotAuthenticated(f"This {what} is not known here: {remedy}.")
        if record.revoked_at is not None:
            raise NotAuthenticated(f"This {what} was revoked: {remedy}.")
        if now >= record.expires:
            raise NotAuthenticated(f"This {what} has expired: {remedy}.")
        if record.uses_left < 1:
            raise NotAuthenticated(f"This {what} is used up: {remedy}.")
        used = msgspec.structs.replace(record, uses_left=record.uses_left - 1)
        self.tokens[record.id] = used
        return used
