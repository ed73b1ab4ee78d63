"""Drafts between commands: edits that wait to be committed, per server, user and project."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec

from copernicus.client.profiles import Profile, config_folder
from copernicus.errors import BadSettings
from copernicus.model.edits import Edit
from copernicus.security.files import make_private_folder, read_private, write_private

FOLDER = "drafts"


class Draft(msgspec.Struct, omit_defaults=True):
    """Edits of one project that wait, and the revision on which they were begun."""

    project: str
    name: str
    base_revision: int
    begun: float
    edits: list[Edit] = []


class _Stored(msgspec.Struct, omit_defaults=True):
    format: int = 1
    drafts: dict[str, Draft] = {}


class Drafts:
    """The drafts of one user at one server, in a file that only the user reads."""

    def __init__(self, profile: Profile, folder: Path | None = None) -> None:
        whose = f"{profile.server_id}\n{profile.user}".encode()
        self._folder = (folder or config_folder()) / FOLDER
        self.path = self._folder / f"{hashlib.sha256(whose).hexdigest()[:16]}.json"

    def find(self, project: str) -> Draft | None:
        """The draft of a project (by name or id), if one was begun."""
        for draft in self._load().drafts.values():
            if project in (draft.project, draft.name):
                return draft
        return None

    def begin(self, project: str, name: str, base_revision: int) -> Draft:
        """A new, empty draft."""
        draft = Draft(project, name, base_revision, time.time())
        self.put(draft)
        return draft

    def put(self, draft: Draft) -> None:
        """Keep a draft as it is now."""
        stored = self._load()
        stored.drafts[draft.project] = draft
        self._save(stored)

    def drop(self, draft: Draft) -> None:
        """Forget a draft."""
        stored = self._load()
        stored.drafts.pop(draft.project, None)
        self._save(stored)

    def _load(self) -> _Stored:
        if not self.path.exists():
            return _Stored()
        try:
            return msgspec.json.decode(read_private(self.path), type=_Stored)
        except msgspec.DecodeError:
            raise BadSettings(
                f"{self.path} is damaged: remove it; the edits that waited in it are lost"
            ) from None

    def _save(self, stored: _Stored) -> None:
        make_private_folder(self._folder)
        write_private(self.path, msgspec.json.format(msgspec.json.encode(stored), indent=2))
