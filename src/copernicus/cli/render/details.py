"""One thing closely: an instance, why it waits, a job, a function, a trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from copernicus.cli.output import one_line, printable
from copernicus.cli.render.states import progress_text, state_text
from copernicus.cli.render.tables import counted, duration, facts, moment, short_job, table
from copernicus.cli.render.traces import short_value
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Failure
from copernicus.model.types import (
    DictType,
    Field,
    ListType,
    OptionalType,
    PortType,
    RecordType,
    describe,
)
from copernicus.protocol import (
    AttemptView,
    ElementView,
    InstanceDetail,
    JobView,
    KindView,
    PortView,
)

_LOG_LINES = 15
_MOST_LEFT_OUT = 3
_FOLDED = {"type": 24}


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
        parts += [
            Text(""),
            table(
                (title, "type", "", "value"),
                _ports(ports, docs),
                wide="value",
                folded=_FOLDED,
            ),
        ]
        parts += [_lacks(port) for port in ports if port.left_out]
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
        value = port.shown or port.note
        if port.source:
            value = f"{value}  <- {port.source}" if value else f"<- {port.source}"
        missing = port.state == "unset" and port.required
        name = Text(port.name, style="bold" if missing else "")
        shown = Text(printable(value.replace("\n", " ")) or ("not set" if missing else "-"))
        if port.doc and (docs or missing):
            shown.append(f"\n{paragraphs(port.doc)[0]}", style="dim")
        yield (name, port.type, _sign(port), shown)
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


def _lacks(port: PortView) -> Text:
    more = "; …" if len(port.left_out) > _MOST_LEFT_OUT else ""
    said = "; ".join(map(one_line, port.left_out[:_MOST_LEFT_OUT]))
    return Text(f"{port.name} leaves out {len(port.left_out)}: {said}{more}", style="yellow")


def _sign(port: PortView) -> Text:
    if port.state == "unset":
        return Text("needed", style="yellow") if port.required else Text("")
    return Text("") if port.state == "current" else state_text(port.state, port.state)


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


def _attempt_said(one: AttemptView) -> str:
    took = f" after {duration(one.ended - one.started)}" if one.ended > one.started else ""
    code = f", exit code {one.exit_code}" if one.exit_code else ""
    return f"{one.outcome} on {one.host}{took}{code}"


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
    if len(job.tries) > 1:
        rows += [(f"attempt {one.number}", _attempt_said(one)) for one in job.tries]
    if job.progress:
        rows.append(("progress", progress_text(job.progress)))
    rows += [*_memory(job), *_rates(job)]
    if job.priority:
        rows.append(("priority", str(job.priority)))
    if job.why:
        rows.append(("why", job.why))
    if job.doubt:
        rows.append(("in doubt", job.doubt))
    parts: list[RenderableType] = [facts(rows)]
    if job.log_tail:
        tail = job.log_tail.rstrip().split("\n")[-_LOG_LINES:]
        parts.append(Text("\n".join(f"  | {printable(line)}" for line in tail), style="dim"))
    return Group(*parts)


def why_text(head: str, kinds: Sequence[KindView]) -> RenderableType:
    """``cpc job why``: the sentence, then every kind of worker."""
    if not kinds:
        return Text(head)
    rows = [(f"{one.workers} x {one.kind}", one.reason, ", ".join(one.hosts)) for one in kinds]
    return Group(Text(head), Text(), table(("workers", "why not", "such as"), rows, wide="why not"))


def _memory(job: JobView) -> list[tuple[str, str]]:
    peak = max((one.peak_memory_mb for one in job.tries), default=0)
    said = [f"{job.memory_mb} MiB asked for"] if job.memory_mb else []
    said += [f"{peak} MiB used at most"] if peak else []
    return [("memory", ", ".join(said))] if said else []


def _rates(job: JobView) -> list[tuple[str, str]]:
    """What was measured by number of cores, one line each."""
    return [
        (
            f"on {counted(one.cores, 'core')}",
            f"{one.rate:.4g} {one.unit}".rstrip()
            + f" ({counted(one.runs, 'run')})"
            + (", what such jobs start with" if one.chosen else ""),
        )
        for one in job.rates
    ]


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
        parts += [
            Text(""),
            table((title, "type", "meaning"), rows, wide="meaning", folded=_FOLDED),
        ]
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
    return "optional" if value is None else f"default {short_value(value)}"
