"""What the old client kept between commands: servers, and the transaction that is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from copernicus.client import Client, Project
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
    """All of it. ``drafts``: edits by profile and project; ``pairs``: settings by item, too."""

    servers: dict[str, str] = {}
    server: str = ""
    drafts: dict[str, list[Edit]] = {}
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
    """A project whose edits wait while a transaction is open, from one command to the next."""

    def __init__(self, client: Client, name: str, session: Session) -> None:
        found = client.project(name, check=False)
        super().__init__(found._transport, found.name)  # noqa: SLF001 - the same project
        self.session = session
        self.key = f"{client.profile_name} {self.name}"

    @property
    def waiting(self) -> list[Edit] | None:
        """The edits of the open transaction; None if none is open."""
        return self.session.kept.drafts.get(self.key)

    def _commit(self, edits: Sequence[Edit], expected_revision: int | None) -> EditReply:
        if self.waiting is None:
            return super()._commit(edits, expected_revision)
        self.waiting.extend(edits)
        self.session.save()
        return EditReply(0, 0)

    def at_once(self, *edits: Edit) -> None:
        """Send edits now, also while a transaction is open."""
        super()._commit(edits, None)

    def begin(self) -> None:
        """Open a transaction.

        Raises:
            Conflict: One is open.
        """
        if self.waiting is not None:
            raise Conflict(f"A transaction is open in {self.name}: cpcc commit, or cpcc rollback")
        self.session.kept.drafts[self.key] = []
        self.session.save()

    def end(self, *, commit: bool) -> int:
        """Send the edits of the open transaction, or forget them; how many there were.

        Raises:
            Conflict: None is open.
            UserError: What is wrong with them: nothing was changed, and it stays open.
        """
        if self.waiting is None:
            raise Conflict(f"No transaction is open in {self.name}: cpcc transact opens one")
        edits = list(self.waiting)
        if commit and edits:
            super()._commit(edits, None)
        del self.session.kept.drafts[self.key]
        self.session.save()
        return len(edits)
