"""A failure whose reason has several lines is shown as text, never as escapes."""

from __future__ import annotations

from rich.console import Console

from copernicus.cli.output import one_line
from copernicus.cli.render.details import failure_text
from copernicus.model.jobs import Failure

REASON = "ERROR 1 [file md.mdp, line 2]:\n  Invalid value\n"


def shown(text: object) -> str:
    console = Console(width=80, no_color=True)
    with console.capture() as captured:
        console.print(text)
    return captured.get()


def test_why_keeps_the_lines_of_a_reason() -> None:
    said = shown(failure_text("prep[0]", Failure(REASON)))
    assert "line 2]:\n  Invalid value" in said
    assert "\\x0a" not in said


def test_one_line_joins_lines_and_stays_harmless() -> None:
    assert one_line(f"{REASON}\x1b[2J") == ("ERROR 1 [file md.mdp, line 2]: Invalid value \\x1b[2J")
