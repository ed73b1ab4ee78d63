"""What stays between commands: servers, settings told by halves, the transaction that is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from copernicus.client import Client, Project
from copernicus.client.drafts import Drafts
from copernicus.client.profiles import config_folder
from copernicus.errors import BadSettings, Conflict
from copernicus.model.edits import Edit
from copernicus.protocol import EditReply
from copernicus.security.files import make_private_folder, read_private, write_private

FILE = "cpcc.json"


class Pair(msgspec.Struct, omit_defaults=True):
    """A setting of which the script has told the name, or the value, or both."""

    name: str = ""
    value: str | None = None


class Kept(msgspec.Struct, omit_defaults=True):
    """All of it. ``pairs`` are by profile, project and item."""

    servers: dict[str, str] = {}
    server: str = ""
    pairs: dict[str, Pair] = {}


class Session:
    """The file beside the profiles; every change of it is written at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or config_folder()) / FILE
        self.kept = Kept()
        if self._path.exists():
            try:
                self.kept = msgspec.json.decode(read_private(self._path), type=Kept)
            except msgspec.DecodeError:
                raise BadSettings(f"{self._path} is damaged: remove it") from None

    def save(self) -> None:
        """Write it."""
        make_private_folder(self._path.parent)
        write_private(self._path, msgspec.json.encode(self.kept))


class OldProject(Project):
    """A project whose edits wait in its draft (``cpc draft``) while a transaction is open."""

    def __init__(self, client: Client, name: str, session: Session) -> None:
        found = client.project(name, check=False)
        super().__init__(found._transport, found.name)  # noqa: SLF001 - the same project
        self.session = session
        self.key = f"{client.profile_name} {self.name}"
        self._drafts = Drafts(client.profile)
        self._draft = self._drafts.find(self.name)

    @property
    def waiting(self) -> tuple[Edit, ...] | None:
        """The edits of the open transaction; None if none is open."""
        return None if self._draft is None else tuple(self._draft.edits)

    def _commit(self, edits: Sequence[Edit], expected_revision: int | None) -> EditReply:
        if self._draft is None:
            return super()._commit(edits, expected_revision)
        together = [*self._draft.edits, *edits]
        reply = self.check(together)
        self.keep(together)
        return reply

    def keep(self, edits: Sequence[Edit]) -> None:
        """Let these edits wait, in the place of those that do."""
        if self._draft is not None:
            self._draft.edits = list(edits)
            self._drafts.put(self._draft)

    def at_once(self, *edits: Edit) -> None:
        """Send edits now, also while a transaction is open."""
        super()._commit(edits, None)

    def begin(self) -> None:
        """Open a transaction.

        Raises:
            Conflict: One is open.
        """
        if self._draft is not None:
            raise Conflict(f"A transaction is open in {self.name}: cpcc commit, or cpcc rollback")
        view = self.view()
        self._draft = self._drafts.begin(view.id, view.name, view.revision)

    def end(self, *, commit: bool) -> int:
        """Send the edits of the open transaction, or forget them; how many there were.

        Raises:
            Conflict: None is open.
            UserError: What is wrong with them: nothing was changed, and it stays open.
        """
        if self._draft is None:
            raise Conflict(f"No transaction is open in {self.name}: cpcc transact opens one")
        edits = list(self._draft.edits)
        if commit and edits:
            super()._commit(edits, None)
        self._drafts.drop(self._draft)
        return len(edits)
