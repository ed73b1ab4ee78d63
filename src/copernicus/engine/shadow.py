"""A copy of a project's state on which edits are tried out; the real one never hears of it.

What the engine changes in place is copied: instances, elements, evaluations, work that is under
way, indexes. What it only ever replaces is shared: values, sources, function definitions, and the
records of activations that have ended. A field that a later version adds is copied, unless it is
named here as shared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from copernicus.engine.core import effects_of, submit_edits, submit_report, wanted_start
from copernicus.engine.instances import (
    Activation,
    Answered,
    Binding,
    Branch,
    Decision,
    Element,
    Evaluation,
    Instance,
)
from copernicus.engine.lists import ItemIndex, Tally
from copernicus.engine.state import ProjectState, field_types
from copernicus.engine.transaction import Catalog
from copernicus.model import events as ev
from copernicus.model.edits import Edit
from copernicus.model.effects import (
    CancelJob,
    DescribeJob,
    Effect,
    EndEvaluation,
    Evaluate,
    SendAnswer,
)
from copernicus.model.evaluation import Start
from copernicus.model.reports import JobStopped, Report

Outside = DescribeJob | Evaluate | SendAnswer | EndEvaluation

# What these hold is only ever replaced as a whole.
SHARED: Final[dict[type, frozenset[str]]] = {
    Activation: frozenset({"inputs", "origins", "left_out", "outputs", "output_digests"}),
    Answered: frozenset({"value"}),
    Branch: frozenset(),
    Binding: frozenset(),
    Decision: frozenset({"outcome"}),
    Element: frozenset(),
    Evaluation: frozenset(),
    Instance: frozenset(),
    ItemIndex: frozenset(),
    Tally: frozenset({"items", "places", "unsteady", "decision"}),
    ProjectState: frozenset({"activations"}),
}
Copier = Callable[[Any], Any]
_HELD: Final = (dict, list, set)
_FLAT: Final[dict[str, Copier]] = {"dict": dict.copy, "list": list.copy, "set": set.copy}


class Shadow:
    """A project as it would be. ``pending`` holds what evaluators are to be asked for it."""

    def __init__(self, state: ProjectState, catalog: Catalog) -> None:
        """Take over ``state``: a copy that nobody else has."""
        self.state = state
        self.events: list[ev.Event] = []
        self.pending: deque[Outside] = deque()
        self.replacing: list[str] = []
        self.replaced: set[str] = set()
        self._catalog = catalog

    def edit(self, edits: Sequence[Edit], author: str, *, reuse: bool = False) -> None:
        """Carry out a transaction; ``reuse`` as for ``submit_edits``.

        Raises:
            UserError: An edit is impossible.
        """
        self._record(submit_edits(self.state, edits, author, self._catalog, reuse=reuse))

    def report(self, report: Report) -> None:
        """Take what an evaluator, or whoever looks at the queue, tells."""
        self._record(submit_report(self.state, report, self._catalog))

    def replace_idle(self, idle: Callable[[str], bool]) -> None:
        """Say which of the jobs in ``replacing`` have not begun: they are replaced."""
        asked, self.replacing = self.replacing, []
        for activation in asked:
            if idle(activation):
                self.replaced.add(activation)
                self.report(JobStopped(activation, 0))

    def start_of(self, path: str, eid: str, number: int) -> Start | None:
        """How to begin an evaluation with its recorded answers; ``None`` if it is not wanted."""
        start = wanted_start(self.state, path, eid)
        return start if start is not None and start.number == number else None

    def _record(self, events: list[ev.Event]) -> None:
        self.events.extend(events)
        for effect in effects_of(self.state, events):
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case DescribeJob() | Evaluate() | SendAnswer() | EndEvaluation():
                self.pending.append(effect)
            case CancelJob(only_idle=True):
                self.replacing.append(effect.activation)


def copy_state(state: ProjectState) -> ProjectState:
    """A copy that the engine can work on while the original stays as it is.

    Ended activations are shared, unless they hold a provisional version, which may be withdrawn:
    else only a report about them, which no shadow gets, or a rename, which replaces them, would
    change them.
    """
    copied: ProjectState = _COPIERS[ProjectState](state)
    work = _COPIERS[Activation]
    copied.activations = {
        name: made if made.outcome and made.partial is None else work(made)
        for name, made in state.activations.items()
    }
    return copied


def _copier(kind: type, shared: frozenset[str]) -> Copier:
    """Copies one object of ``kind``, and what its fields hold in place."""
    fields = field_types(kind)
    values = attrgetter(*fields)
    inside = [
        (position, how)
        for position, (name, annotation) in enumerate(fields.items())
        if name not in shared and (how := _of_field(annotation)) is not None
    ]

    def copy(one: Any) -> Any:
        taken = list(values(one))
        for position, how in inside:
            taken[position] = how(taken[position])
        return kind(*taken)

    return copy


def _of_field(annotation: str) -> Copier | None:
    """How what a field holds is copied, by its type; ``None``: it is shared."""
    containers = annotation.count("dict[") + annotation.count("set[") + annotation.count("list[")
    objects = any(kind.__name__ in annotation for kind in SHARED)
    if not containers and not objects:
        return None
    flat = containers == 1 and not objects and "|" not in annotation
    flat = flat and annotation.partition("[")[0] in _FLAT
    return _FLAT[annotation.partition("[")[0]] if flat else _copied


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _COPIERS:
        return _COPIERS[kind](value)
    if kind is dict:
        return {key: _copied(one) for key, one in value.items()}
    if kind is list:
        return [_copied(one) for one in value]
    if kind is tuple:
        return tuple(_copied(one) if type(one) in _HELD else one for one in value)
    return set(value) if kind is set else value


_COPIERS: Final = {kind: _copier(kind, shared) for kind, shared in SHARED.items()}
