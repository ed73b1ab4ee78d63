"""``cpc project retention`` and ``cpc project gc``: which files of results a project keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import client_for, confirm
from copernicus.errors import BadValue
from copernicus.model.retention import Retention

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.protocol import CollectReply

Flag = Annotated[bool, Parameter(show_default=False)]
Name = Annotated[str, Parameter(show_default=False)]
_EVER, _AS_PROJECT = "everything", "default"
_SHOWN = 20


def retention(
    days: str | None = None, /, *, of: Name = "", options: InProject = IN_PROJECT
) -> None:
    """Show or change for how long files of results stay that nothing in the project uses.

    Without a rule everything stays. Files that something uses are never removed. Owners only may
    change the rules.

    Args:
        days: A number of days, or everything: for ever; with --of also default: as the project.
        of: The rule is for this function only (gromacs.mdrun), or for one of its outputs
            (gromacs.mdrun.out.trajectory).
        options: Common ones.
    """
    from copernicus.cli.render.tables import facts

    project = client_for(options).project(options.project, check=False)
    found = project.view().retention
    if days is not None:
        wanted = _changed(found, days, of)
        found = project.set_retention(wanted.days, wanted.of).retention
    elif of:
        raise BadValue(f"say for how long, such as cpc project retention 7 --of {of}")
    rows = [("all functions", _said(found.days))]
    rows += [(name, _said(kept)) for name, kept in sorted(found.of.items())]
    data = {"days": found.days, "of": found.of}
    emit(options.json, data, lambda: facts(rows))


def _changed(rules: Retention, text: str, of: str) -> Retention:
    word = text.strip().lower()
    if word == _AS_PROJECT and of:
        return Retention(rules.days, {name: d for name, d in rules.of.items() if name != of})
    try:
        days = None if word == _EVER else float(word)
    except ValueError:
        allowed = f"a number of days, {_EVER}" + (f" or {_AS_PROJECT}" if of else "")
        raise BadValue(f"{text!r} does not say for how long files stay: give {allowed}") from None
    return Retention(rules.days, {**rules.of, of: days}) if of else Retention(days, rules.of)


def _said(days: float | None) -> str:
    if days is None:
        return "everything is kept"
    return f"files of results that nothing uses are kept for {days:g} days"


def collect(*, yes: Flag = False, dry_run: Flag = False, options: InProject = IN_PROJECT) -> None:
    """Remove files of results that nothing uses, by the project's rules.

    What goes is shown first. Values, their digests and the trace stay; a result whose files went is
    made again if it is wanted once more.

    Args:
        yes: Do not ask.
        dry_run: Only say what would be removed.
        options: Common ones.
    """
    project = client_for(options).project(options.project, check=False)
    if dry_run or not yes:
        found = project.collect()
        if dry_run or not found.files:
            emit(options.json, found, lambda: _text(found))
            return
        if not options.json:
            emit(False, found, lambda: _text(found))
        confirm(
            "Remove them? What they were is made again only by running it again.",
            yes=False,
            otherwise=f"This would remove {_amount(found)}. To do it, add --yes",
        )
    removed = project.collect(dry_run=False)
    emit(options.json, removed, lambda: _text(removed))


def _amount(found: CollectReply) -> str:
    from copernicus.cli.render.tables import counted, size

    return f"{counted(len(found.files), 'file')}, {size(found.bytes)}"


def _text(found: CollectReply) -> RenderableType:
    from rich.console import Group

    from copernicus.cli.render.tables import counted, size, table

    waiting = f"; {counted(found.waiting, 'result')} not used, but kept for now"
    if not found.files:
        return f"Nothing goes by the rules{waiting if found.waiting else ''}"
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for file in found.files:
        count, total = sums.get((file.path, file.port), (0, 0))
        sums[file.path, file.port] = count + 1, total + file.size
    largest = sorted(sums.items(), key=lambda one: -one[1][1])
    rows = [
        (path, port, str(count), size(total)) for (path, port), (count, total) in largest[:_SHOWN]
    ]
    if len(largest) > _SHOWN:
        rows.append((f"… {len(largest) - _SHOWN} more (--json has all)", "", "", ""))
    verb = "Would remove" if found.dry_run else "Removed"
    again = f"{counted(found.results, 'result')} would have to be made again if wanted once more"
    said = f"{verb} {_amount(found)}; {again} ({found.core_hours:.2f} core-hours)"
    headers = ("of", "output", "files", "size")
    shown = table(headers, rows, right=("files", "size"), wide="of")
    return Group(shown, said + (waiting if found.waiting else ""))
