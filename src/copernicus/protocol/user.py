"""The user port (JSON): logins, users, projects, what is shown of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.budgets import Budget, Use
from copernicus.model.document import NetworkDocument
from copernicus.model.edits import Edit
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure
from copernicus.model.retention import Retention
from copernicus.model.retries import ProjectRetries
from copernicus.model.types import PortType
from copernicus.model.verification import Tally, Verification
from copernicus.protocol.machine import ProgressReport


class Health(msgspec.Struct, frozen=True):
    """Who answers: no secret, needs no login."""

    server_id: str
    version: str
    protocol: int
    time: float
    ca_pem: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """Whether the server gives out work, and what keeps it from that."""

    ready: bool
    problems: tuple[str, ...] = ()


class LoginRequest(msgspec.Struct, frozen=True):
    """Name and password."""

    user: str
    password: str


class LoginReply(msgspec.Struct, frozen=True):
    """A token for the ``Authorization: Bearer`` header, until it expires (seconds, epoch)."""

    token: str
    expires: float
    user: str
    admin: bool


class NewUser(msgspec.Struct, frozen=True):
    """A user to be made."""

    name: str
    password: str
    admin: bool = False


class NewPassword(msgspec.Struct, frozen=True):
    """Change a password; ends every session of the user."""

    password: str


class UserView(msgspec.Struct, frozen=True):
    """A user, as shown."""

    name: str
    admin: bool
    created: float


class NewProject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project to be made."""

    name: str
    seed: int | None = None


class Member(msgspec.Struct, frozen=True):
    """A user's role in a project."""

    user: str
    role: Literal["owner", "editor", "viewer"]


class ProjectView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project, as shown. ``states`` counts elements by state.

    ``notice`` says what keeps the whole server from giving out work, if anything does.

    ``paused_for`` says why a project is paused that no user paused. ``weight``, ``priority`` and
    ``pools`` are its part of the workers (``ShareChange``). ``verified`` counts what became of the
    results that were chosen to be verified; ``doubts`` tells those in use that were not the same
    elsewhere.
    """

    id: str
    name: str
    owner: str
    state: Literal["active", "paused"]
    revision: int
    position: int
    created: float
    changed: float
    states: dict[str, int] = {}
    members: tuple[Member, ...] = ()
    paused_for: str = ""
    notice: str = ""
    budget: Budget = Budget()
    retries: ProjectRetries = ProjectRetries()
    retention: Retention = Retention()
    use: Use = Use()
    weight: float = 1.0
    priority: int = 0
    pools: tuple[str, ...] = ()
    verification: Verification = Verification()
    verified: Tally = Tally()
    doubts: tuple[str, ...] = ()


class EditRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transaction. With ``expected_revision`` it is refused if the project has moved on.

    With ``base_revision`` it is refused if one of the paths that it touches was changed after that
    (SEMANTICS 10.1). ``check_only`` changes nothing: the reply says what the network would be.
    ``note`` stands first in the history. ``reuse`` takes earlier results where inputs are equal
    again, until the next transaction: for one that takes others back.
    """

    edits: tuple[Edit, ...]
    expected_revision: int | None = None
    base_revision: int | None = None
    check_only: bool = False
    note: str = ""
    reuse: bool = False


class EditReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The revision that the transaction made, and the journal's position after it.

    ``changed`` is false where everything was so already, and no revision was made. ``network`` is
    there after a check: what the transaction would make of the network.
    """

    revision: int
    position: int
    changed: bool = True
    network: NetworkDocument | None = None


class InstanceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instance in a list: what it is, in what state, how far, what it waits for.

    ``sources`` are the instances that its inputs are connected to.
    """

    path: str
    function: str
    version: str
    kind: str
    state: str
    counts: dict[str, int] = {}
    elements: int = 1
    mapped: tuple[str, ...] = ()
    held: bool = False
    waits_for: str = ""
    progress: ProgressReport | None = None
    failure: Failure | None = None
    parent: str = ""
    sources: tuple[str, ...] = ()


class PortView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A port and what it holds (long values are shortened: ``shown``).

    ``type`` is its type in words, ``port_type`` the type itself, with units and members.
    ``note`` says how far one is that waits for elements (``3/10 done``).
    ``pinned``: a user's hand holds it; ``declared`` is what the workflow function says instead.
    """

    name: str
    type: str
    state: Literal["current", "provisional", "stale", "unset", "waiting"]
    shown: str = ""
    source: str = ""
    doc: str = ""
    required: bool = True
    on_change: str = "finish"
    pinned: bool = False
    declared: str = ""
    port_type: PortType | None = None
    left_out: tuple[str, ...] = ()
    note: str = ""


class PinView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An input inside a workflow that a user holds; ``dangling``: its instance is gone."""

    target: str
    shown: str
    declared: str = ""
    dangling: bool = False


class DecisionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a workflow instance (element) has decided once, at a position of its function.

    ``left_out`` are the candidates that were not chosen, with what has become of them.
    """

    path: str
    position: str
    kind: str
    chosen: tuple[str, ...]
    left_out: dict[str, str] = {}


class ElementView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One element of a mapped instance (or the one of an unmapped)."""

    index: int
    eid: str
    state: str
    activation: str = ""
    job: str = ""
    waits_for: str = ""
    progress: ProgressReport | None = None
    failure: Failure | None = None


class InstanceDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about one instance. ``elements`` is a page of them."""

    summary: InstanceView
    inputs: tuple[PortView, ...]
    outputs: tuple[PortView, ...]
    elements: tuple[ElementView, ...] = ()
    doc: str = ""


class ValueView(msgspec.Struct, frozen=True):
    """The value at a path, its type in words, and the unit that its numbers have.

    ``left_out`` lists what it, and what it was made from, does not hold, and why.

    Of a list in pages: ``value`` holds some of ``total`` elements, and what ``left_out`` lists is
    theirs; pages of one ``edition`` are parts of the same list, and have no ``digest``.
    """

    path: str
    type: str
    state: Literal["current", "provisional", "stale", "unset", "waiting"]
    value: Any = None
    digest: str = ""
    activation: str = ""
    left_out: tuple[str, ...] = ()
    unit: str = ""
    total: int = 0
    edition: str = ""


class RevisionView(msgspec.Struct, frozen=True):
    """A revision, as shown."""

    number: int
    author: str
    at: float
    position: int
    summary: tuple[str, ...]


class FeedEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One server-sent event: a journaled fact, or (position 0) progress of a running job."""

    position: int
    at: float
    kind: str
    event: Any
    revision: int = 0


class ModuleView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An installed module; with a ``problem``, one that could not be imported.

    ``distribution`` is the package that has it, with its version.
    """

    name: str
    version: str = ""
    doc: str = ""
    distribution: str = ""
    functions: tuple[str, ...] = ()
    problem: str = ""


class FunctionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function, as shown."""

    spec: FunctionSpec
    signature: str = ""
    problem: str = ""
