"""The command that runs something again and compares."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit, note, one_line
from copernicus.cli.session import project_for
from copernicus.errors import BadValue
from copernicus.model.paths import parse

if TYPE_CHECKING:
    from copernicus.client import Project
    from copernicus.model.comparing import Difference, OutputComparison
    from copernicus.protocol.reproductions import ReproductionView

DIFFERS, FAILED = 5, 6
_MOST = 10


def reproduce(
    path: str,
    /,
    *,
    tolerance: float = 0.0,
    timeout: float | None = None,
    elsewhere: Annotated[bool, Parameter(show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Run something again and compare: ends with 0 if equal, 5 if it differs, 6 if it failed.

    Args:
        path: A value (run.out.energy[2]: only that output counts), an element (run[2]), an
            instance, or an activation (a12).
        tolerance: How far numbers may be apart, relative to the larger one: 1e-6.
        timeout: Seconds to wait at most; the run goes on, its result is then not looked at.
        elsewhere: Not on the worker, nor at the peer, that made it.
        options: Common ones.
    """
    from copernicus.model.comparing import compare, verdict_of

    if not tolerance >= 0:
        raise BadValue(f"--tolerance must be 0 or more, not {tolerance}")
    project = project_for(options)
    view = project.reproduce(path, elsewhere=elsewhere)
    if sys.stderr.isatty():
        note(f"{view.path} ({view.activation}) runs again as job {view.job.rpartition('.')[2]}")
    view = _awaited(project, view, timeout)
    if view.state != "done":
        reason = view.failure.reason if view.failure else f"it was {view.state}"
        data = {"verdict": "failed", "run": view, "outputs": []}
        emit(options.json, data, f"{view.path} could not be run again: {one_line(reason)}")
        sys.exit(FAILED)
    asked = parse(path).port
    compared = compare(view.expected, view.outputs, tolerance)
    compared = [one for one in compared if one.port == asked] or compared
    verdict = verdict_of(compared)
    data = {"verdict": verdict, "run": view, "outputs": compared}
    emit(options.json, data, lambda: _text(view, compared, verdict))
    sys.exit(DIFFERS if verdict == "differs" else 0)


def _awaited(project: Project, view: ReproductionView, timeout: float | None) -> ReproductionView:
    began, pause = time.monotonic(), 0.2
    while view.state not in ("done", "failed", "cancelled"):
        left = None if timeout is None else timeout - (time.monotonic() - began)
        if left is not None and left <= 0:
            why = f": {view.why}" if view.why else ""
            raise TimeoutError(f"{view.path} is still {view.state} after {timeout:g} s{why}")
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, 5.0)
        view = project.reproduction(view.job)
    return view


def _text(view: ReproductionView, compared: list[OutputComparison], verdict: str) -> str:
    from copernicus.cli.render.tables import counted

    said = {"identical": "bit for bit the same", "within": "the same within the tolerance"}
    lines = [f"{view.path} ({view.activation}, {view.function}): {said.get(verdict, verdict)}"]
    for name, attempts in (("first", view.first), ("again", view.second)):
        for attempt in (a for a in attempts if a.outcome == "completed"):
            version = f", version {attempt.program_version}" if attempt.program_version else ""
            where = attempt.host or attempt.worker
            lines.append(f"  {name} on {where}{version}, {counted(attempt.cores, 'core')}")
    if view.continued:
        lines.append(f"  first continued {view.continued}; again began at the start")
    for one in compared:
        lines.append(f"  {one.port}: {one.verdict}")
        lines += [f"    {_difference(d)}" for d in one.differences[:_MOST]]
        if len(one.differences) > _MOST:
            lines.append(f"    … {len(one.differences) - _MOST} more")
    return "\n".join(lines)


def _difference(found: Difference) -> str:
    if found.sizes is not None:
        return f"{found.where}: {found.sizes[0]:,} and {found.sizes[1]:,} bytes, not the same"
    apart = "" if found.relative is None else f" ({found.relative:.1e} apart)"
    return one_line(f"{found.where}: {found.first!r} and {found.second!r}{apart}")[:200]
