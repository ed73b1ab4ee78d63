"""``cpc project verify``: how much of what peers gave is run again elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit, printable
from copernicus.cli.session import client_for
from copernicus.errors import BadValue
from copernicus.model.verification import MOST_OPEN, Tally, Verification, check_verification

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.protocol import ProjectView


def verify(
    fraction: float | None = None,
    /,
    *,
    tolerance: float | None = None,
    of: Annotated[str | None, Parameter(show_default=False)] = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Show or change how much of what peers gave is run again elsewhere.

    Where the second run differs, the value stays, and the peer gets no more work until cpc peer
    resume. Only for functions that give the same on every machine. Administrators only may change
    it.

    Args:
        fraction: 0 (nothing, as it is at first) to 1 (everything); 0.05 is one in twenty.
        tolerance: How far numbers may be apart, relative to the larger one: 1e-6; default: 0.
        of: Only these functions, with commas; one that is stochastic never is.
        options: Common ones.
    """
    project = client_for(options).project(options.project, check=False)
    if fraction is None:
        if tolerance is not None or of is not None:
            raise BadValue("say how much, too, such as cpc project verify 0.05 --tolerance 1e-6")
        view = project.view()
    else:
        named = tuple(dict.fromkeys(filter(None, map(str.strip, (of or "").split(",")))))
        rule = check_verification(Verification(fraction, tolerance or 0.0, named))
        view = project.set_verification(rule.fraction, tolerance=rule.tolerance, of=rule.of)
    data = {
        "project": view.name,
        **msgspec.structs.asdict(view.verification),
        "verified": msgspec.structs.asdict(view.verified),
        "doubts": view.doubts,
    }
    emit(options.json, data, lambda: _text(view))


def _text(view: ProjectView) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines = [Text(f"{view.name}: {told(view.verification)}")]
    tally = view.verified
    if tally != Tally():
        lines.append(Text(f"so far: {_counts(tally)}"))
    if tally.left_out:
        why = f"{MOST_OPEN} second runs were open: verify less, or have more workers elsewhere"
        lines.append(Text(f"! {tally.left_out} left out, as {why}", style="yellow"))
    lines += [Text(f"! {printable(doubt)}", style="yellow") for doubt in view.doubts]
    return Group(*lines)


def _counts(tally: Tally) -> str:
    return (
        f"{tally.same} the same, {tally.differed} not the same, {tally.failed} second runs failed, "
        f"{tally.open} open"
    )


def told(rule: Verification) -> str:
    """A rule in words."""
    if not rule.fraction:
        return "nothing of what peers gave is run again"
    whose = ", ".join(rule.of) or "all functions that are not stochastic"
    within = f", numbers within {rule.tolerance:g}" if rule.tolerance else ""
    return f"{rule.fraction:g} of what peers gave is run again elsewhere ({whose}{within})"
