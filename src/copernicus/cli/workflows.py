"""Commands about what is inside workflow instances: decisions, pins, versions."""

from __future__ import annotations

from copernicus.cli.options import IN_EDIT, IN_PROJECT, InEdit, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import project_for
from copernicus.cli.steering import do
from copernicus.model import edits


def decisions(path: str, /, *, options: InProject = IN_PROJECT) -> None:
    """List what a workflow has decided once.

    Args:
        path: The workflow instance.
        options: Common ones.
    """
    from copernicus.cli.render.tables import table

    found = project_for(options).decisions(path)
    if not found and not options.json:
        note(f"{path} has decided nothing yet")
        return
    rows = [
        (
            d.position if d.path == path else f"{d.path} {d.position}",
            d.kind,
            str(len(d.chosen)),
            "; ".join(f"{name} {why}" for name, why in d.left_out.items()) or "-",
        )
        for d in found
    ]
    headers = ("position", "kind", "chosen", "left out")
    emit(options.json, found, lambda: table(headers, rows, wide="left out"))


def reopen(path: str, /, *, decision: str = "", options: InEdit = IN_EDIT) -> None:
    """Have decisions of a workflow taken anew.

    Args:
        path: The workflow instance, or one element: fe[3]
        decision: The position of one, as cpc decisions shows it; default: all.
        options: Common ones.
    """
    what = f"decision {decision} of {path}" if decision else f"what {path} has decided"
    do(options, edits.Reopen(path, decision), f"{what} is taken anew")


def pins(*, options: InProject = IN_PROJECT) -> None:
    """List the inputs inside workflows that somebody has set by hand."""
    from copernicus.cli.render.tables import table

    found = project_for(options).pins()
    if not found and not options.json:
        note("Nothing is pinned: cpc set fe/coulomb.in.steps 1000 pins an input of a workflow")
        return
    rows = [
        (p.target, p.shown, "its instance is gone" if p.dangling else p.declared or "-")
        for p in found
    ]
    headers = ("input", "pinned to", "declared")
    emit(options.json, found, lambda: table(headers, rows, wide="declared"))


def upgrade(path: str, /, *, options: InEdit = IN_EDIT) -> None:
    """Take the installed version of a function for an instance; a workflow is replayed.

    Args:
        path: The instance.
        options: Common ones.
    """
    do(options, edits.Upgrade(path), f"{path} has the installed version now")
