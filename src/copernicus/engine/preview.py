"""What an edit would do: a project beside its shadow, in which the edit has been carried out.

What starts at once is exact. What follows is a bound: it runs only if the values it takes change,
and what workflow functions declare when they see new values nobody knows before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from copernicus.engine.coming import Coming
from copernicus.engine.differences import (
    NAMED,
    by_incarnation,
    evaluation_changes,
    failures,
    instance_changes,
    work_changes,
)
from copernicus.engine.estimates import Costs, total
from copernicus.engine.instances import Element, Instance
from copernicus.engine.shadow import Shadow
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import unwanted
from copernicus.model import events as ev
from copernicus.model.evaluation import Departure
from copernicus.protocol import Estimate, PreviewReply, PreviewRuns


@dataclass(slots=True)
class _Line:
    """Runs of one instance, as they are found."""

    instance: Instance
    count: int = 0
    places: list[int] = field(default_factory=list)
    continues: int = 0
    open_ended: bool = False

    def add(self, place: int, *, continues: bool = False) -> None:
        self.count += 1
        self.continues += continues
        if self.instance.mapped and len(self.places) < NAMED:
            self.places.append(place)


class Comparison:
    """A project as it is, beside its shadow; neither may change meanwhile.

    ``running`` are the activations whose jobs workers hold.
    """

    def __init__(self, before: ProjectState, shadow: Shadow, running: AbstractSet[str]) -> None:
        self._before, self._after, self._shadow = before, shadow.state, shadow
        self._running = running
        self._coming = Coming(self._after)
        self._came = Coming(before)
        self._old = by_incarnation(before)
        self._starts: list[_Line] = []
        self._follows: list[_Line] = []
        self._reuses: list[_Line] = []
        for instance in sorted(self._after.instances.values(), key=lambda one: one.order):
            if self._after.spec(instance).kind != "workflow":
                self._look_at(instance)
        self._costs = Costs(before)

    def unknown(self) -> set[str]:
        """The functions of which no run in this project says what it costs."""
        found = {line.instance.function for line in (*self._starts, *self._follows)}
        return self._costs.unknown(found)

    def reply(self, elsewhere: Mapping[str, Sequence[float]], cut: str = "") -> PreviewReply:
        """The preview; ``elsewhere`` holds what runs took in other projects, by function."""
        starts = tuple(self._runs(self._starts, elsewhere))
        follows = tuple(self._runs(self._follows, elsewhere))
        estimate = total(line.estimate for line in starts)
        return PreviewReply(
            revision=self._before.revision,
            position=self._before.position,
            jobs=sum(line.count for line in starts),
            estimate=estimate,
            jobs_after=sum(line.count for line in follows),
            estimate_after=total(line.estimate for line in follows),
            starts=starts,
            follows=follows,
            reuses=tuple(self._runs(self._reuses, None)),
            work=work_changes(self._before, self._shadow, self._running),
            instances=tuple(instance_changes(self._before, self._after)),
            evaluations=tuple(evaluation_changes(self._before, self._shadow)),
            failures=tuple(failures(self._shadow)),
            hints=tuple(self._hints(estimate)),
            cut=cut,
        )

    def _look_at(self, instance: Instance) -> None:
        old = self._old.get(instance.incarnation)
        starts, follows, reuses = _Line(instance), _Line(instance), _Line(instance)
        for place, eid in enumerate(instance.eids or ()):
            element = instance.elements[eid]
            earlier = old.elements.get(eid) if old is not None else None
            made = self._after.activations[element.open] if element.open else None
            if made is not None and made.number >= self._before.next_activation:
                starts.add(place, continues=made.parent is not None)
            elif self._runs_later(instance, element) and not self._ran_later(old, earlier):
                follows.add(place)
            elif _is_valid(self._after, instance, element) and not self._was_valid(old, earlier):
                reuses.add(place)
        if instance.eids is None and self._elements_come(instance, old):
            follows.count, follows.open_ended = 1, True
        pairs = ((starts, self._starts), (follows, self._follows), (reuses, self._reuses))
        for line, lines in pairs:
            if line.count:
                lines.append(line)

    def _runs_later(self, instance: Instance, element: Element) -> bool:
        return _runs_later(self._after, self._coming, instance, element)

    def _ran_later(self, old: Instance | None, earlier: Element | None) -> bool:
        """Whether it would have run later also without the edit."""
        if old is None or earlier is None:
            return False
        return _runs_later(self._before, self._came, old, earlier)

    def _elements_come(self, instance: Instance, old: Instance | None) -> bool:
        if not self._coming.elements_come(instance):
            return False
        return old is None or old.eids is not None or not self._came.elements_come(old)

    def _was_valid(self, old: Instance | None, earlier: Element | None) -> bool:
        return bool(old and earlier and _is_valid(self._before, old, earlier))

    def _runs(
        self, lines: Iterable[_Line], elsewhere: Mapping[str, Sequence[float]] | None
    ) -> Iterator[PreviewRuns]:
        for line in lines:
            instance = line.instance
            of = (instance.incarnation, instance.function, line.count)
            yield PreviewRuns(
                path=instance.path,
                function=instance.function,
                count=line.count,
                elements=tuple(line.places),
                estimate=Estimate() if elsewhere is None else self._costs.of(*of, elsewhere),
                continues=line.continues,
                open_ended=line.open_ended,
            )

    def _hints(self, estimate: Estimate) -> Iterator[str]:
        after = self._after
        if after.paused:
            why = f" ({after.paused_for})" if after.paused_for else ""
            yield f"the project is paused{why}: nothing starts before cpc resume"
        for path in _edited(self._shadow.events):
            if path in after.instances and after.instances[path].held:
                yield f"{path} is held: it runs only after cpc activate {path}"
        yield from _departed(self._before, after)
        if after.backlog and len(after.backlog) > len(self._before.backlog):
            yield f"{len(after.backlog)} wait for a place in the queue (cpc budget)"
        limit, used = after.budget.core_hours, after.use().core_hours
        if limit is not None and used + estimate.core_hours > limit:
            yield (
                f"the budget leaves {max(limit - used, 0):.3g} of {limit:g} core-hours: "
                "the project would pause before all of this has run"
            )


def _runs_later(state: ProjectState, coming: Coming, instance: Instance, element: Element) -> bool:
    """Whether it will run, or run once more after what runs now."""
    if element.open is None:
        return coming.runs(instance, element)
    if element.ready:
        return state.activations[element.open].digest != element.digest
    return coming.inputs_come(instance, element)


def _departed(before: ProjectState, after: ProjectState) -> Iterator[str]:
    """Evaluations that would wait, because other code is installed than they ran until then."""
    for path, instance in after.instances.items():
        for eid, element in instance.elements.items():
            found = element.evaluation.departure if element.evaluation is not None else None
            if found is not None and found != _departure_of(before, path, eid):
                yield f"{path} would wait: {found.reason} (cpc upgrade {path} --preview)"


def _departure_of(state: ProjectState, path: str, eid: str) -> Departure | None:
    instance = state.instances.get(path)
    element = instance.elements.get(eid) if instance is not None else None
    return element.evaluation.departure if element and element.evaluation else None


def _is_valid(state: ProjectState, instance: Instance, element: Element) -> bool:
    return element.current and element.wanted and not unwanted(state, instance)


def _edited(events: Sequence[ev.Event]) -> list[str]:
    """The instances whose inputs are edited, or that are placed, each once."""
    kinds = (ev.InputSet, ev.ItemAppended, ev.ItemReplaced, ev.ItemRemoved, ev.InstanceAdded)
    return list(dict.fromkeys(event.path for event in events if isinstance(event, kinds)))
