"""Drafts, checks and going back: the parts of a ``Project`` that look before they change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from copernicus.client.edits import Editing, Transaction
from copernicus.engine.document import edits_between
from copernicus.errors import Conflict
from copernicus.model.document import NetworkDocument
from copernicus.model.edits import Edit
from copernicus.protocol import EditReply, EditRequest


class Drafting(Editing):
    """Editing with a look at what it would make of the network, and with a way back."""

    @abstractmethod
    def _send(self, request: EditRequest) -> EditReply:
        """Ask the server for a transaction, or for its check."""

    @abstractmethod
    def network(self, revision: int | None = None) -> NetworkDocument:
        """The top network as a document: of now, or as it was at a revision."""

    def check(self, edits: Sequence[Edit], base_revision: int | None = None) -> EditReply:
        """What a transaction would make of the network (``reply.network``); nothing is changed.

        Args:
            edits: of the transaction.
            base_revision: refuse if a path that they touch was changed after this revision.

        Raises:
            UserError: What is wrong with them.
        """
        return self._send(EditRequest(tuple(edits), base_revision=base_revision, check_only=True))

    def commit(
        self, edits: Sequence[Edit], base_revision: int | None = None, note: str = ""
    ) -> EditReply:
        """Send edits as one transaction.

        Args:
            edits: of the transaction.
            base_revision: refuse if a path that they touch was changed after this revision.
            note: stands first in the history.

        Raises:
            Conflict: Somebody changed such a path; the message says which, who and when.
            UserError: What else is wrong with them; nothing was changed.
        """
        return self._send(EditRequest(tuple(edits), base_revision=base_revision, note=note))

    @contextmanager
    def draft(self, base_revision: int | None = None) -> Iterator[Transaction]:
        """A transaction in which every edit is checked at once, at its own line.

        It is committed at the end of the block, and dropped if the block ends with an error.

        Args:
            base_revision: refuse if a path that it touches was changed after this revision;
                default: that of the beginning.

        Raises:
            Conflict: Somebody changed such a path; the message says which, who and when.
            UserError: What else is wrong with an edit; nothing was changed.
        """
        if self._open is not None:
            raise Conflict("There is a transaction open already: end it first")
        base = self.network().revision if base_revision is None else base_revision
        transaction = self._open = Transaction()
        transaction.check = lambda made: self.check(made, base)
        try:
            yield transaction
        finally:
            self._open = None
        if transaction.edits:
            transaction.reply = self.commit(transaction.edits, base)

    def revert_edits(self, revision: int) -> tuple[list[Edit], int]:
        """The edits that make the network of a revision again, and the revision they are made on.

        Raises:
            NotFound: There is no such revision.
        """
        then, now = self.network(revision), self.network()
        return edits_between(now, then), now.revision

    def revert(self, revision: int) -> EditReply | None:
        """Make the network of a revision again, as one new revision.

        What was removed or retired since comes back with its results; nothing of it runs again.
        Without anything to change there is no reply.

        Raises:
            NotFound: There is no such revision.
            Conflict: Somebody changed the network at this moment; try again.
        """
        edits, base = self.revert_edits(revision)
        if not edits:
            return None
        note = f"revert to revision {revision}"
        return self._send(EditRequest(tuple(edits), base_revision=base, note=note, reuse=True))
