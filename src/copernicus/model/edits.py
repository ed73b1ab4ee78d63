"""Every intent of a user, as data. A transaction is a list of edits: all are applied, or none."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.functions import FunctionSpec
from copernicus.model.network import Source
from copernicus.model.resources import Resources


class AddInstance(msgspec.Struct, frozen=True, tag="add_instance", omit_defaults=True):
    """Place a function in the network under a name; ``mapped`` names the ports mapped over.

    ``version`` is the newest if it is not named. What was removed comes back with its results if
    it is placed again as it was: the newest of that name, or the one of this ``incarnation``.
    """

    path: str
    function: str
    mapped: tuple[str, ...] = ()
    held: bool = True
    resources: Resources | None = None
    version: str = ""
    incarnation: int = 0


class RemoveInstance(msgspec.Struct, frozen=True, tag="remove_instance"):
    """Take an instance, and what is inside it, out of the network."""

    path: str


class RenameInstance(msgspec.Struct, frozen=True, tag="rename_instance"):
    """Give an instance another name."""

    path: str
    name: str


class CopyInstances(msgspec.Struct, frozen=True, tag="copy_instances", omit_defaults=True):
    """Place instances again under other names, with their inputs and the connections among them.

    ``names`` gives the new name for each path. Results are not copied.
    """

    names: dict[str, str]
    held: bool = True


class SetInput(msgspec.Struct, frozen=True, tag="set_input"):
    """Set an input, one element (``[2]``), the next one (``[+]``) or a member (``.nsteps``)."""

    target: str
    value: Any


class ClearInput(msgspec.Struct, frozen=True, tag="clear_input"):
    """Unset or disconnect an input; or remove one element of a list (``run.in.conf[2]``)."""

    target: str


class Connect(msgspec.Struct, frozen=True, tag="connect"):
    """Connect an output (or an element of it) to an input, an element of it, or ``[+]``."""

    source: str
    target: str


class SetSource(msgspec.Struct, frozen=True, tag="set_source"):
    """Give an input a source as a document has it, or none.

    Elements of a list keep the identities that they name; ``""`` asks for a new one.
    """

    path: str
    port: str
    source: Source | None


class Activate(msgspec.Struct, frozen=True, tag="activate"):
    """Let an instance fire; ``""`` lets all instances of the top level."""

    path: str = ""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Let an instance fire no more; running work finishes. ``""`` holds all."""

    path: str = ""


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Nothing fires, queued jobs leave the queue, running ones finish."""


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """End a pause."""


class Retry(msgspec.Struct, frozen=True, tag="retry", omit_defaults=True):
    """Fire again: an instance, one element (``run[3]``), or with ``failed`` all failed below.

    ``resources`` are the fields of ``Resources`` to be asked for from now on instead
    (``{"memory_mb": 8000}``). With ``reopen``, decisions that left the element out, or tolerated
    its failure, are taken anew (SEMANTICS 5.2, 5.3).
    """

    path: str
    failed: bool = False
    resources: dict[str, Any] = {}
    reopen: bool = False


class Cancel(msgspec.Struct, frozen=True, tag="cancel", omit_defaults=True):
    """Stop the work of an instance or element: it fails as cancelled by its user.

    With ``discard`` no last checkpoint is taken.
    """

    path: str
    discard: bool = False


class Reopen(msgspec.Struct, frozen=True, tag="reopen", omit_defaults=True):
    """Take decisions of a workflow instance (element) anew: that at ``position``, or all."""

    path: str
    position: str = ""


class SetBudget(msgspec.Struct, frozen=True, tag="set_budget"):
    """Limit what the project may use; limits that are not named stay (``None``: no limit)."""

    limits: dict[str, float | None]


class SetRetries(msgspec.Struct, frozen=True, tag="set_retries"):
    """How failed jobs of the project are tried again; fields that are not named stay.

    ``fields`` are those of ``RetryPolicy``; ``None``: as the function says.
    """

    fields: dict[str, Any]


class Upgrade(msgspec.Struct, frozen=True, tag="upgrade"):
    """Take the installed version of the function for an instance; a workflow is replayed."""

    path: str


class Skip(msgspec.Struct, frozen=True, tag="skip"):
    """Accept that an instance or element has no value."""

    path: str


class Define(msgspec.Struct, frozen=True, tag="define"):
    """Make a function described by a template known to the project."""

    spec: FunctionSpec


Edit = (
    AddInstance
    | RemoveInstance
    | RenameInstance
    | CopyInstances
    | SetInput
    | ClearInput
    | Connect
    | SetSource
    | Activate
    | Hold
    | Pause
    | Resume
    | Retry
    | Cancel
    | Reopen
    | SetBudget
    | SetRetries
    | Upgrade
    | Skip
    | Define
)
