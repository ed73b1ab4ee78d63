"""``cpc status``: a project at a glance, in the width that there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.states import number, progress_text, state_text, style_of
from copernicus.cli.render.tables import counted
from copernicus.protocol import InstanceView, JobView, ProgressReport, ProjectView

_BAR = 12
_STROKES = {"done": "━", "failed": "✕", "running": "╍"}
_REST = "─"
_MOST_CHILDREN = 6
_MOST_ROWS = 40
_MOST_FAILURES = 5
_URGENT = ("failed", "running", "stopping", "queued", "stale", "waiting", "held")
_ENDED = ("done", "skipped", "retired")


@dataclass
class Row:
    """An instance as a line: ``running`` are its jobs that a worker has, ``why`` none has one."""

    view: InstanceView
    depth: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    running: list[JobView] = field(default_factory=list)
    why: str = ""

    @property
    def state(self) -> str:
        """Its state, in which a queued one whose job a worker has is running."""
        return "running" if self.view.state == "queued" and self.running else self.view.state


@dataclass(frozen=True)
class LeftOut:
    """Inner instances that are only counted."""

    depth: int
    states: Counter[str]


def status_text(
    project: ProjectView,
    instances: Sequence[InstanceView],
    jobs: Sequence[JobView],
    *,
    inside: str = "",
    everything: bool = False,
    problem: str = "",
) -> RenderableType:
    """The whole picture.

    Args:
        project: what it is of.
        instances: all of them.
        jobs: for progress and places.
        inside: only what is in this instance, and itself.
        everything: all instances that workflows made, however many.
        problem: said beside the name: the line to the server is broken.
    """
    rows = arrange(instances, jobs, inside=inside, everything=everything)
    parts: list[RenderableType] = [_head(project, jobs, problem)]
    if project.notice:
        parts.append(Text(f"! {printable(project.notice)}", style="yellow"))
    parts += [Text(f"! {printable(doubt)}", style="yellow") for doubt in project.doubts]
    if not rows:
        parts.append(Text("\nNothing is in it yet: cpc add NAME FUNCTION", style="dim"))
        return Group(*parts)
    parts += [Text(""), _table(rows)]
    failures = _failures(instances, inside)
    if failures:
        parts += [Text(""), *failures]
    return Group(*parts)


def arrange(
    instances: Sequence[InstanceView],
    jobs: Sequence[JobView],
    *,
    inside: str = "",
    everything: bool = False,
) -> list[Row | LeftOut]:
    """The lines, outer before inner; ``LeftOut`` stands for inner ones that are not shown."""
    running: dict[str, list[JobView]] = {}
    whys: dict[str, str] = {}
    for job in jobs:
        path = job.path.partition("[")[0]
        if job.state in ("running", "stopping"):
            running.setdefault(path, []).append(job)
        elif job.state == "queued":
            whys.setdefault(path, job.why)
    children: dict[str, list[Row]] = {}
    for view in instances:
        row = Row(view, running=running.get(view.path, []), why=whys.get(view.path, ""))
        row.counts = _with_running(view, len(row.running))
        children.setdefault(view.parent, []).append(row)
    tops = (
        [row for rows in children.values() for row in rows if row.view.path == inside]
        if inside
        else children.get("", [])
    )
    full = everything or bool(inside) or len(instances) <= _MOST_ROWS
    return [line for row in tops for line in _below(row, children, 0, full=full)]


def _below(
    row: Row, children: dict[str, list[Row]], depth: int, *, full: bool
) -> list[Row | LeftOut]:
    row.depth = depth
    inner = children.get(row.view.path, [])
    if inner and row.view.kind == "workflow":
        row.counts = sum((child.counts for child in inner), Counter())
    shown = inner if full else _most_urgent(inner)
    lines: list[Row | LeftOut] = [row]
    for child in shown:
        lines += _below(child, children, depth + 1, full=full)
    left_out = [child for child in inner if child not in shown]
    if left_out:
        lines.append(LeftOut(depth + 1, Counter(child.state for child in left_out)))
    return lines


def _most_urgent(rows: Sequence[Row]) -> list[Row]:
    live = [row for row in rows if row.state not in _ENDED]
    live.sort(key=lambda row: _URGENT.index(row.state) if row.state in _URGENT else 0)
    chosen = live[:_MOST_CHILDREN]
    return [row for row in rows if row in chosen]


def _with_running(view: InstanceView, running: int) -> Counter[str]:
    counts = Counter(view.counts or {view.state: max(view.elements, 1)})
    moved = min(max(running - counts["running"], 0), counts["queued"])
    counts["queued"] -= moved
    counts["running"] += moved
    return +counts


def _head(project: ProjectView, jobs: Sequence[JobView], problem: str) -> Text:
    busy = sum(job.cores for job in jobs if job.state in ("running", "stopping"))
    running = sum(job.state in ("running", "stopping") for job in jobs)
    queued = sum(job.state == "queued" for job in jobs)
    head = Text().append(printable(project.name), style="bold")
    head.append("  ")
    head.append_text(state_text(project.state))
    head.append(f"  revision {project.revision}", style="dim")
    if running:
        head.append(f"  {running} running on {counted(busy, 'core')}", style="blue")
    if queued:
        head.append(f"  {queued} queued", style="yellow")
    if problem:
        head.append("  ○ reconnecting", style="red")
    return head


def _table(rows: Sequence[Row | LeftOut]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", expand=True)
    table.add_column("INSTANCE", no_wrap=True, overflow="ellipsis", max_width=28)
    table.add_column("STATE", no_wrap=True)
    table.add_column("DONE", no_wrap=True)
    table.add_column("", no_wrap=True, justify="right")
    table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        if isinstance(row, LeftOut):
            listed = ", ".join(f"{count} {state}" for state, count in row.states.most_common())
            name = f"{'  ' * row.depth}… {row.states.total()} more"
            table.add_row(Text(name, style="dim"), "", "", "", Text(listed, style="dim"))
            continue
        total = sum(count for state, count in row.counts.items() if state != "retired")
        name = row.view.path if row.depth == 0 else row.view.path.rpartition("/")[2]
        table.add_row(
            Text("  " * row.depth + printable(name)),
            state_text(row.state),
            bar(row.counts, row.view.progress or _mean(row.running)),
            f"{row.counts['done']}/{total}",
            Text(printable(remark(row)), style="dim" if row.state in _ENDED else ""),
        )
    return table


def bar(counts: Counter[str], progress: ProgressReport | None = None, width: int = _BAR) -> Text:
    """States side by side; of what runs, the part that is done counts as done."""
    total = sum(count for state, count in counts.items() if state != "retired")
    made = Text()
    if not total:
        return made.append(_REST * width, style="bright_black")
    part = 0.0
    if progress and progress.step is not None and progress.total:
        part = counts["running"] * min(progress.step / progress.total, 1.0)
    ends, position, drawn = [], 0.0, 0
    for state, count in (
        ("done", counts["done"] + counts["skipped"] + part),
        ("failed", counts["failed"]),
        ("running", counts["running"] - part),
    ):
        position += count
        ends.append((state, round(width * position / total)))
    for state, end in ends:
        made.append(_STROKES[state] * (end - drawn), style=style_of(state))
        drawn = end
    return made.append(_REST * (width - drawn), style="bright_black")


def remark(row: Row) -> str:
    """What is worth saying of an instance: how far, what it waits for, how many in which state."""
    if len(row.running) == 1 and (row.running[0].progress or row.view.progress):
        progress = row.running[0].progress or row.view.progress
        return progress_text(progress) if progress else ""
    parts = []
    if row.running:
        mean = _mean(row.running)
        parts.append(f"{len(row.running)} running")
        if mean:
            parts.append(progress_text(mean))
    others = [
        f"{row.counts[state]} {state}"
        for state in ("failed", "queued", "waiting", "stale", "held", "skipped")
        if row.counts[state] and sum(row.counts.values()) > 1 and state != _only(row.counts)
    ]
    if row.view.waits_for and row.state in ("waiting", "stale", "running"):
        parts.append(row.view.waits_for)
    if row.state == "queued" and row.why:
        parts.append(row.why)
    if row.view.held and row.state not in ("held", "done"):
        parts.append(f"held: cpc activate {row.view.path}")
    if row.state == "held":
        parts.append(f"cpc activate {row.view.path}")
    return ", ".join(parts + others)


def _only(counts: Counter[str]) -> str:
    return next(iter(counts)) if len(counts) == 1 else ""


def _mean(jobs: Sequence[JobView]) -> ProgressReport | None:
    """Several running jobs as one: the mean of how far they are, the longest time left."""
    found = [job.progress for job in jobs if job.progress is not None]
    parts = [(p.step, p.total) for p in found if p.step is not None and p.total]
    if not parts:
        return None
    share = sum(min(step / total, 1.0) for step, total in parts if total) / len(parts)
    total = max(total for _, total in parts if total)
    units = {p.unit for p in found}
    rates = [p.rate for p in found if p.rate is not None]
    left = [p.remaining_s for p in found if p.remaining_s is not None]
    return ProgressReport(
        step=share * total,
        total=total,
        rate=sum(rates) if rates and len(units) == 1 else None,
        unit=next(iter(units)) if len(units) == 1 else "",
        remaining_s=max(left) if left else None,
    )


def _failures(instances: Sequence[InstanceView], inside: str) -> list[RenderableType]:
    failed = [
        view
        for view in instances
        if view.failure
        and (
            not inside or view.path == inside or view.path.startswith((f"{inside}/", f"{inside}@"))
        )
    ]
    lines: list[RenderableType] = []
    for view in failed[:_MOST_FAILURES]:
        assert view.failure is not None
        line = Text().append("✕ ", style="bold red")
        line.append(printable(view.path), style="bold")
        line.append(f": {one_line(view.failure.reason)}")
        if view.failure.remedy:
            line.append(f" ({one_line(view.failure.remedy)})", style="dim")
        line.append(f"  cpc why {view.path}", style="dim")
        lines.append(line)
    if len(failed) > _MOST_FAILURES:
        lines.append(Text(f"… {number(len(failed) - _MOST_FAILURES)} more failed", style="red"))
    return lines
