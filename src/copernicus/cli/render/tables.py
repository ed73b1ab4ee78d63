"""Tables and small facts as text that fits: ids by their end, times as people say them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from copernicus.cli.output import printable
from copernicus.errors import BadValue, NotFound
from copernicus.protocol import JobView

_SHORT = 6


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    wide: str = "",
    folded: Mapping[str, int] | None = None,
    capitals: bool = True,
) -> Table:
    """A table without lines; columns of ``right`` are aligned so, ``wide`` takes what is left.

    Columns of ``folded`` go on in another line when they are wider than that. Headers stand in
    ``capitals``, but where they have units.
    """
    most = folded or {}
    made = Table(box=None, pad_edge=False, header_style="bold dim", expand=bool(wide))
    for header in headers:
        made.add_column(
            header.upper() if capitals else header,
            justify="right" if header in right else "left",
            overflow="fold" if header == wide or header in most else "ellipsis",
            no_wrap=header != wide and header not in most,
            max_width=most.get(header),
            ratio=1 if header == wide else None,
        )
    for row in rows:
        made.add_row(*(_cell(cell) for cell in row))
    return made


def facts(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and what they are, one a line."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, _cell(value))
    return made


def _cell(cell: str | Text) -> Text:
    return Text(printable(cell, keep="\n")) if isinstance(cell, str) else cell


def short_id(text: str) -> str:
    """The end of a long id, which tells it from others; short ones as they are."""
    return text if len(text) <= 2 * _SHORT else text[-_SHORT:]


def short_job(job: str) -> str:
    """A job's id within its project."""
    return job.rpartition(".")[2]


def find_id(wanted: str, known: Iterable[str], kind: str) -> str:
    """The full id that a whole or shortened one means.

    Raises:
        NotFound: None has it.
        BadValue: Several have it.
    """
    found = [full for full in known if full == wanted]
    found = found or [full for full in known if full.endswith(wanted) or full.startswith(wanted)]
    if not found:
        raise NotFound(f"There is no {kind} {wanted!r}: cpc {kind} list")
    if len(found) > 1:
        raise BadValue(f"{wanted!r} could be several: {', '.join(found)}")
    return found[0]


def moment(epoch: float) -> str:
    """A time of the server's clock, in the reader's zone."""
    if not epoch:
        return "-"
    return f"{datetime.fromtimestamp(epoch, UTC).astimezone():%Y-%m-%d %H:%M}"


def ended_text(job: JobView) -> str:
    """When and where a job ended."""
    return f"{moment(job.ended)} on {job.host}" if job.ended else ""


def ago(seconds: float) -> str:
    """How long ago, in one unit."""
    return "now" if seconds < 2 else f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """A length of time in at most two units: 45 s, 3 min, 2 h 10 min, 4 d 3 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h {minutes} min" if minutes else f"{whole // 3600} h"
    hours = whole % 86400 // 3600
    return f"{whole // 86400} d {hours} h" if hours else f"{whole // 86400} d"


def counted(number: int, what: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(count: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
