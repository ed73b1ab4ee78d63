"""Outputs of running jobs: which job a path means, what is asked of it, what it has given."""

from __future__ import annotations

import asyncio

import msgspec

from copernicus.calling.waiting import within
from copernicus.engine import views
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model.paths import Address, parse
from copernicus.protocol import PartialView
from copernicus.scheduling.partials import names_of
from copernicus.scheduling.rows import SERIES, AttemptRow
from copernicus.server.batch import Batch
from copernicus.server.holdings import Project

_MOST = 1000


class Target(msgspec.Struct, frozen=True):
    """One output (or series) of one job; ``wish`` is the number of what was asked, if it was."""

    path: str
    name: str
    job: str
    wish: int = 0


class Knocks:
    """Wakes those who wait for what workers bring."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def told(self) -> None:
        """Something has come."""
        self._event.set()
        self._event = asyncio.Event()

    async def next(self, timeout_s: float) -> None:
        """Return when something comes, or after this time."""
        await within(timeout_s, self._event)


def ask_outputs(batch: Batch, project: Project, path: str) -> list[Target]:
    """Ask the workers for an output of running jobs: of one element, or of all that run.

    Raises:
        NotFound: there is no such instance, element or output.
        Conflict: none of it runs; says why.
        BadValue: the output means nothing before the end of its job.
    """
    address = parse(path)
    if address.side != "out" or address.port is None:
        raise BadValue(f"{path!r} names no output: write for example run.out.xtc or run[3].out.xtc")
    mapped, found = _elements(batch, project, address)
    targets = [_named(batch, project, one, address.port, path) for one in found]
    return _ask(batch, targets, path, every=mapped and len(found) > 1)


def ask_series(batch: Batch, project: Project, path: str) -> list[Target]:
    """Ask the worker of a job for its series; those of an ended job are here already.

    Raises:
        NotFound: there is no such instance or element, or it has no job or no series.
        Conflict: it neither runs nor has ended; says why.
    """
    address = parse(path)
    if address.side is not None:
        raise BadValue(f"{path!r} names a port: write the instance or one element, as in run[3]")
    found = _elements(batch, project, address)[1]
    if len(found) > 1:
        raise BadValue(f"{path} has {len(found)} jobs: name one, as in {path}[0]")
    row = batch.job_row(found[0].job)
    names = [name for name in names_of(row.spec if row else None) if name.startswith(SERIES)]
    if not names:
        raise NotFound(f"{path} has no series: its function declares none")
    targets = [msgspec.structs.replace(found[0], name=name) for name in names]
    if any(_ended_with(batch, target) for target in targets) and not _runs(batch, targets[0]):
        return targets
    return _ask(batch, targets, path, every=False)


def is_waiting(batch: Batch, targets: list[Target]) -> bool:
    """Whether anything that was asked may still come."""
    return any(
        target.wish and batch.holdings.scheduler.is_waiting(target.job, target.wish)
        for target in targets
    )


def partial_views(batch: Batch, targets: list[Target]) -> list[PartialView]:
    """What was given of each."""
    return [_view(batch, target) for target in targets]


def _elements(batch: Batch, project: Project, address: Address) -> tuple[bool, list[Target]]:
    state = project.state
    mapped = bool(state.instance(address.instance).mapped)
    index = address.element
    if mapped and index is None and address.steps and isinstance(address.steps[0], int):
        index = address.steps[0]
    start, count = (0, _MOST) if index is None or not mapped else (index, 1)
    detail = views.instance(state, address.instance, start, count)
    if not detail.elements:
        raise NotFound(f"{address.instance} has {detail.summary.elements} elements: no [{index}]")
    shown = address.instance
    found = [
        Target(f"{shown}[{one.index}]" if mapped else shown, "", one.job)
        for one in detail.elements
        if one.job
    ]
    if not found:
        raise Conflict(f"{address} has no job: cpc why {shown}")
    return mapped, found


def _named(batch: Batch, project: Project, target: Target, port: str, path: str) -> Target:
    row = batch.job_row(target.job)
    project.state.spec(project.state.instance(parse(path).instance)).output(port)
    known = [name for name in names_of(row.spec if row else None) if not name.startswith(SERIES)]
    if port not in known:
        given = f"these are: {', '.join(known)}" if known else "none of its outputs is"
        raise BadValue(f"{port} of {target.path} means nothing before its job has ended; {given}")
    return msgspec.structs.replace(target, path=f"{target.path}.out.{port}", name=port)


def _ask(batch: Batch, targets: list[Target], path: str, *, every: bool) -> list[Target]:
    """Ask for all; with ``every``, leave out what does not run unless nothing does."""
    asked = []
    refusal = None
    for target in targets:
        try:
            wish = batch.holdings.scheduler.ask(target.job, (target.name,))
        except Conflict as error:
            if not every:
                raise Conflict(f"{target.path}: {error.message}") from None
            refusal = error
        else:
            asked.append(msgspec.structs.replace(target, wish=wish))
    if not asked and refusal is not None:
        raise Conflict(f"no job of {path} runs; of the last one: {refusal.message}")
    return asked


def _runs(batch: Batch, target: Target) -> bool:
    last = _last(batch, target)
    return last is not None and last.state == "live"


def _last(batch: Batch, target: Target) -> AttemptRow | None:
    attempts = batch.holdings.scheduler.attempt_rows(target.job)
    return attempts[-1] if attempts else None


def _ended_with(batch: Batch, target: Target) -> AttemptRow | None:
    """The newest attempt that left this series."""
    name = target.name.removeprefix(SERIES)
    attempts = batch.holdings.scheduler.attempt_rows(target.job)
    return next((row for row in reversed(attempts) if name in row.series), None)


def _view(batch: Batch, target: Target) -> PartialView:
    shown = target.name.removeprefix(SERIES)
    blank = PartialView(target.path, shown, target.job, running=_runs(batch, target))
    last = _last(batch, target)
    given = last.partial.get(target.name) if last else None
    if last is not None and given is not None:
        progress = batch.holdings.scheduler.job_view(target.job).progress
        return msgspec.structs.replace(
            blank,
            value=given.value,
            attempt=last.number,
            host=last.host,
            age_s=max(0.0, batch.now - given.at),
            step=given.step,
            total=progress.total if progress else None,
        )
    left = _ended_with(batch, target)
    if left is None or blank.running:
        return blank
    age_s = max(0.0, batch.now - left.ended)
    return msgspec.structs.replace(
        blank, value=left.series[shown], attempt=left.number, host=left.host, age_s=age_s
    )
