"""Commands that steer what runs."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from copernicus.cli.amounts import megabytes, seconds, states_below
from copernicus.cli.committing import report
from copernicus.cli.options import IN_EDIT, InEdit, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import confirm, project_for
from copernicus.errors import BadValue
from copernicus.model import edits
from copernicus.model.edits import Edit
from copernicus.model.paths import parse

Flag = Annotated[bool, Parameter(show_default=False)]
MANY = 20


def do(options: InEdit, edit: Edit, text: str) -> None:
    """Commit one edit, and say so."""
    project = project_for(options)
    with project.transaction(preview=options.preview) as transaction:
        project.edit(edit)
    report(options, transaction, text)


def retry(
    path: str = "",
    /,
    *,
    failed: Flag = False,
    cores: int | None = None,
    gpus: int | None = None,
    memory: str | None = None,
    time: str | None = None,
    reopen: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    options: InEdit = IN_EDIT,
) -> None:
    """Retry.

    Args:
        path: An instance, or one element: run[3]; with --failed default: the project.
        failed: Only what failed, in it and below it.
        cores: Cores to ask for from now on.
        gpus: GPUs to ask for from now on.
        memory: Memory to ask for from now on: 8GB, 512MB.
        time: How long it is expected to take: 30min, 2h.
        reopen: Take decisions anew that left it out, or tolerated its failure.
        dry_run: Only say what would run again.
        yes: Do not ask, however many they are.
        options: Common ones.
    """
    if not path and not failed:
        raise BadValue("cpc retry needs a path, or --failed for everything that failed")
    changes = {
        "cores": cores,
        "gpus": gpus,
        "memory_mb": None if memory is None else megabytes(memory),
        "expected_s": None if time is None else seconds(time),
    }
    resources = {name: value for name, value in changes.items() if value is not None}
    states = _states(options, path)
    count = states["failed"] if failed or states["failed"] else _finished(states)
    _ask_and_do(
        options,
        edits.Retry(path, failed, resources, reopen),
        _Touched(path, count, "run again", "runs again"),
        dry_run=dry_run,
        yes=yes,
    )


def skip(
    path: str,
    /,
    *,
    dry_run: Flag = False,
    yes: Flag = False,
    options: InEdit = IN_EDIT,
) -> None:
    """Skip.

    Args:
        path: An instance, or one element: run[3]
        dry_run: Only say what would be skipped.
        yes: Do not ask, however many they are.
        options: Common ones.
    """
    states = _states(options, path, inner=False)
    touched = _Touched(path, sum(states.values()) - states["skipped"], "be skipped", "is skipped")
    _ask_and_do(options, edits.Skip(path), touched, dry_run=dry_run, yes=yes)


def cancel(
    path: str,
    /,
    *,
    discard: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    options: InEdit = IN_EDIT,
) -> None:
    """Cancel.

    Args:
        path: An instance, or one element: run[3]
        discard: Without a last checkpoint; what was computed since the one before is lost.
        dry_run: Only say what would be cancelled.
        yes: Do not ask, however many they are.
        options: Common ones.
    """
    states = _states(options, path)
    again = f"is cancelled (cpc retry {shlex.quote(path)} takes it up again)"
    touched = _Touched(path, states["queued"] + states["running"], "be cancelled", again)
    _ask_and_do(options, edits.Cancel(path, discard), touched, dry_run=dry_run, yes=yes)


class _Touched(NamedTuple):
    """How many elements an edit is about, and how that is said before and after."""

    path: str
    elements: int
    would: str
    done: str

    def named(self) -> str:
        """What it is about: ``12 elements of run``."""
        place = self.path or "the project"
        return place if self.elements < 2 else f"{self.elements} elements of {place}"

    def done_many(self) -> str:
        """How it is said of several."""
        return self.done.replace("runs ", "run ", 1).replace("is ", "are ", 1)


def _states(options: InProject, path: str, *, inner: bool = True) -> Counter[str]:
    if path and parse(path).element is not None:
        return Counter({"failed": 1, "running": 0})
    views = project_for(options).instances()
    return states_below([v for v in views if inner or v.path == path], path)


def _finished(states: Counter[str]) -> int:
    return sum(states[state] for state in ("done", "stale", "skipped"))


def _ask_and_do(
    options: InEdit, edit: Edit, touched: _Touched, *, dry_run: bool, yes: bool
) -> None:
    if dry_run:
        data = {"path": touched.path, "elements": touched.elements, "dry_run": True}
        emit(options.json, data, f"Would {touched.would}: {touched.named()}")
        return
    if touched.elements > MANY and not options.preview:
        confirm(
            f"{touched.named()} would {touched.would}: go on?",
            yes=yes,
            otherwise=f"{touched.named()} would {touched.would}. To do it, add --yes",
        )
    verb = touched.done if touched.elements < 2 else touched.done_many()
    do(options, edit, f"{touched.named()} {verb}")


def pause(*, options: InEdit = IN_EDIT) -> None:
    """Pause the project."""
    do(options, edits.Pause(), "The project is paused: cpc resume")


def resume(*, options: InEdit = IN_EDIT) -> None:
    """Resume the project."""
    do(options, edits.Resume(), "The project goes on")
