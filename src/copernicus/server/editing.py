"""Users' transactions: held against what others did meanwhile, checked or carried out."""

from __future__ import annotations

from datetime import UTC, datetime

from copernicus.engine.edit import check_edits
from copernicus.engine.touches import clashes
from copernicus.errors import Conflict
from copernicus.protocol import EditReply, EditRequest
from copernicus.server.batch import Batch
from copernicus.server.holdings import Project

_TOLD = 3


def edit(batch: Batch, project: Project, request: EditRequest, author: str) -> EditReply:
    """Carry out a transaction, or with ``check_only`` say what it would make of the network.

    Raises:
        Conflict: the project, or a path that the edits touch, was changed meanwhile.
        UserError: it cannot be; nothing was changed.
    """
    state = project.state
    if request.base_revision is not None:
        _check_paths(batch, project, request, request.base_revision)
    if request.check_only:
        changed, network = check_edits(state, request.edits, author, batch.holdings.catalog)
        return EditReply(state.revision, project.record.position, changed, network)
    expected = request.expected_revision
    return batch.edit(
        project, request.edits, author, expected, note=request.note, reuse=request.reuse
    )


def _check_paths(batch: Batch, project: Project, request: EditRequest, base: int) -> None:
    found = clashes(project.state, request.edits, base)
    if not found:
        return
    told = []
    for path, touch in found[:_TOLD]:
        at = datetime.fromtimestamp(batch.revision_at(project, touch.revision), UTC)
        told.append(
            f"{path} was changed by {touch.author} in revision {touch.revision} "
            f"({at:%Y-%m-%d %H:%M} UTC)"
        )
    more = f", and {len(found) - _TOLD} more paths" if len(found) > _TOLD else ""
    raise Conflict(
        f"{'; '.join(told)}{more}, but these edits were made on revision {base}: nothing was done. "
        f"cpc diff {base} shows what changed; then put yours in its place (cpc commit "
        "--overwrite), or drop yours (cpc rollback)"
    )
