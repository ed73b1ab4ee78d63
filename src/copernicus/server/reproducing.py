"""Repeated runs: jobs of the queue that no engine asked for, so that no project changes by them.

Such a job is named after its activation, with a mark behind that no activation has: what the
queue reports of it finds no activation, and is forgotten there.
"""

from __future__ import annotations

import re

import msgspec
from ulid import ULID

from copernicus.engine import views
from copernicus.engine.instances import Activation
from copernicus.engine.tracing import trace_step
from copernicus.errors import Conflict, NotFound
from copernicus.model.paths import parse
from copernicus.model.values import digest
from copernicus.protocol.reproductions import ReproductionView
from copernicus.scheduling.book import record_of
from copernicus.scheduling.rows import activation_of
from copernicus.server.batch import Batch, job_id
from copernicus.server.holdings import Project

_NAME = re.compile(r"(a\d+)[xv][0-9a-z]{26}")
"""``x``: somebody asked for it; ``v``: a rule of the project did (``verifications``)."""


def reproduce(
    batch: Batch, project: Project, path: str, *, elsewhere: bool = False
) -> ReproductionView:
    """Queue the job of an activation once more, from its start.

    ``elsewhere``: never on a worker, nor at a peer, that has completed it before.

    Raises:
        NotFound: There is nothing computed at the path.
        Conflict: It is not one finished job.
    """
    made = _activation(project, path)
    elsewhere_than = places_of(made) if elsewhere else ()
    job = run_again(batch, project, made, f"{made.id}x{str(ULID()).lower()}", elsewhere_than)
    return reproduction(batch, project, job)


def places_of(made: Activation) -> tuple[str, ...]:
    """The workers and peers that have completed it."""
    return tuple(sorted({one.worker for one in made.attempts if one.outcome == "completed"}))


def verify_again(batch: Batch, project: Project, made: Activation) -> str:
    """Queue the job of an activation once more elsewhere: once, however often it is asked for."""
    name = f"{made.id}v{digest([project.record.id, made.id])[:26]}"
    return run_again(batch, project, made, name, places_of(made))


def run_again(
    batch: Batch, project: Project, made: Activation, name: str, barred: tuple[str, ...]
) -> str:
    """Queue the job of an activation under this name, and give its id; these never get it."""
    assert made.job is not None
    spec = msgspec.structs.replace(
        made.job,
        checkpoint_key=digest([made.job.checkpoint_key, name]),
        label=f"{made.job.label} (reproduced)",
    )
    job, paused = job_id(project.record.id, name), project.state.paused
    batch.holdings.scheduler.submit(
        job, project.record.id, 1, spec, None, paused, batch.now, barred
    )
    return job


def made_again_by(project: Project, job: str) -> Activation | None:
    """The activation whose job a repeated run repeats, if it is there."""
    found = _NAME.fullmatch(activation_of(job))
    return project.state.activations.get(found[1]) if found else None


def _activation(project: Project, path: str) -> Activation:
    state = project.state
    roots = views.trace(state, parse(path), 1).roots
    if len(roots) > 1:
        raise Conflict(f"{path} was made by {len(roots)} activations: name one, as in {path}[0]")
    made = state.activations[roots[0]]
    while made.reused:
        made = state.activations[made.reused]
    if made.job is None:
        kind = "a workflow: reproduce what is inside it" if not made.failure else "no job"
        raise Conflict(f"{path} was made by {made.id}, which is {kind}")
    if made.outcome != "succeeded":
        raise Conflict(f"{made.id} of {path} has {made.outcome or 'not ended'}: cpc retry {path}")
    return made


def reproduction(batch: Batch, project: Project, job: str) -> ReproductionView:
    """How far a repeated run is.

    Raises:
        NotFound: There is none of this name.
    """
    name = job.rpartition(".")[2]
    found = _NAME.fullmatch(name)
    row = batch.job_row(job_id(project.record.id, name)) if found else None
    if found is None or row is None or row.spec is None:
        raise NotFound(f"There is no repeated run {job!r} in project {project.record.name!r}.")
    made = project.state.activations[found[1]]
    step = trace_step(project.state, made)
    scheduler = batch.holdings.scheduler
    shown = scheduler.job_view(row.id)
    return ReproductionView(
        job=row.id,
        path=step.path,
        activation=made.id,
        function=step.function,
        version=made.version,
        state=shown.state if row.state in ("queued", "leased") else row.state,
        continued=made.parent or "",
        expected=made.outputs,
        outputs=row.outputs or {},
        first=made.attempts,
        second=tuple(record_of(attempt) for attempt in scheduler.attempt_rows(row.id)),
        failure=row.failure,
        why=shown.why,
    )
