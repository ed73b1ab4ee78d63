"""Every fact of a project's journal. ``apply`` records them; nothing else changes a project.

Old journals must stay readable: fields are only added, with defaults; a changed meaning is a new
event.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.budgets import Budget
from copernicus.model.empty import NOTHING
from copernicus.model.evaluation import Await, Departure
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import AttemptRecord, CheckpointRef, Failure, JobSpec
from copernicus.model.network import Item, Owner, Single, Source
from copernicus.model.resources import Resources
from copernicus.model.retries import ProjectRetries


class ProjectCreated(msgspec.Struct, frozen=True, tag="project_created"):
    """The first event of every journal. ``rules`` is the version of the engine's rules."""

    project: str
    name: str
    owner: str
    seed: int
    rules: int = 1


class ProjectLoaded(msgspec.Struct, frozen=True, tag="project_loaded"):
    """The project came from another server (or is a copy): from where, and at which position.

    All before this happened there; ``project``, ``name`` and ``owner`` are those of there.
    """

    server: str
    project: str
    name: str
    owner: str
    position: int


class RevisionMade(msgspec.Struct, frozen=True, tag="revision_made"):
    """A user's transaction was accepted; its facts follow. ``summary`` is one line per edit.

    With ``reuse`` it takes others back: until the next revision, an element whose inputs are again
    those of any earlier success has that result, and does not run again.
    """

    number: int
    author: str
    summary: tuple[str, ...]
    reuse: bool = False


class FunctionDefined(msgspec.Struct, frozen=True, tag="function_defined"):
    """The project knows a function in this version."""

    spec: FunctionSpec


class InstanceAdded(msgspec.Struct, frozen=True, tag="instance_added", omit_defaults=True):
    """An instance exists. ``incarnation`` tells it from an earlier one of the same path."""

    path: str
    incarnation: int
    function: str
    version: str
    mapped: tuple[str, ...] = ()
    held: bool = False
    resources: Resources | None = None
    owner: Owner | None = None


class InstanceDeclared(msgspec.Struct, frozen=True, tag="instance_declared", omit_defaults=True):
    """An evaluation declared an existing instance again; it is (again) wanted."""

    path: str
    owner: Owner
    number: int
    mapped: tuple[str, ...] = ()
    resources: Resources | None = None
    version: str = ""


class InstanceRemoved(msgspec.Struct, frozen=True, tag="instance_removed"):
    """An instance was taken out by hand, with what is inside it."""

    path: str


class InstanceRenamed(msgspec.Struct, frozen=True, tag="instance_renamed"):
    """An instance, and what is inside it, has another path."""

    path: str
    new_path: str


class InstanceRetired(msgspec.Struct, frozen=True, tag="instance_retired"):
    """No evaluation wants the instance any more; its results stay."""

    path: str


class HeldSet(msgspec.Struct, frozen=True, tag="held_set"):
    """An instance was held or activated."""

    path: str
    held: bool


class PausedSet(msgspec.Struct, frozen=True, tag="paused_set", omit_defaults=True):
    """The project was paused or resumed; ``reason`` where no user did it (a limit was reached)."""

    paused: bool
    reason: str = ""


class BudgetSet(msgspec.Struct, frozen=True, tag="budget_set"):
    """The project's limits are these from now on."""

    budget: Budget


class RetriesSet(msgspec.Struct, frozen=True, tag="retries_set"):
    """Failed jobs of the project are tried again by these rules from now on."""

    retries: ProjectRetries


class InputSet(msgspec.Struct, frozen=True, tag="input_set"):
    """An input has a new source, or none."""

    path: str
    port: str
    source: Source | None


class PinSet(msgspec.Struct, frozen=True, tag="pin_set"):
    """A user's hand inside a workflow: the input is this, whatever the function declares."""

    path: str
    port: str
    source: Source


class PinRemoved(msgspec.Struct, frozen=True, tag="pin_removed"):
    """The input is again what the workflow function declares."""

    path: str
    port: str


class ItemAppended(msgspec.Struct, frozen=True, tag="item_appended"):
    """A list input has one more element."""

    path: str
    port: str
    item: Item


