"""What an edit would do, on one screen: sums first, then what they are made of, shortened."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.states import number
from copernicus.cli.render.tables import counted, facts
from copernicus.protocol import (
    Estimate,
    PreviewEvaluation,
    PreviewInstance,
    PreviewReply,
    PreviewRuns,
    PreviewWork,
)

_MOST = 8
_DIGITS = re.compile(r"\d+")
_FATES = {
    "cancelled": "cancelled",
    "stopped": "stopped, with a last checkpoint",
    "extended": "extended: go on from where they are",
    "replaced": "replaced: they had not begun",
    "again": "run to their end, then once more",
}
_GONE = {
    "added": "new",
    "retired": "retired",
    "back": "back, with what they had",
    "removed": "removed",
    "renamed": "renamed",
}


def preview_view(preview: PreviewReply) -> RenderableType:
    """``cpc ... --preview``."""
    head = Text("Preview", style="bold")
    head.append(f" at revision {preview.revision}; nothing is changed", style="dim")
    parts: list[RenderableType] = [head, facts(_sums(preview))]
    sections: tuple[tuple[str, list[Sequence[str]]], ...] = (
        ("would run now", _grouped(preview.starts)),
        ("may run after that", _grouped(preview.follows)),
        ("work under way", [_work(one) for one in preview.work]),
        ("instances", _instances(preview.instances)),
        ("workflows", [_evaluation(one) for one in preview.evaluations]),
        ("would fail", [(one.path, one_line(one.failure.reason)) for one in preview.failures]),
    )
    for title, rows in sections:
        if rows:
            parts += [Text(""), Text(title.upper(), style="bold dim"), _rows(rows)]
    notes = list(preview.hints)
    if preview.cut:
        notes.append(f"this preview is not whole: {one_line(preview.cut)}")
    if notes:
        parts += [Text(""), *(Text(f"! {printable(note)}", style="yellow") for note in notes)]
    return Group(*parts)


def _sums(preview: PreviewReply) -> list[tuple[str, str]]:
    runs = counted(preview.jobs, "job") + _cost(preview.estimate) if preview.jobs else "nothing"
    rows = [("runs now", runs)]
    if preview.jobs_after:
        rows.append(("then", f"up to {preview.jobs_after} more{_cost(preview.estimate_after)}"))
    if any(not one.ends and one.goes != "on" for one in preview.evaluations):
        rows.append(("", "and what workflows declare once they see new values"))
    kept = sum(line.count for line in preview.reuses)
    if kept:
        rows.append(("comes back", f"{counted(kept, 'result')} without a run"))
    running = sum(one.running for one in preview.work if one.fate not in ("again", "extended"))
    if running:
        rows.append(("ends", f"{counted(running, 'running job')}"))
    return rows


def _cost(estimate: Estimate) -> str:
    told = ""
    if estimate.high:
        told = f", about {number(_rounded(estimate.core_hours))} core-hours"
        if estimate.high > estimate.low * 1.1:
            told += f" ({number(_rounded(estimate.low))} to {number(_rounded(estimate.high))})"
    if estimate.unknown and told:
        told += f", and {estimate.unknown} of unknown cost"
    elif estimate.unknown:
        told = ", of unknown cost: none like it has ended yet"
    return told


def _rounded(hours: float) -> float:
    return float(f"{hours:.2g}")


def _grouped(lines: Sequence[PreviewRuns]) -> list[Sequence[str]]:
    """A row for each instance; those whose names differ in numbers only are one."""
    groups: dict[tuple[str, str], list[PreviewRuns]] = {}
    for line in lines:
        groups.setdefault((_DIGITS.sub("*", line.path), line.function), []).append(line)
    rows: list[Sequence[str]] = []
    for (_, function), members in groups.items():
        count = sum(line.count for line in members)
        said = f"{count}+" if any(line.open_ended for line in members) else str(count)
        continues = sum(line.continues for line in members)
        note = f"{continues} go on from before" if continues else ""
        rows.append((_names(members), said, function, note))
    return rows


def _names(members: Sequence[PreviewRuns]) -> str:
    first = members[0]
    if len(members) > 1:
        return f"{first.path} … {members[-1].path}"
    return f"{first.path}{_places(first.elements, first.count)}"


def _places(elements: Sequence[int], count: int) -> str:
    if not elements:
        return ""
    shown = ", ".join(str(place) for place in elements[:3])
    return f"[{shown}{', …' if count > len(elements[:3]) else ''}]"


def _work(one: PreviewWork) -> Sequence[str]:
    told = [f"{one.running} running"] if one.running else []
    told += [f"{one.queued} queued"] if one.queued else []
    places = _places(one.elements, one.running + one.queued)
    return (f"{one.path}{places}", ", ".join(told), _FATES[one.fate])


def _instances(changes: Sequence[PreviewInstance]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for fate, word in _GONE.items():
        found = [one for one in changes if one.fate == fate]
        if fate == "renamed":
            rows += [(f"{one.before} -> {one.path}", word) for one in found]
        elif found:
            names = [one.path for one in found]
            shown = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
            inside = sum(one.inside for one in found)
            told = f"{word}, with {inside} inside" if inside else word
            rows.append((shown, str(len(found)), told))
    return rows


def _evaluation(one: PreviewEvaluation) -> Sequence[str]:
    words = {"begins": "begins", "replayed": "replayed from its start", "on": "goes on"}
    told = words[one.goes]
    if one.version_before:
        told += f" with {one.version} (was {one.version_before})"
    told += ", ends" if one.ends else f", rests at {one.rests_at}" if one.rests_at else ""
    if one.goes == "replayed" and not one.ends and one.passed:
        told += f", after {one.passes} of {counted(one.passed, 'await')}"
    if one.departs is not None:
        place = one.departs.line or f"segment {one.departs.index}"
        branch = "" if one.departs.branch == "root" else f" of branch {one.departs.branch}"
        told += f"; declares something else from {place}{branch} on"
    return (one.path, told)


def _rows(rows: Sequence[Sequence[str]]) -> RenderableType:
    made = Table(box=None, pad_edge=False, show_header=False)
    width = max(len(row) for row in rows)
    for column in range(width):
        last = column == width - 1
        made.add_column(no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows[:_MOST]:
        made.add_row(*(Text(printable(cell)) for cell in row))
    if len(rows) > _MOST:
        made.add_row(Text(f"… {len(rows) - _MOST} more (--json has all)", style="dim"))
    return Padding(made, (0, 0, 0, 2))
