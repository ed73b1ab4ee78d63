"""One thing closely: an instance, why it waits, a job, a function, a trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.states import progress_text, state_text
from copernicus.cli.render.tables import counted, duration, facts, moment, short_job, table
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import AttemptRecord, Failure
from copernicus.model.types import (
    DictType,
    Field,
    ListType,
    OptionalType,
    PortType,
    RecordType,
    describe,
)
from copernicus.protocol import ElementView, InstanceDetail, JobView, PortView, TraceNode

_LOG_LINES = 15


def instance_text(detail: InstanceDetail, *, docs: bool = False) -> RenderableType:
    """``cpc show``; with ``docs`` every port with its meaning, else those that are not set."""
    view = detail.summary
    head = Text().append(view.path, style="bold")
    head.append(f"  {view.function} {view.version}  ", style="dim")
    head.append_text(state_text(view.state))
    parts: list[RenderableType] = [head]
    if detail.doc:
        parts.append(Text(paragraphs(detail.doc)[0], style="dim"))
    if view.waits_for:
        parts.append(Text(f"waits: {printable(view.waits_for)}"))
    for title, ports in (("input", detail.inputs), ("output", detail.outputs)):
        parts += [Text(""), table((title, "type", "", "value"), _ports(ports, docs), wide="value")]
    if view.mapped or len(detail.elements) > 1:
        rows = [_element(view.path, element) for element in detail.elements]
        parts += [Text(""), table(("element", "state", "job", ""), rows, wide="")]
        after = view.elements - detail.elements[-1].index - 1 if detail.elements else 0
        if after > 0:
            first = detail.elements[-1].index + 1
            parts.append(Text(f"… {after} more: cpc show {view.path} --start {first}", style="dim"))
    elif view.failure:
        parts += [Text(""), failure_text(view.path, view.failure)]
    return Group(*parts)


def _ports(ports: Sequence[PortView], docs: bool) -> Iterator[Sequence[str | Text]]:
    for port in ports:
        value = port.shown
        if port.source:
            value = f"{value}  <- {port.source}" if value else f"<- {port.source}"
        missing = port.state == "unset" and port.required
        name = Text(port.name, style="bold" if missing else "")
        shown = Text(printable(value.replace("\n", " ")) or ("not set" if missing else "-"))
        if port.doc and (docs or missing):
            shown.append(f"\n{paragraphs(port.doc)[0]}", style="dim")
        yield (name, port.type, _sign(port.state, required=port.required), shown)
        for field in members(port.port_type) if docs or missing else ():
            yield (f"  .{field.name}", describe(field.type), "", Text(_field_doc(field), "dim"))


def members(port_type: PortType | None) -> tuple[Field, ...]:
    """The members of a record, also of one in a list, a dict or an optional value."""
    match port_type:
        case RecordType(fields=fields):
            return fields
        case ListType(item=inner) | DictType(value=inner) | OptionalType(item=inner):
            return members(inner)
    return ()


def _field_doc(field: Field) -> str:
    return _noted(field.doc, [] if field.required else [_default(field.default)])


def _sign(state: str, *, required: bool) -> Text:
    if state == "unset":
        return Text("needed", style="yellow") if required else Text("")
    return Text("") if state == "current" else state_text(state)


def _element(path: str, element: ElementView) -> Sequence[str | Text]:
    said = progress_text(element.progress) if element.progress else element.waits_for
    if element.failure:
        said = one_line(element.failure.reason)
    return (f"{path}[{element.index}]", state_text(element.state), short_job(element.job), said)


def failure_text(name: str, failure: Failure, retry: str = "") -> RenderableType:
    """Why something failed: reason, place, the log's end, what to do."""
    head = Text().append("✕ ", style="bold red").append(f"{name} failed", style="bold")
    head.append(": " + printable(failure.reason.strip(), keep="\n"))
    rows: list[tuple[str, str | Text]] = []
    if failure.where:
        rows.append(("where", failure.where))
    if failure.worker:
        rows.append(("worker", failure.worker))
    if failure.exit_code is not None:
        rows.append(("exit code", str(failure.exit_code)))
    rows.append(("remedy", failure.remedy or f"cpc retry {retry or name}, or cpc skip"))
    parts: list[RenderableType] = [head, facts(rows)]
    if failure.log:
        tail = failure.log.rstrip().split("\n")[-_LOG_LINES:]
        parts.append(Text("\n".join(f"  | {printable(line)}" for line in tail), style="dim"))
    return Group(*parts)


def job_text(job: JobView) -> RenderableType:
    """``cpc job show``."""
    cores = f", {counted(job.cores, 'core')}" if job.cores else ""
    place = f"{job.host} (worker {job.worker}{cores})" if job.worker else "-"
    rows: list[tuple[str, str | Text]] = [
        ("job", job.id),
        ("of", f"{job.path} ({job.function})"),
        ("state", state_text(job.state)),
        ("attempts", str(job.attempts)),
        ("on", place),
        ("submitted", moment(job.submitted)),
    ]
    if job.progress:
        rows.append(("progress", progress_text(job.progress)))
    if job.why:
        rows.append(("why", job.why))
    parts: list[RenderableType] = [facts(rows)]
    if job.log_tail:
        tail = job.log_tail.rstrip().split("\n")[-_LOG_LINES:]
        parts.append(Text("\n".join(f"  | {printable(line)}" for line in tail), style="dim"))
    return Group(*parts)


