"""Files in the hands of authors: the same annotation for programs, tasks and workflows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from copernicus.errors import BadValue
from copernicus.model import values
from copernicus.model.jobs import Placed


class File(values.File, frozen=True):
    """Immutable bytes in the blob store, and the name they go by.

    Inside a task, ``path`` is a local copy to read (not to write to). A task makes a new file with
    ``File.new``; the worker stores it.
    """

    local: str | None = None

    @classmethod
    def new(cls, path: Path | str, name: str | None = None) -> File:
        """A file that this task has written, to be returned as an output or inside of one."""
        path = Path(path)
        return cls("", 0, name or path.name, str(path.absolute()))

    @classmethod
    def of(cls, file: values.File) -> File:
        """A stored file, without a local copy."""
        return cls(file.sha256, file.size, file.name)

    @classmethod
    def at(cls, file: values.File, path: Path) -> File:
        """A stored file with a local copy at ``path``."""
        return cls(file.sha256, file.size, file.name, str(path))

    @property
    def path(self) -> Path:
        """Where the local copy lies.

        Raises:
            BadValue: There is none: only a task has files at hand.
        """
        if self.local is None:
            raise BadValue(
                f"file {self.name!r} has no local copy here: only a @task can read files"
            )
        return Path(self.local)

    @property
    def is_new(self) -> bool:
        """Whether this file was made here and is not stored yet."""
        return not self.sha256

    def plain(self) -> dict[str, Any]:
        """The plain form of this file.

        Raises:
            BadValue: It is not stored yet.
        """
        if self.is_new:
            raise BadValue(f"file {self.name!r} is not stored: only a task's outputs may be new")
        return super().plain()


NewFile = File.new
"""``NewFile(path, name)``: a file that a task has written, as an output."""

Files = list[File]


def place(path: str, content: values.File | str) -> Placed:
    """Put a file, or a text, into the work folder of a program at ``path``."""
    if isinstance(content, str):
        return Placed(path, text=content)
    return Placed(path, file=values.File(content.sha256, content.size, content.name).plain())
