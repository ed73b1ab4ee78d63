"""What notebooks show of projects, instances, values and files: HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from copernicus.client.sketch import COLOURS, sketch
from copernicus.errors import CopernicusError
from copernicus.protocol import InstanceDetail, InstanceView, PortView

if TYPE_CHECKING:
    from copernicus.client.network import Instance, Place
    from copernicus.client.project import Project
    from copernicus.client.values import RemoteFile

_MOST_ROWS = 50
_MOST_ITEMS = 20
_LETTERS = 120
_CELL = 'style="text-align:left;padding:2px 10px 2px 0"'


def project_html(project: Project) -> str:
    """States, how far each instance is, and a sketch of the network."""

    def made() -> str:
        view, instances = project.status()
        tops = [one for one in instances if not one.parent]
        head = (
            f"<b>{_text(view.name)}</b> {_chip(view.state)} revision {view.revision}, "
            f"owned by {_text(view.owner)}"
        )
        rows = [_instance_row(one) for one in tops[:_MOST_ROWS]]
        more = f"<div>… {len(tops) - _MOST_ROWS} more</div>" if len(tops) > _MOST_ROWS else ""
        table = _table(("instance", "function", "state", "done", ""), rows) if rows else "empty"
        return f"<div>{head}</div>{table}{more}{sketch(tops)}"

    return _safely(made, repr(project))


def instance_html(instance: Instance) -> str:
    """An instance with its inputs and outputs."""

    def made() -> str:
        detail: InstanceDetail = instance.detail(count=1)
        view = detail.summary
        head = f"<b>{_text(view.path)}</b> {_text(view.function)} {_chip(view.state)}"
        why = view.failure.reason if view.failure else view.waits_for
        said = f"<div>{_text(why)}</div>" if why and view.state != "done" else ""
        ports = [
            _table((title, "type", "", "value"), [_port_row(port) for port in found])
            for title, found in (("input", detail.inputs), ("output", detail.outputs))
            if found
        ]
        return f"<div>{head} {_far(view)}</div>{said}{''.join(ports)}"

    return _safely(made, repr(instance))


def value_html(place: Place) -> str:
    """The value at an input or output, with its type, its unit and whether it is current."""

    def made() -> str:
        view = place.view()
        unit = f" [{_text(view.unit)}]" if view.unit else ""
        head = f"<code>{_text(view.path)}</code>: {_text(view.type)}{unit} {_chip(view.state)}"
        shown = view.state in ("current", "stale")
        return f"<div>{head}</div>" + (_value(place.value) if shown else "")

    return _safely(made, repr(place))


def file_html(file: RemoteFile) -> str:
    """A file by name, size and content."""
    return f"<b>{_text(file.name)}</b> {file.size:,} bytes <code>{_text(file.sha256[:12])}</code>"


def progress_html(label: str, done: int, total: int, note: str) -> str:
    """A bar, for a notebook that waits."""
    share = round(100 * done / total) if total else 0
    return (
        f'<div>{_text(label)} <progress value="{share}" max="100"></progress> '
        f"{done}/{total} {_text(note)}</div>"
    )


def _safely(made: Callable[[], str], plain: str) -> str:
    """A display must not fail: what went wrong is shown in its place."""
    try:
        return f"<div>{made()}</div>"
    except CopernicusError as error:
        return f"<div><code>{escape(plain)}</code> {_text(error.message)}</div>"


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…")


def _chip(state: str) -> str:
    colour = COLOURS.get(state, "#8a8f98")
    return f'<span style="color:{colour};font-weight:600">{_text(state)}</span>'


def _far(view: InstanceView) -> str:
    total = sum(count for state, count in view.counts.items() if state != "retired")
    return f"{view.counts.get('done', 0)}/{total}"


def _instance_row(view: InstanceView) -> tuple[str, ...]:
    failed = view.failure.reason if view.failure else ""
    note = failed or (view.waits_for if view.state in ("waiting", "stale", "running") else "")
    return (
        _text(view.path),
        _text(view.function),
        _chip(view.state),
        _far(view),
        _text(note),
    )


def _port_row(port: PortView) -> tuple[str, ...]:
    origin = f"← {port.source}" if port.source else ""
    said = " ".join(filter(None, (port.shown, port.note, origin)))
    return (_text(port.name), _text(port.type), _chip(port.state), _text(said))


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are HTML already."""
    head = "".join(f"<th {_CELL}>{escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _value(value: Any) -> str:
    from copernicus.client.values import RemoteFile

    if isinstance(value, RemoteFile):
        return file_html(value)
    if isinstance(value, dict):
        return _table(("member", "value"), [(_text(k), _value(v)) for k, v in value.items()])
    if isinstance(value, list):
        shown = [(str(i), _value(item)) for i, item in enumerate(value[:_MOST_ITEMS])]
        if len(value) > _MOST_ITEMS:
            shown.append(("…", f"{len(value) - _MOST_ITEMS} more"))
        return _table(("", "value"), shown)
    return _text(value)