def function_text(spec: FunctionSpec) -> RenderableType:
    """``cpc functions info``."""
    head = (
        Text().append(spec.name, style="bold").append(f"  {spec.kind}  {spec.version}", style="dim")
    )
    parts: list[RenderableType] = [head]
    if spec.doc:
        parts.append(Text("\n\n".join(paragraphs(spec.doc))))
    if spec.program:
        need = f"{spec.program.name} {spec.program.versions}".strip()
        parts.append(Text(f"needs a worker with {need}", style="dim"))
    for title, ports in (("input", spec.inputs), ("output", spec.outputs)):
        rows: list[tuple[str, str, str]] = []
        for port in ports:
            rows.append((port.name, describe(port.type), _port_doc(port)))
            rows += [
                (f"  .{field.name}", describe(field.type), _field_doc(field))
                for field in members(port.type)
            ]
        parts += [Text(""), table((title, "type", "meaning"), rows, wide="meaning")]
    return Group(*parts)


def paragraphs(doc: str) -> list[str]:
    """An author's text without its line ends and code quotes: the terminal folds it anew."""
    plain = printable(doc.strip().replace("``", ""), keep="\n")
    return [" ".join(part.split()) for part in plain.split("\n\n")]


def _port_doc(port: Port) -> str:
    notes = [] if port.required else [_default(port.default)]
    if port.on_change == "extend":
        notes.append("a change continues finished work")
    elif port.on_change == "cancel":
        notes.append("a change stops running work")
    return _noted(port.doc, notes)


def _noted(doc: str, notes: Sequence[str]) -> str:
    said = paragraphs(doc)[0]
    return f"{said} ({', '.join(notes)})".strip() if notes else said


def _default(value: object) -> str:
    return "optional" if value is None else f"default {_short(value)}"


def trace_text(node: TraceNode, depth: int) -> RenderableType:
    """``cpc trace``: what made it, from what, where; inner steps below."""
    tree = Tree(_trace_line(node), guide_style="dim")
    _grow(tree, node, depth, set())
    return tree


def _trace_line(node: TraceNode) -> Text:
    line = Text().append(printable(node.path), style="bold")
    line.append(f"  {node.function} {node.version}".rstrip())
    if node.activation:
        line.append(f"  {node.activation}", style="dim")
    if node.outcome not in ("succeeded", "current"):
        line.append(f"  {node.outcome}", style="red")
    return line


def _grow(tree: Tree, node: TraceNode, depth: int, seen: set[str]) -> None:
    if node.activation in seen:
        tree.add(Text("shown above", style="dim"))
        return
    seen.add(node.activation)
    for attempt in node.attempts:
        tree.add(Text(_attempt(attempt), style="dim"))
    for port, value in node.inputs.items():
        if not node.origins.get(port):
            unit = node.units.get(port, "") if value is not None else ""
            tree.add(Text(f"{port} = {_short(value)} {unit}".rstrip()))
    for port, reasons in node.left_out.items():
        tree.add(Text(f"{port}: {len(reasons)} left out: {'; '.join(reasons[:3])}", "yellow"))
    if node.parent:
        tree.add(Text(f"continues {node.parent}", style="dim"))
    _grow_origins(tree, node, depth, seen)


def _grow_origins(tree: Tree, node: TraceNode, depth: int, seen: set[str]) -> None:
    for port, origins in node.origins.items():
        for origin in origins[:10]:
            if depth <= 1:
                tree.add(Text(f"{port} <- {printable(origin.path)} …", style="dim"))
            else:
                line = Text(f"{port} <- ", style="dim").append_text(_trace_line(origin))
                _grow(tree.add(line), origin, depth - 1, seen)
        if len(origins) > 10:
            tree.add(Text(f"{port} <- … {len(origins) - 10} more", style="dim"))


def _attempt(attempt: AttemptRecord) -> str:
    took = f", {duration(attempt.ended - attempt.started)}" if attempt.ended else ""
    version = f", program {attempt.program_version}" if attempt.program_version else ""
    code = f", exit {attempt.exit_code}" if attempt.exit_code else ""
    return (
        f"attempt {attempt.number} on {printable(attempt.host or attempt.worker)}{version}, "
        f"{counted(attempt.cores, 'core')}{took}, {moment(attempt.started)} {attempt.outcome}{code}"
    )


def _short(value: object) -> str:
    import msgspec

    from copernicus.model.values import is_file

    if isinstance(value, dict) and is_file(value):
        return f"{printable(str(value['name']))} ({value['size']:,} bytes)"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} elements: {_short(value[0])}, …, {_short(value[-1])}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    text = msgspec.json.encode(value).decode()
    return printable(text if len(text) <= 60 else text[:57] + "...")
