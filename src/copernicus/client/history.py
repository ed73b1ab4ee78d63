"""The whole story of a project as its journal tells it: state, and when each activation was."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from copernicus.client.project import Project
from copernicus.engine.core import fold
from copernicus.engine.state import ProjectState
from copernicus.model.events import ActivationEnded, ActivationOpened, Event, FilesDropped
from copernicus.model.values import files_in

_PAGE = 1000


@dataclass
class History:
    """A project at its newest fact. ``opened`` and ``ended``: seconds by activation.

    ``gone``: the SHA-256 of files that the project does not keep any more.
    """

    state: ProjectState
    opened: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    began: float = 0.0
    last: float = 0.0
    gone: set[str] = field(default_factory=set)


def read_history(project: Project) -> History:
    """Fetch and fold the journal."""
    events: list[Event] = []
    history = History(ProjectState())
    position = 0
    while entries := project.journal(position, _PAGE):
        for entry in entries:
            event: Event = msgspec.convert(entry.event, Event)
            events.append(event)
            if history.gone:
                history.gone -= {file.sha256 for file in files_in(entry.event)}
            history.began = history.began or entry.at
            history.last = entry.at
            if isinstance(event, ActivationOpened):
                history.opened[event.id] = entry.at
            elif isinstance(event, FilesDropped):
                history.gone |= event.files.keys()
            elif isinstance(event, ActivationEnded):
                history.ended[event.id] = entry.at
        position = entries[-1].position
    history.state = fold(events)
    return history