class ItemReplaced(msgspec.Struct, frozen=True, tag="item_replaced"):
    """An element of a list input has another source, and keeps its identity."""

    path: str
    port: str
    eid: str
    source: Single


class ItemRemoved(msgspec.Struct, frozen=True, tag="item_removed"):
    """A list input has an element less."""

    path: str
    port: str
    eid: str


class ActivationOpened(msgspec.Struct, frozen=True, tag="activation_opened", omit_defaults=True):
    """An instance (or element) fired.

    ``origins`` names, per port, the activations whose outputs were used (the trace); ``parent``
    the activation that this one extends; ``lineage`` and ``base_digest`` bind its checkpoints.
    ``provisional``: its inputs are what running jobs have so far, and so its outputs are no result.
    """

    id: str
    path: str
    incarnation: int
    eid: str
    version: str
    inputs: dict[str, Any]
    digest: str
    base_digest: str
    lineage: str
    strict_digest: str = ""
    origins: dict[str, tuple[str, ...]] = NOTHING
    left_out: dict[str, tuple[str, ...]] = NOTHING
    parent: str | None = None
    provisional: bool = False


class JobMade(msgspec.Struct, frozen=True, tag="job_made"):
    """The activation's job is known: from here it is wanted in the queue."""

    activation: str
    spec: JobSpec


class ReplacementWanted(msgspec.Struct, frozen=True, tag="replacement_wanted"):
    """The inputs changed while the job was queued: if it has not started, it need not."""

    activation: str


Outcome = Literal["succeeded", "failed", "cancelled", "stopped", "superseded"]


class ActivationEnded(msgspec.Struct, frozen=True, tag="activation_ended", omit_defaults=True):
    """An activation has its end.

    ``stopped``: nobody wants it (retired, removed, input changed);
    ``superseded``: another continues it (``by``). Both may still get a late ``ResultKept``.
    ``reused`` is the activation whose result it took instead of running.
    With ``discard`` its job is stopped without a last checkpoint.
    """

    id: str
    outcome: Outcome
    outputs: dict[str, Any] = {}
    failure: Failure | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    checkpoint: CheckpointRef | None = None
    by: str | None = None
    reused: str = ""
    discard: bool = False


class ResultKept(msgspec.Struct, frozen=True, tag="result_kept", omit_defaults=True):
    """A result of a stopped or superseded activation came late: it is that activation's own."""

    id: str
    outputs: dict[str, Any]
    attempts: tuple[AttemptRecord, ...] = ()
    checkpoint: CheckpointRef | None = None


class ActivationReused(msgspec.Struct, frozen=True, tag="activation_reused"):
    """An element's value is, again, the one of an earlier success with the same inputs."""

    path: str
    eid: str
    id: str


class PartialMade(msgspec.Struct, frozen=True, tag="partial_made"):
    """A running job has these outputs so far: provisional, until the next of them or its end."""

    id: str
    attempt: int
    sequence: int
    outputs: dict[str, Any]


class PartialEnded(msgspec.Struct, frozen=True, tag="partial_ended"):
    """The provisional outputs of an activation are withdrawn."""

    id: str


class RetryAsked(msgspec.Struct, frozen=True, tag="retry_asked", omit_defaults=True):
    """A user wants the element to fire again, asking for ``resources`` (fields) from now on."""

    path: str
    eid: str
    resources: dict[str, Any] = {}


class ElementSkipped(msgspec.Struct, frozen=True, tag="element_skipped"):
    """The element is a hole as long as its inputs have this digest.

    ``by`` is a user, or ``""``
    where the hole comes from a hole above.
    """

    path: str
    eid: str
    digest: str
    by: str


class SkipEnded(msgspec.Struct, frozen=True, tag="skip_ended"):
    """The element is no hole any more: its inputs changed."""

    path: str
    eid: str


class EvaluationStarted(msgspec.Struct, frozen=True, tag="evaluation_started"):
    """A workflow function is to be run from its start, with this number and these inputs."""

    path: str
    eid: str
    number: int
    activation: str


