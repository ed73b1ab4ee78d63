"""The shares of projects: weight, priority, pools."""

from __future__ import annotations

import msgspec

from copernicus.model.shares import ProjectShare
from copernicus.scheduling.workers import WorkerInfo

_PLAIN = ProjectShare()


class Shares:
    """The shares of all projects; those of which nothing was decided have a plain one."""

    def __init__(self) -> None:
        self._shares: dict[str, ProjectShare] = {}
        self._pools: dict[str, tuple[str, ...]] = {}
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

    def put_pool(self, pool: str, projects: tuple[str, ...]) -> None:
        """Decide which projects the workers of a pool serve; none named: all."""
        self._pools[pool] = projects
        self.version += 1

    def known(self, worker: WorkerInfo) -> WorkerInfo:
        """The worker with the projects that its pool serves now: it may have asked before."""
        projects = self._pools.get(worker.pool)
        return worker if projects is None else msgspec.structs.replace(worker, projects=projects)

    def get(self, project: str) -> ProjectShare:
        """What was decided about a project."""
        return self._shares.get(project, _PLAIN)
