"""``cpc audit``: who did what, and whether the log of it can be believed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, AtServer
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for
from copernicus.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from copernicus.client import Client
    from copernicus.protocol.accounts import AuditView

_PAGE = 1000
_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


def audit(
    verify: Literal["verify"] | None = None,
    /,
    *,
    actor: str = "",
    action: str = "",
    about: str = "",
    source: str = "",
    outcome: Annotated[Literal["done", "refused"] | None, Parameter(show_default=False)] = None,
    after: str | None = None,
    before: str | None = None,
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 50,
    noted: str | None = None,
    options: AtServer = AT_SERVER,
) -> int:
    """Show who did what, newest first; or verify that nobody changed the log of it.

    Args:
        verify: Check the chain of hashes; the exit code is 1 if it is broken.
        actor: Only what this user or worker did.
        action: Only this, such as project.delete; project stands for all that begin with it.
        about: Only what has this text in what was acted on.
        source: Only from this address.
        outcome: Only what was done, or only what was refused.
        after: Only since then: 2027-01-31, or 2027-01-31T14:00.
        before: Only until then.
        count: At most so many entries.
        noted: With verify: number and hash that an earlier verify printed.
        options: Common ones.
    """
    client = client_for(options)
    if verify:
        return _verify(client, noted, as_json=options.json)
    if count < 1:
        raise BadValue(f"--count {count}: write 1 or more")
    found = _entries(
        client,
        count,
        actor=actor,
        action=action,
        about=about,
        source=source,
        outcome=outcome or "",
        after=_moment("--after", after),
        before=_moment("--before", before),
    )
    if not found and not options.json:
        note("No entries fit")
        return 0
    emit(options.json, found, lambda: audit_table(found))
    return 0


def _entries(client: Client, count: int, **wanted: object) -> list[AuditView]:
    found: list[AuditView] = []
    while len(found) < count:
        older = found[-1].number if found else None
        page = client.audit(
            older=older,
            count=min(count - len(found), _PAGE),
            **wanted,  # type: ignore[arg-type]
        )
        if not page:
            break
        found += page
    return found


def audit_table(found: Sequence[AuditView]) -> Table:
    """``cpc audit``."""
    from copernicus.cli.render.tables import moment, table

    rows = [
        (
            str(one.number),
            moment(one.at),
            one.actor or "-",
            one.source,
            one.action,
            one.object if one.outcome == "done" else f"{one.object} ({one.outcome})".strip(),
        )
        for one in found
    ]
    headers = ("no.", "when", "who", "from", "did", "to what")
    return table(headers, rows, right=("no.",), wide="to what")


def _verify(client: Client, noted: str | None, *, as_json: bool) -> int:
    number, link = _noted(noted)
    found = client.check_audit(number)
    problem = ""
    if found.broken is not None:
        problem = f"entry {found.broken} does not follow from the one before: the log was changed"
    elif number and number > found.entries:
        problem = f"entry {number} was noted, but there are {found.entries}: the end was cut off"
    elif number and found.noted != link:
        problem = f"entry {number} is not what it was when it was noted: the log was changed"
    place = f"{found.entries}:{found.head}"
    data = {"entries": found.entries, "head": place, "problem": problem}
    good = (
        f"All {found.entries} entries follow from each other. Keep this elsewhere, to find out "
        f"later about a change up to here:\n  {place}"
    )
    emit(as_json, data, f"WRONG: {problem}" if problem else good)
    return 1 if problem else 0


def _noted(text: str | None) -> tuple[int, str]:
    if text is None:
        return 0, ""
    match = _NOTED.fullmatch(text.strip())
    if match is None:
        raise BadValue(
            f"--noted {text[:100]!r} is not NUMBER:HASH, as cpc audit verify prints it at its end"
        )
    return int(match[1]), match[2]


def _moment(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise BadValue(
            f"{option} {text[:40]!r} is no time: write 2027-01-31, or 2027-01-31T14:00"
        ) from None