class SegmentCommitted(msgspec.Struct, frozen=True, tag="segment_committed", omit_defaults=True):
    """A branch came to rest at await ``index`` (or ended).

    ``digest`` is that of what it declared;
    the declarations themselves precede this event as facts.
    """

    path: str
    eid: str
    number: int
    branch: str
    index: int
    digest: str
    declared: tuple[str, ...] = ()
    spawned: tuple[str, ...] = ()
    waits: Await | None = None
    ended: bool = False


class AwaitAnswered(msgspec.Struct, frozen=True, tag="await_answered"):
    """An await was answered; for ever, as far as recoveries are concerned."""

    path: str
    eid: str
    number: int
    branch: str
    index: int
    value: Any
    digests: tuple[str, ...]


class Decided(msgspec.Struct, frozen=True, tag="decided", omit_defaults=True):
    """What depends on order was decided once (SEMANTICS 5): candidates, chosen, by position."""

    path: str
    eid: str
    position: str
    kind: str
    candidates: tuple[str, ...]
    chosen: tuple[str, ...]
    outcome: Any = None


class DecisionLapsed(msgspec.Struct, frozen=True, tag="decision_lapsed"):
    """A decision holds no more: a chosen one is no candidate now, or failed for good."""

    path: str
    eid: str
    position: str
    reason: str


class DecisionReopened(msgspec.Struct, frozen=True, tag="decision_reopened", omit_defaults=True):
    """A user wants a decision taken anew; with ``names``, only what it says of these."""

    path: str
    eid: str
    position: str
    names: tuple[str, ...] = ()


class OutputBound(msgspec.Struct, frozen=True, tag="output_bound"):
    """A workflow's output is declared to come from ``source``; it follows it once it is current."""

    path: str
    eid: str
    port: str
    source: Source
    effective: bool


class CodeChanged(msgspec.Struct, frozen=True, tag="code_changed", omit_defaults=True):
    """An evaluation begun again runs another version of its function's code.

    With ``departure`` that declares something else than history has: nothing is committed, and the
    evaluation waits for a user's word.
    """

    path: str
    eid: str
    number: int
    version: str
    departure: Departure | None = None


class InstanceUpgraded(msgspec.Struct, frozen=True, tag="instance_upgraded"):
    """A user wants an instance to have this version of its function, ports included.

    Evaluations in it are replayed with the new code.
    """

    path: str
    version: str


class EvaluationEnded(msgspec.Struct, frozen=True, tag="evaluation_ended", omit_defaults=True):
    """The evaluation of this number is over: at its end, or with a failure."""

    path: str
    eid: str
    number: int
    failure: Failure | None = None


class FilesDropped(msgspec.Struct, frozen=True, tag="files_dropped", omit_defaults=True):
    """The project does not keep these files any more, by its rules of retention.

    ``files`` are SHA-256 and size of each; ``activations`` are those whose results lack one now:
    none of them is taken again, what is wanted of them is made anew.
    """

    activations: tuple[str, ...]
    files: dict[str, int]
    at: float


class EffectClosed(msgspec.Struct, frozen=True, tag="effect_closed"):
    """An effect was carried out."""

    object: str
    version: int


Event = (
    ProjectCreated
    | ProjectLoaded
    | RevisionMade
    | FunctionDefined
    | InstanceAdded
    | InstanceDeclared
    | InstanceRemoved
    | InstanceRenamed
    | InstanceRetired
    | HeldSet
    | PausedSet
    | BudgetSet
    | RetriesSet
    | InputSet
    | PinSet
    | PinRemoved
    | ItemAppended
    | ItemReplaced
    | ItemRemoved
    | ActivationOpened
    | JobMade
    | ReplacementWanted
    | ActivationEnded
    | ResultKept
    | ActivationReused
    | PartialMade
    | PartialEnded
    | RetryAsked
    | ElementSkipped
    | SkipEnded
    | EvaluationStarted
    | SegmentCommitted
    | AwaitAnswered
    | Decided
    | DecisionLapsed
    | DecisionReopened
    | OutputBound
    | CodeChanged
    | InstanceUpgraded
    | EvaluationEnded
    | FilesDropped
    | EffectClosed
)
