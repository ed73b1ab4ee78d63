"""Differences between networks, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from copernicus.client.diff import Change


def changes_text(changes: Sequence[Change]) -> str:
    """One line for each: ``+`` there now, ``-`` there no more, ``~`` something else."""
    return "\n".join(_line(change) for change in changes) or "nothing"


def _line(change: Change) -> str:
    if change.kind == "~":
        return f"~ {change.path}: {change.before} -> {change.after}"
    return f"{change.kind} {change.path}: {change.after or change.before}"
