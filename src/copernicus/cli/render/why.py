"""``cpc why``: from what was asked about to the root, what is wrong there, and what to do."""

from __future__ import annotations

import textwrap

from rich.console import Group, RenderableType
from rich.text import Text

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.states import progress_text, state_text
from copernicus.cli.render.tables import counted, duration, facts
from copernicus.model.jobs import AttemptRecord
from copernicus.protocol import Cause, WhyView

_LOG_LINES = 12
_MOST_LINKS = 8
_MOST_ATTEMPTS = 4


def why_text(view: WhyView) -> RenderableType:
    """The whole answer, on one screen."""
    name = view.path or "the project"
    parts: list[RenderableType] = [
        Text(f"! {printable(doubt)}", style="yellow") for doubt in view.doubts
    ]
    if not view.causes:
        nothing = Text().append(f"{name} is ").append_text(state_text(view.state))
        return Group(*parts, nothing.append(": nothing keeps it waiting"))
    if sum(view.counts.values()) > 1:
        counts = ", ".join(f"{n} {state}" for state, n in view.counts.items() if n)
        parts.append(Text(f"{name}: {counts}", style="bold"))
        parts += [Text(f"  {port}: {said}") for port, said in view.there.items()]
        parts.append(Text(""))
    for index, cause in enumerate(view.causes):
        if index:
            parts.append(Text(""))
        # One screen: the first cause in full, the others in short.
        parts += _cause(cause, full=not index)
    if view.more:
        parts.append(Text(f"… {view.more} other reasons", style="dim"))
    return Group(*parts)


def _cause(cause: Cause, *, full: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    links = list(cause.chain)
    left_out = len(links) - _MOST_LINKS
    if left_out > 0:
        links = [*links[:3], *links[-(_MOST_LINKS - 3) :]]
    for depth, link in enumerate(links):
        line = Text("   " * max(depth - 1, 0) + ("└─ " if depth else ""), style="dim")
        line.append_text(state_text(link.state, printable(link.path)))
        last = depth == len(links) - 1
        line.append(f" {_verb(link.state)}" + ("" if last else " for"))
        if left_out > 0 and depth == 2:
            line.append(f"  … {left_out} between", style="dim")
        if last and cause.says:
            line.append(f": {one_line(cause.says)}")
        parts.append(line)
    rows = _facts(cause)
    if rows and (full or cause.failure):
        parts.append(facts([(f"  {name}", value) for name, value in rows]))
    log = cause.failure.log if cause.failure else ""
    if full and log:
        tail = log.rstrip().split("\n")[-_LOG_LINES:]
        parts.append(Text("\n".join(f"  | {printable(line)}" for line in tail), style="dim"))
    if cause.remedies:
        parts.append(_remedies(cause))
    return parts


def _verb(state: str) -> str:
    return {"failed": "failed", "waiting": "waits", "running": "runs"}.get(state, f"is {state}")


def _facts(cause: Cause) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = []
    failure, job = cause.failure, cause.job
    if failure is not None and failure.where:
        rows.append(("where", failure.where))
    if failure is not None and failure.exit_code is not None:
        rows.append(("exit code", str(failure.exit_code)))
    if job is not None and job.progress is not None:
        rows.append(("progress", progress_text(job.progress)))
    if cause.alike > 1:
        rows.append(("alike", f"{cause.alike - 1} more {_verb(cause.state)} for the same reason"))
    if cause.stops:
        waits = "waits" if cause.stops == 1 else "wait"
        rows.append(("stops", f"{counted(cause.stops, 'element')} that {waits} for it"))
    for number, attempt in enumerate(cause.attempts[-_MOST_ATTEMPTS:]):
        rows.append(("attempts" if not number else "", _attempt(attempt)))
    if not cause.attempts and job is not None and job.attempts:
        rows.append(("attempts", str(job.attempts)))
    if failure is not None and failure.remedy:
        rows.append(("remedy", failure.remedy))
    return rows


def _attempt(attempt: AttemptRecord) -> str:
    where = attempt.host or attempt.worker
    if attempt.host and attempt.worker:
        where += f" (worker {attempt.worker[-6:]})"
    took = f", {duration(attempt.ended - attempt.started)}" if attempt.ended else ""
    code = f", exit {attempt.exit_code}" if attempt.exit_code is not None else ""
    outcome = attempt.outcome or "runs"
    cores = f", {counted(attempt.cores, 'core')}" if attempt.cores > 1 else ""
    return f"{attempt.number}: {outcome} on {printable(where)}{code}{cores}{took}"


def _remedies(cause: Cause) -> RenderableType:
    width = max(len(remedy.command) for remedy in cause.remedies)
    lines = Text()
    for index, remedy in enumerate(cause.remedies):
        lead = "  try  " if not index else "\n       "
        lines.append(lead, style="dim").append(printable(remedy.command), style="bold")
        if remedy.does and width < 46:
            pad = " " * (width - len(remedy.command))
            lines.append(f"{pad}  {textwrap.shorten(remedy.does, 60)}", style="dim")
    return lines
