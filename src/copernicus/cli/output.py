"""How commands print: JSON for programs; for people text that fits the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PIPE_WIDTH = 120


def console() -> Console:
    """Standard output; in a pipe wide enough not to cut what programs read."""
    import os

    from rich.console import Console

    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(width=fixed, highlight=False, soft_wrap=False)


def emit(as_json: bool, data: Any, text: Callable[[], RenderableType] | RenderableType) -> None:
    """Print ``data`` as JSON, or else the text (made only if it is wanted)."""
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2).decode())
        return
    shown = text() if callable(text) else text
    if isinstance(shown, str):
        if shown:
            print(printable(shown, keep="\n\t"))
    else:
        _print(shown)


def _print(shown: RenderableType) -> None:
    target = console()
    if target.is_terminal:
        target.print(shown)
        return
    with target.capture() as captured:
        target.print(shown)
    print("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def note(text: str) -> None:
    """A remark beside the output, on standard error."""
    print(printable(text), file=sys.stderr)


def one_line(text: str) -> str:
    """``text``, printable, with spaces where it had line ends."""
    return printable(" ".join(text.split()))


def printable(text: str, keep: str = "") -> str:
    """``text`` without characters that a terminal would act on."""
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in text)
