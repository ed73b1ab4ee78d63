"""The shares of projects: weight, priority, pools."""

from __future__ import annotations

from copernicus.model.shares import ProjectShare

_PLAIN = ProjectShare()


class Shares:
    """The shares of all projects; those of which nothing was decided have a plain one."""

    def __init__(self) -> None:
        self._shares: dict[str, ProjectShare] = {}
        self.priorities: dict[str, int] = {}
        self.version = 0

    def put(self, project: str, share: ProjectShare) -> None:
        """Decide about a project."""
        self._shares[project] = share
        self.version += 1
        if share.priority:
            self.priorities[project] = share.priority
        else:
            self.priorities.pop(project, None)

    def get(self, project: str) -> ProjectShare:
        """What was decided about a project."""
        return self._shares.get(project, _PLAIN)
