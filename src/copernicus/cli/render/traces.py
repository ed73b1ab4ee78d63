"""Where a value comes from, as a tree; what several parts share is shown once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.tables import counted, duration, moment, short_id
from copernicus.model.jobs import AttemptRecord
from copernicus.model.values import is_file
from copernicus.protocol import Trace, TraceStep

MOST = 10
DEEPEST = 16
"""A tree that is deeper does not fit a terminal: ``--json`` has all of it."""


def trace_text(trace: Trace, depth: int) -> RenderableType:
    """``cpc trace``: what made it, from what, where; ``depth`` steps back."""
    return Group(*_parts(trace, min(depth or DEEPEST, DEEPEST)))


def _parts(trace: Trace, depth: int) -> Iterator[RenderableType]:
    seen: set[str] = set()
    if len(trace.roots) == 1:
        yield _tree(trace, trace.roots[0], Text(), depth, seen)
    else:
        many = Tree(Text(f"{trace.path}: {len(trace.roots)} results", "bold"), guide_style="dim")
        _grow_many(many, trace, "", trace.roots, depth, seen)
        yield many
    if trace.came_from:
        yield Text(f"loaded from {printable(' and from '.join(trace.came_from))}", style="dim")
    if trace.left_out:
        yield Text(f"{len(trace.left_out)} left out on the way:", style="yellow")
        yield from (Text(f"  {one_line(reason)}", "yellow") for reason in trace.left_out[:MOST])
        if len(trace.left_out) > MOST:
            yield Text(f"  … {len(trace.left_out) - MOST} more (--json has all)", style="yellow")


def _tree(trace: Trace, activation: str, label: Text, depth: int, seen: set[str]) -> Tree:
    tree = Tree(label, guide_style="dim")
    step = trace.steps.get(activation)
    if step is None:
        label.append(f"{activation} …", style="dim")
        return tree
    label.append_text(_line(step))
    if activation in seen:
        label.append("  shown above", style="dim")
        return tree
    seen.add(activation)
    if depth < 1:
        label.append("  …", style="dim")
        seen.discard(activation)
        return tree
    for text in _facts(step):
        tree.add(text)
    for port, origins in step.origins.items():
        _grow_many(tree, trace, port, origins, depth - 1, seen)
    _grow_many(tree, trace, "looked at", step.looked_at, depth - 1, seen)
    for word, other in (
        ("continues", step.parent),
        ("took the result of", step.reused),
        ("declared by", step.declared_by),
    ):
        if other:
            tree.add(_tree(trace, other, Text(f"{word} ", style="dim"), depth - 1, seen))
    return tree


def _grow_many(
    tree: Tree, trace: Trace, port: str, origins: Sequence[str], depth: int, seen: set[str]
) -> None:
    for origin in origins[:MOST]:
        tree.add(_tree(trace, origin, Text(f"{port} <- " if port else "", "dim"), depth, seen))
    if len(origins) > MOST:
        tree.add(Text(f"{port} <- … {len(origins) - MOST} more".strip(" <-"), style="dim"))


def _line(step: TraceStep) -> Text:
    line = Text().append(printable(step.path), style="bold")
    line.append(f"  {step.function} {step.version}".rstrip())
    line.append(f"  {step.activation}", style="dim")
    if step.outcome != "succeeded":
        line.append(f"  {step.outcome}", style="red")
    return line


def _facts(step: TraceStep) -> Iterator[Text]:
    if step.failure:
        yield Text(f"failed: {one_line(step.failure.reason)}", style="red")
    for attempt in step.attempts:
        yield Text(_attempt(attempt, step.program), style="dim")
    for port, value in step.inputs.items():
        yield Text(f"{port} = {short_value(value)} {step.units.get(port, '')}".rstrip())
    for port, reasons in step.left_out.items():
        said = "; ".join(map(one_line, reasons[:3])) + ("; …" if len(reasons) > 3 else "")
        yield Text(f"{port}: {len(reasons)} left out: {said}", "yellow")
    if step.dropped:
        said = "; ".join(f"{port} = {short_value(value)}" for port, value in step.outputs.items())
        yield Text(f"files removed {moment(step.dropped)} by a retention rule: {said}", "yellow")
    for decision in step.decisions:
        yield Text(f"decided {one_line(decision)}", style="cyan")


def _attempt(attempt: AttemptRecord, program: str) -> str:
    took = f", {duration(attempt.ended - attempt.started)}" if attempt.ended else ""
    name = program.partition(" ")[0] if attempt.program_version else ""
    version = f", {name or 'program'} {attempt.program_version}" if attempt.program_version else ""
    code = f", exit {attempt.exit_code}" if attempt.exit_code is not None else ""
    step = attempt.checkpoint.step if attempt.checkpoint else None
    reached = f", checkpoint at {step:g}" if step is not None else ""
    worker = f" (worker {short_id(attempt.worker)})" if attempt.host else ""
    place = f"{printable(attempt.host or attempt.worker)}{worker}"
    return (
        f"attempt {attempt.number} on {place}{version}, "
        f"{counted(attempt.cores, 'core')}{took}, {moment(attempt.started)} {attempt.outcome}{code}"
        f"{reached}"
    )


def short_value(value: object) -> str:
    """A value in at most a line."""
    if isinstance(value, dict) and "$shown" in value:
        return printable(str(value["$shown"]))
    if isinstance(value, dict) and is_file(value):
        digest = str(value["$file"])[:12]
        return f"{printable(str(value['name']))} ({value['size']:,} bytes, sha256 {digest}…)"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} elements: {short_value(value[0])}, …, {short_value(value[-1])}"
    if isinstance(value, list):
        return "[" + ", ".join(short_value(item) for item in value) + "]"
    text = msgspec.json.encode(value).decode()
    return printable(text if len(text) <= 60 else text[:57] + "...")
