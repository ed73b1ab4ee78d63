"""Servers in network namespaces of their own, in a row: each reaches only its neighbours."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from copernicus.client import Project
from copernicus.protocol.peers import PeerView
from support.e2e import Env, Worker, states, wait_until
from support.e2e_gromacs import ALA2, mdp_text, start
from support.namespaces import Side, connect, inside, neighbours
from support.peering import id_of, open_server, servers

_LONG = {"lease_s": 60.0}


@dataclass(frozen=True)
class Place:
    """A server with its administrator and its workers, in a namespace."""

    env: Env
    side: Side

    @property
    def id(self) -> str:
        return id_of(self.env)

    def new_project(self, name: str) -> Project:
        with inside(self.side):
            self.env.client.create_project(name, seed=1)
            return self.env.project(name)

    def start_workers(self, *names: str, wait: bool = True) -> list[Worker]:
        with inside(self.side):
            return [self.env.start_worker(name, wait=wait) for name in names]

    def peer(self, other: Place) -> PeerView:
        """What this server says of its peer."""
        with inside(self.side):
            return next(one for one in self.env.client.peers() if one.id == other.id)

    def running(self) -> dict[str, int]:
        """How many attempts each worker of this server holds, of those that are no peers."""
        with inside(self.side):
            found = self.env.client.workers()
        return {one.id: one.running for one in found if not one.pool.startswith("peer-")}

    def lends_to(self, other: Place) -> None:
        """This server works for the other one."""
        with inside(other.side):
            made = other.env.client.invite_peer()
        with inside(self.side):
            self.env.client.add_peer(made.url, made.token)


@contextlib.contextmanager
def row(
    root: Path, *names: str, **settings: Mapping[str, Any]
) -> Iterator[tuple[list[Place], list[Side]]]:
    """Running servers, each with a cable to the next one; and the far end of each cable.

    Neighbours are peers, both ways. ``settings`` are those of a server, by its name.
    """
    with neighbours(len(names)) as sides, servers(root, *names) as envs:
        places = []
        for env, side in zip(envs, sides, strict=True):
            env.address = side.address
            with inside(side):
                open_server(env, **{**_LONG, **settings.get(env.root.name, {})})
            places.append(Place(env, side))
        cables = [join(one, other) for one, other in itertools.pairwise(places)]
        yield places, cables


def join(one: Place, other: Place) -> Side:
    """A cable between two servers, which become peers both ways; the other one's end of it."""
    _, far = connect(one.side, other.side)
    one.lends_to(other)
    other.lends_to(one)
    return far


def give(place: Place, project: Project, count: int, steps: int) -> None:
    """So many simulations of one prepared system, each a little longer than the one before."""
    with inside(place.side), project.transaction():
        project.add("prep", "gromacs.grompp", active=True)
        project.add("run", "gromacs.mdrun", map="nsteps", active=True)
        project.connect("prep.out.tpr", "run.in.tpr")
        project.set("prep.in.top", ALA2 / "topol.top")
        project.set("prep.in.mdp", place.env.write("md.mdp", mdp_text()))
        project.set("prep.in.conf", start(0))
        project.set("run.in.checkpoint_every", 0.01)
        project.set("run.in.nsteps", [steps + 10 * index for index in range(count)])


def left(place: Place, project: Project) -> int:
    """How many simulations are not done."""
    with inside(place.side):
        return sum(state != "done" for state in states(project, "run"))


def simulating(workers: Sequence[Worker]) -> dict[str, psutil.Process]:
    """The simulations that run now, by the folder of their worker."""
    mine = {worker.process.pid: worker for worker in workers}
    parents, found = {}, []
    for process in psutil.process_iter(["ppid", "name", "cmdline"]):
        parents[process.pid] = process.info["ppid"]
        if process.info["name"] == "gmx" and "mdrun" in (process.info["cmdline"] or ()):
            found.append(process)
    running = {}
    for process in found:
        pid: int | None = process.pid
        while pid is not None and pid not in mine:
            pid = parents.get(pid)
        if pid is not None:
            running[str(mine[pid].folder)] = process
    return running


@contextlib.contextmanager
def held(workers: Sequence[Worker], what: str, seconds: float = 120) -> Iterator[None]:
    """Every worker has a simulation, which stands still from the moment it is seen."""
    caught: dict[str, psutil.Process] = {}

    def all_caught() -> bool:
        for folder, process in simulating(workers).items():
            if folder not in caught:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                    caught[folder] = process
        return len(caught) == len(workers)

    try:
        wait_until(all_caught, what, seconds)
        yield
    finally:
        for process in caught.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def books(places: Sequence[Place]) -> dict[tuple[str, str], dict[str, tuple[int, float]]]:
    """What each server has delivered for each peer by project, once both sides say the same.

    Of its own projects a server says the names, so these are known by their ids here.
    """
    names = {}
    for place in places:
        with inside(place.side):
            names |= {one.name: one.id for one in place.env.client.projects()}
    by_id = {place.id: place for place in places}

    def said(usage: Any) -> dict[str, tuple[int, float]]:
        return {
            names.get(one.project, one.project): (one.jobs, round(one.core_hours, 9))
            for one in usage
        }

    def agreed() -> dict[tuple[str, str], dict[str, tuple[int, float]]] | None:
        found = {}
        for lender in places:
            with inside(lender.side):
                known = lender.env.client.peers()
            for borrower in (by_id[one.id] for one in known):
                lent = said(lender.peer(borrower).lent_usage)
                if lent != said(borrower.peer(lender).borrowed_usage):
                    return None
                found[lender.id, borrower.id] = lent
        return found

    agreed_on: dict[tuple[str, str], dict[str, tuple[int, float]]] = wait_until(
        agreed, "the books of all peers to agree"
    )
    return agreed_on
