"""What may be done to a network, as methods; each is an edit, sent alone or in a transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from copernicus.client.files import BlobPort, Progress, plain_of
from copernicus.client.network import Instance, Output
from copernicus.errors import BadValue, Conflict
from copernicus.model import edits
from copernicus.model.edits import Edit
from copernicus.model.functions import FunctionSpec
from copernicus.model.resources import Resources
from copernicus.model.values import File
from copernicus.protocol import EditReply, PreviewReply


class Transaction:
    """Edits that are carried out together, or not at all; ``reply`` is there after its end.

    Of one that was only to be previewed there is ``preview`` instead: what it would do.
    """

    def __init__(self, expected_revision: int | None = None, *, only_preview: bool = False) -> None:
        self.edits: list[Edit] = []
        self.expected_revision = expected_revision
        self.check: Callable[[Sequence[Edit]], object] | None = None
        self.only_preview = only_preview
        self.reply: EditReply | None = None
        self.preview: PreviewReply | None = None

    def add(self, made: Sequence[Edit]) -> None:
        """Take edits in; if each is to be checked at once and is refused, they are left out."""
        if self.check is not None:
            self.check([*self.edits, *made])
        self.edits += made


class Editing(ABC):
    """The editing half of a ``Project``.

    ``progress`` is called while files are sent, with (name, bytes done, bytes in all).
    """

    files: BlobPort
    progress: Progress | None

    def __init__(self) -> None:
        self._open: Transaction | None = None
        self.progress = None

    @abstractmethod
    def _commit(self, edits: Sequence[Edit], expected_revision: int | None) -> EditReply:
        """Send the edits of one transaction."""

    def _preview(self, edits: Sequence[Edit], expected_revision: int | None) -> PreviewReply:
        """Ask what the edits of one transaction would do."""
        raise BadValue("Only the projects of a server have previews")

    @contextmanager
    def transaction(
        self, expected_revision: int | None = None, *, preview: bool = False
    ) -> Iterator[Transaction]:
        """Collect edits and send them as one: all are checked, then all applied, or none.

        Args:
            expected_revision: refuse if the project has another one by then.
            preview: change nothing, and send no files; ``preview`` of the transaction says what
                would run again, be cancelled, be retired, and what that would cost.

        Raises:
            UserError: What is wrong with them; nothing was changed.
        """
        if self._open is not None:
            raise Conflict("There is a transaction open already: end it first")
        transaction = self._open = Transaction(expected_revision, only_preview=preview)
        try:
            yield transaction
        finally:
            self._open = None
        if transaction.edits and preview:
            transaction.preview = self._preview(transaction.edits, expected_revision)
        elif transaction.edits:
            transaction.reply = self._commit(transaction.edits, expected_revision)

    def edit(self, *made: Edit) -> None:
        """Send edits as one transaction, or leave them to the one that is open."""
        if self._open is not None:
            self._open.add(made)
        else:
            self._commit(made, None)

    def add(
        self,
        path: str,
        function: str,
        map: Sequence[str] = (),  # noqa: A002  # what users call it
        *,
        active: bool = False,
        resources: Resources | None = None,
    ) -> Instance:
        """Place a function under a name.

        Args:
            path: its name.
            function: ``module.name``.
            map: list inputs to map over: one run per element.
            active: False leaves it held until ``activate``.
            resources: what its jobs ask for, if not what the function says.
        """
        mapped = (map,) if isinstance(map, str) else tuple(map)
        self.edit(edits.AddInstance(path, function, mapped, not active, resources))
        return Instance(self, path)  # type: ignore[arg-type]

    def remove(self, path: str) -> None:
        """Take an instance out of the network."""
        self.edit(edits.RemoveInstance(path))

    def rename(self, path: str, name: str) -> None:
        """Give an instance another name."""
        self.edit(edits.RenameInstance(path, name))

    def copy(self, names: Mapping[str, str], *, active: bool = False) -> None:
        """Place instances again under other names, with their inputs.

        Connections among those that are copied go to the copies; results are not copied.

        Args:
            names: the new name of each: ``{"prep": "prep2", "run": "run2"}``.
            active: False leaves the copies held until ``activate``.
        """
        self.edit(edits.CopyInstances(dict(names), not active))

    def connect(self, source: str | Output, target: str) -> None:
        """Connect an output to an input (or to an element of it, or ``[+]``)."""
        self.edit(edits.Connect(_path(source), target))

    def set(self, path: str, value: Any) -> None:
        """Set an input: a value, a ``Path`` (sent as a file), a list of them, or an output."""
        if isinstance(value, Output):
            self.connect(value, path)
        elif isinstance(value, list | tuple) and any(isinstance(v, Output) for v in value):
            self.edit(edits.SetInput(path, []), *self._appended(path, list(value)))
        else:
            self.edit(edits.SetInput(path, self._plain(value)))

    def append(self, path: str, value: Any) -> None:
        """Add one element to a list input."""
        self.extend(path, [value])

    def extend(self, path: str, values: list[Any]) -> None:
        """Add elements to a list input, in one transaction."""
        self.edit(*self._appended(path, values))

    def unset(self, path: str) -> None:
        """Unset or disconnect an input, or remove one element of a list."""
        self.edit(edits.ClearInput(path))

    def activate(self, path: str = "") -> None:
        """Let an instance fire; without a path all of them."""
        self.edit(edits.Activate(path))

    def hold(self, path: str = "") -> None:
        """Let an instance (or all) fire no more; what runs finishes."""
        self.edit(edits.Hold(path))

    def pause(self) -> None:
        """Nothing fires, queued jobs leave the queue, running ones finish."""
        self.edit(edits.Pause())

    def resume(self) -> None:
        """End a pause."""
        self.edit(edits.Resume())

    def retry(
        self,
        path: str,
        *,
        failed: bool = False,
        resources: Mapping[str, Any] | None = None,
        reopen: bool = False,
    ) -> None:
        """Fire again: an instance, an element (``run[3]``), or all that failed below.

        Args:
            path: what; with ``failed`` it may be ``""``, the whole project.
            failed: only what failed, in it and below it.
            resources: what its jobs ask for from now on: ``{"memory_mb": 8192}``.
            reopen: take decisions anew that left it out, or tolerated its failure.
        """
        self.edit(edits.Retry(path, failed, dict(resources or {}), reopen))

    def cancel(self, path: str, *, discard: bool = False) -> None:
        """Stop the work of an instance or an element; ``discard``: without a last checkpoint."""
        self.edit(edits.Cancel(path, discard))

    def skip(self, path: str) -> None:
        """Accept that an instance or an element has no value."""
        self.edit(edits.Skip(path))

    def define(self, described: Path | str | FunctionSpec) -> FunctionSpec:
        """Make a function known that a TOML file, or a script, describes, to the project.

        Raises:
            BadDefinition: The description is wrong; the message says where.
        """
        if isinstance(described, FunctionSpec):
            spec = described
        else:
            from copernicus.sdk.toml_functions import read_function_file

            spec = read_function_file(Path(described))
        self.edit(edits.Define(spec))
        return spec

    def _appended(self, path: str, values: list[Any]) -> list[Edit]:
        plain = iter(self._plain([v for v in values if not isinstance(v, Output)]))
        target = f"{path}[+]"
        return [
            edits.Connect(value.path, target)
            if isinstance(value, Output)
            else edits.SetInput(target, next(plain))
            for value in values
        ]

    def _plain(self, value: Any) -> Any:
        plain = plain_of(value, self._stored)
        try:
            msgspec.json.encode(plain)
        except (TypeError, ValueError) as error:
            raise BadValue(
                f"{type(value).__name__} is no value that can be sent: {error}"
            ) from None
        return plain

    def _stored(self, paths: list[Path]) -> list[File]:
        if self._open is not None and self._open.only_preview:
            return self.files.described(paths)
        return self.files.upload(paths, self.progress)


def _path(source: str | Output) -> str:
    return source.path if isinstance(source, Output) else source
