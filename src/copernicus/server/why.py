"""Why something is not done: causes at their roots, with jobs, attempts and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from copernicus.engine import views, waiting
from copernicus.engine.absence import element_name, failed_activation
from copernicus.engine.indexes import below
from copernicus.engine.instances import Element, Instance
from copernicus.engine.standing import first
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import unwanted
from copernicus.errors import NotFound
from copernicus.model.jobs import AttemptRecord, Failure
from copernicus.model.paths import parse
from copernicus.protocol import Cause, JobView, Link, Remedy, WhyView
from copernicus.server import remedies
from copernicus.server.batch import Batch, job_id
from copernicus.server.doubts import doubts_of
from copernicus.server.holdings import Project

_SETTLED = frozenset({"done", "skipped", "retired"})
_STANDINGS = ("failed", "departed", "behind", "new", "open")
# Of thousands that wait alike some are looked at, but what failed comes before all others.
_MOST_OF_A_KIND = 400
_MOST_LOOKED_AT = 2000
_MOST_CAUSES = 5
_WORST_FIRST = ("failed", "held", "waiting", "stale", "queued", "running")

Start = tuple[Instance, Element | None]
Root = tuple[str, str, str]


def why(batch: Batch, project: Project, path: str) -> WhyView:
    """What keeps an instance or an element (``""``: the project) from being done.

    Raises:
        NotFound: There is no such instance or element.
    """
    state = project.state
    starts, word, counts = _asked(state, path)
    groups: dict[Root, _Group] = {}
    for start in islice(starts, _MOST_LOOKED_AT):
        cause = _Explainer(batch, project, start).cause()
        # Failures with one reason are one cause; so is one held or unset thing, whatever it stops.
        root = ("" if cause.state == "failed" else cause.path, cause.state, cause.says)
        groups.setdefault(root, _Group()).add(cause)
    worst = sorted(groups.values(), key=lambda group: group.urgency)
    causes = tuple(group.told() for group in worst[:_MOST_CAUSES])
    return WhyView(
        path,
        word,
        counts,
        causes,
        max(len(worst) - _MOST_CAUSES, 0),
        _there(state, path),
        doubts_of(batch, project, path),
    )


def _there(state: ProjectState, path: str) -> dict[str, str]:
    address = parse(path) if path else None
    whole = address is not None and address.element is None
    return views.how_far(state, state.instance(address.instance)) if address and whole else {}


class _Group:
    """Causes that are told as one."""

    def __init__(self) -> None:
        self._causes: list[Cause] = []

    def add(self, cause: Cause) -> None:
        """One more of them."""
        self._causes.append(cause)

    @property
    def urgency(self) -> tuple[int, int]:
        """The lower, the sooner it is told."""
        return _WORST_FIRST.index(self._causes[0].state), -len(self._causes)

    def told(self) -> Cause:
        """The one with the shortest way, and how many others there are."""
        first = min(self._causes, key=lambda cause: len(cause.chain))
        roots = sorted({cause.path for cause in self._causes if len(cause.chain) == 1})
        stops = len(self._causes) - len(roots)
        alike = max(len({cause.path for cause in self._causes}), 1)
        tools = first.remedies
        owners = {root.partition("[")[0] for root in roots}
        if first.state == "failed" and alike > 1 and len(owners) == 1:
            tools += (remedies.for_alike(owners.pop()),)
        return msgspec.structs.replace(first, alike=alike, stops=stops, remedies=tools)


def _asked(state: ProjectState, path: str) -> tuple[Iterator[Start], str, dict[str, int]]:
    """The elements that the question is about, and how the whole stands."""
    if not path:
        tops = [i for i in state.instances.values() if i.owner is None]
        counts = views.project_states(state)
        return _unsettled(state, tops), "paused" if state.paused else "active", counts
    address = parse(path)
    instance = state.instance(address.instance)
    if address.element is not None:
        eids = instance.eids or ()
        if address.element >= len(eids):
            known = f"it has {len(eids)} elements, from [0] on"
            raise NotFound(f"{instance.path} has no element [{address.element}]: {known}")
        element = instance.elements[eids[address.element]]
        word = views.element_state(state, instance, element)
        starts = iter([(instance, element)] if word not in _SETTLED else [])
        return starts, word, {word: 1}
    summary = views.summary(state, instance)
    return _unsettled(state, [instance]), summary.state, summary.counts


def _unsettled(state: ProjectState, instances: Iterable[Instance]) -> Iterator[Start]:
    """What is not done of these instances, and what stands still inside them."""
    for top in instances:
        yield from _own(state, top)
        for path in below(state, top.path) if state.spec(top).kind == "workflow" else ():
            inner = state.instances[path]
            for start in _own(state, inner) if inner is not top else ():
                if start[1] is not None and waiting.stands_still(state, inner, start[1]):
                    yield start


def _own(state: ProjectState, instance: Instance) -> Iterator[Start]:
    if instance.eids is None:
        yield instance, None
    if unwanted(state, instance):
        return
    for kind in _STANDINGS:
        for element in first(instance, (kind,), _MOST_OF_A_KIND):
            yield instance, element


class _Explainer:
    """Follows one element to its root, and says what is wrong there."""

    def __init__(self, batch: Batch, project: Project, start: Start) -> None:
        self._batch = batch
        self._project = project
        self._state = project.state
        self._start = start
        instance, element = start
        if element is None:
            self._chain = waiting.shape_chain(self._state, instance)
        elif instance.held and element.open is None:
            reason = waiting.chain(self._state, instance, element)
            self._chain = waiting.Chain(((instance, element),), reason.reason)
        else:
            self._chain = waiting.chain(self._state, instance, element)

    def cause(self) -> Cause:
        """The cause at the root."""
        if not self._chain.links:
            return self._without_shape()
        instance, element = self._chain.root
        name = element_name(instance, element.eid)
        job = self._job(element)
        word = self._word(instance, element, job)
        failed = failed_activation(self._state, element)
        failure = failed.failure if failed is not None else None
        return Cause(
            path=name,
            state=word,
            says=self._says(word, instance, failure, job),
            chain=self._links(),
            failure=failure,
            job=job,
            attempts=self._attempts(element),
            remedies=self._remedies(word, name, instance, failure, job),
        )

    def _without_shape(self) -> Cause:
        instance, _ = self._start
        word = "held" if instance.held else "waiting"
        return Cause(
            instance.path,
            word,
            self._chain.reason,
            chain=(Link(instance.path, word),),
            remedies=self._remedies(word, instance.path, instance, None, None),
        )

    def _links(self) -> tuple[Link, ...]:
        instance, element = self._start
        first = () if element else (Link(instance.path, "waiting"),)
        return first + tuple(
            Link(element_name(i, e.eid), self._word(i, e, self._job(e)))
            for i, e in self._chain.links
        )

    def _word(self, instance: Instance, element: Element, job: JobView | None) -> str:
        word = views.element_state(self._state, instance, element)
        return "running" if word == "queued" and job and job.state == "running" else word

    def _job(self, element: Element) -> JobView | None:
        name = self._job_name(element)
        if not name or self._batch.holdings.scheduler.job_row(name) is None:
            return None
        shown = self._batch.holdings.scheduler.job_view(name)
        instance, _ = self._chain.root
        return msgspec.structs.replace(shown, path=element_name(instance, element.eid))

    def _job_name(self, element: Element) -> str:
        activation = element.open or element.ended or ""
        has_job = activation and self._state.activations[activation].job is not None
        return job_id(self._project.record.id, activation) if has_job else ""

    def _attempts(self, element: Element) -> tuple[AttemptRecord, ...]:
        ended = element.open or element.ended
        kept = self._state.activations[ended].attempts if ended else ()
        name = self._job_name(element)
        return kept or (self._batch.holdings.scheduler.attempt_records(name) if name else ())

    def _says(
        self, word: str, instance: Instance, failure: Failure | None, job: JobView | None
    ) -> str:
        if word == "failed":
            return failure.reason.strip() if failure else "no reason was given"
        if word == "queued" and job is not None:
            return job.why
        if word == "running" and job is not None:
            return f"on {job.host or job.worker}"
        if word in ("waiting", "stale") and self._state.paused and not self._chain.reason:
            known = f": {self._state.paused_for}" if self._state.paused_for else ""
            return f"the project is paused{known}"
        return self._chain.reason

    def _remedies(
        self,
        word: str,
        name: str,
        instance: Instance,
        failure: Failure | None,
        job: JobView | None,
    ) -> tuple[Remedy, ...]:
        match word:
            case "failed":
                again = remedies.for_failure(name, failure, self._memory(job))
                inputs = failure is not None and failure.cause in ("job_error", "definition")
                return again + (remedies.for_input(name, self._state, instance) if inputs else ())
            case "held":
                return remedies.for_unset(self._state, instance) + remedies.for_held(instance.path)
            case "queued" if job is not None:
                return remedies.for_queued(name, job)
            case "running" if job is not None:
                return remedies.for_running(name)
            case "waiting" | "stale":
                unset = remedies.for_unset(self._state, instance)
                uneven = instance.eids is None and "equal length" in instance.shape_problem
                paused = remedies.for_paused() if self._state.paused else ()
                limited = remedies.for_limit() if self._at_limit() else ()
                lengths = remedies.for_lengths(instance) if uneven else ()
                return unset + lengths + limited + paused
        return ()

    def _at_limit(self) -> bool:
        return bool(self._state.paused_for) or self._chain.reason.startswith("the budget")

    def _memory(self, job: JobView | None) -> int:
        row = self._batch.holdings.scheduler.job_row(job.id) if job else None
        if row is None or row.spec is None:
            return 0
        return row.memory_mb or row.spec.resources.memory_mb
