"""How editing commands end: with what they did, or (``--preview``) with what they would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from copernicus.cli.options import InEdit, InProject
from copernicus.cli.output import emit, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.client.edits import Transaction
    from copernicus.protocol import PreviewReply


def report(options: InEdit, transaction: Transaction, text: str) -> None:
    """Print what came of a transaction; ``text`` says it in a line."""
    if transaction.preview is not None:
        show_preview(options, transaction.preview)
        return
    reply = transaction.reply
    data = {"revision": reply.revision, "position": reply.position} if reply else {}
    same = reply is not None and not reply.changed
    emit(options.json, data, printable(f"{text} (as it was already)" if same else text))


def show_preview(options: InProject, preview: PreviewReply) -> None:
    """Print what a transaction would do."""

    def shown() -> RenderableType:
        from copernicus.cli.render.preview import preview_view

        return preview_view(preview)

    emit(options.json, preview, shown)
