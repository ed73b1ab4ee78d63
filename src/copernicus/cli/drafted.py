"""The project of an editing command: where a draft is open, its edits go there, checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from copernicus.cli.output import note
from copernicus.client.drafts import Draft, Drafts
from copernicus.client.project import Project
from copernicus.model.document import InstanceDocument
from copernicus.model.edits import Define, Edit
from copernicus.model.functions import FunctionSpec
from copernicus.model.types import ListType, describe
from copernicus.protocol import (
    EditReply,
    InstanceDetail,
    InstanceView,
    PortView,
    PreviewReply,
)

if TYPE_CHECKING:
    from copernicus.cli.options import InProject
    from copernicus.client import Client


def editing(options: InProject) -> Project:
    """The chosen (or current) project, or its draft if one was begun."""
    from copernicus.cli.session import client_for

    client = client_for(options)
    project = client.project(options.project, check=False)
    drafts = Drafts(client.profile)
    draft = drafts.find(project.name)
    return project if draft is None else DraftedProject(client, project, drafts, draft)


class DraftedProject(Project):
    """A project whose edits wait in a draft; every command has the server check all of them."""

    def __init__(self, client: Client, project: Project, drafts: Drafts, draft: Draft) -> None:
        super().__init__(project._transport, draft.project)  # noqa: SLF001 - the same project
        self._client = client
        self._drafts = drafts
        self.draft_now = draft

    def _commit(self, edits: Sequence[Edit], expected_revision: int | None) -> EditReply:
        del expected_revision
        draft = self.draft_now
        together = [*draft.edits, *edits]
        reply = self.check(together, draft.base_revision)
        draft.edits = together
        self._drafts.put(draft)
        count = f"{len(together)} edit{'s' if len(together) > 1 else ''}"
        note(f"cpc: only in the draft, {count} waiting for cpc commit")
        return EditReply(reply.revision, reply.position, reply.changed)

    def _preview(self, edits: Sequence[Edit], expected_revision: int | None) -> PreviewReply:
        # What is in the draft already would be committed with them.
        return super()._preview([*self.draft_now.edits, *edits], expected_revision)

    def instance_detail(self, path: str, start: int = 0, count: int = 100) -> InstanceDetail:
        """As at the server, or for what the draft has placed, its ports alone."""
        edits = self.draft_now.edits
        network = self.check(edits, self.draft_now.base_revision).network if edits else None
        placed = network.instances.get(path) if network else None
        if placed is None or network is None:
            return super().instance_detail(path, start, count)
        defined = [*network.functions, *(e.spec for e in edits if isinstance(e, Define))]
        spec = next((s for s in defined if s.name == placed.function), None)
        return _detail(path, placed, spec or self._client.function(placed.function).spec)


def _detail(path: str, placed: InstanceDocument, spec: FunctionSpec) -> InstanceDetail:
    inputs = []
    for port in spec.inputs:
        kind = ListType(port.type) if port.name in placed.mapped else port.type
        inputs.append(
            PortView(port.name, describe(kind), "unset", required=port.required, port_type=kind)
        )
    summary = InstanceView(path, placed.function, placed.version, spec.kind, "held")
    return InstanceDetail(summary, tuple(inputs), ())
