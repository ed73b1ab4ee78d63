"""States as people see them: a word, a colour and a sign, never a colour alone."""

from __future__ import annotations

from rich.text import Text

from copernicus.protocol import ProgressReport

SIGNS: dict[str, tuple[str, str]] = {
    "held": ("‖", "dim"),
    "waiting": ("◌", "bright_black"),
    "queued": ("≡", "yellow"),
    "running": ("▶", "blue"),
    "stopping": ("◂", "blue"),
    "done": ("✓", "green"),
    "stale": ("▨", "magenta"),
    "failed": ("✕", "bold red"),
    "skipped": ("⊘", "dim"),
    "retired": ("·", "dim"),
    "cancelled": ("⊘", "dim"),
    "active": ("▶", "green"),
    "paused": ("‖", "yellow"),
    "connected": ("●", "green"),
    "draining": ("◐", "yellow"),
    "quarantined": ("◒", "bold red"),
    "full": ("◒", "yellow"),
    "silent": ("○", "red"),
    "revoked": ("✕", "dim"),
    "unreachable": ("✕", "bold red"),
    "trouble": ("◒", "yellow"),
    "suspended": ("‖", "yellow"),
    "doubted": ("◒", "bold red"),
    "requested": ("◌", "yellow"),
    "asked": ("◌", "bright_black"),
    "pending": ("≡", "yellow"),
    "starting": ("◌", "blue"),
    "working": ("▶", "blue"),
    "idle": ("●", "green"),
    "ending": ("◂", "blue"),
    "ended": ("·", "dim"),
    "current": ("✓", "green"),
    "unset": ("○", "dim"),
}
_UNKNOWN = ("•", "")


def state_text(state: str, shown: str = "") -> Text:
    """A state with its sign, in its colour."""
    sign, style = SIGNS.get(state, _UNKNOWN)
    return Text(f"{sign} {shown or state}", style=style)


def style_of(state: str) -> str:
    """The colour of a state."""
    return SIGNS.get(state, _UNKNOWN)[1]


def number(value: float) -> str:
    """A number with at most four digits that matter, thousands apart."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def progress_text(progress: ProgressReport) -> str:
    """How far a job is: step of total, how fast, how long still."""
    from copernicus.cli.render.tables import duration

    parts = []
    if progress.step is not None and progress.total:
        share = 100 * min(progress.step / progress.total, 1.0)
        parts.append(f"{share:.0f}% of {number(progress.total)}")
    elif progress.step is not None:
        parts.append(f"at {number(progress.step)}")
    if progress.rate is not None:
        parts.append(f"{number(progress.rate)} {progress.unit}".strip())
    if progress.remaining_s is not None:
        parts.append(f"{duration(progress.remaining_s)} left")
    if progress.stage:
        parts.append(progress.stage)
    return " · ".join(parts)
