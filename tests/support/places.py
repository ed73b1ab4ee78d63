"""Servers in this process, each with its administrator, that become peers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from copernicus.server.embedded import EmbeddedServer
from support.e2e import Env
from support.server_client import PASSWORD, User, add, define, echo_function, set_input

SETTINGS = {"lease_s": 60.0, "heartbeat_s": 1.0}


class Place:
    """A server with its administrator."""

    def __init__(self, server: EmbeddedServer, password: str = PASSWORD) -> None:
        self.server = server
        self.id = server.running.server_id
        self.admin = User(server, "admin", password)

    def stop(self) -> None:
        self.server.__exit__(None, None, None)

    @contextlib.contextmanager
    def moved(self, **overrides: Any) -> Iterator[Place]:
        """Stopped, and started again with the same folder; its old ports, unless told to be kept,
        belong to somebody who does not answer."""
        old = self.server.running
        self.stop()
        with contextlib.ExitStack() as stack:
            for port in {old.machine_port, old.user_port} - set(overrides.values()):
                taken = stack.enter_context(socket.socket())
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", port))
            place = Place(stack.enter_context(EmbeddedServer(self.server.folder, overrides)))
            stack.callback(place.admin.close)
            yield place

    def invitation(self) -> str:
        return self.admin.call("POST", "/v1/peers/invitations", {})["token"]

    def works_for(self, other: Place) -> None:
        body = {"url": other.server.user_url, "token": other.invitation()}
        self.admin.call("POST", "/v1/peers", body)

    def peer(self, other: str) -> dict:
        return next(one for one in self.admin.get("/v1/peers") if one["id"] == other)

    def give_work(self, project: str, count: int) -> None:
        self.admin.call("POST", "/v1/projects", {"name": project})
        edits = [define(echo_function())]
        for number in range(count):
            edits += [add(f"one{number}"), set_input(f"one{number}.in.text", "hello")]
        self.admin.edit(project, *edits)

    def jobs(self, project: str) -> list[dict]:
        return self.admin.get(f"/v1/projects/{project}/jobs")


class Reached:
    """A server in a process of its own, for what else talks to an ``EmbeddedServer``."""

    def __init__(self, env: Env) -> None:
        running = env.running_server()
        assert running is not None
        self.folder, self.running = env.server, running
        self.user_url = f"https://127.0.0.1:{running.user_port}"
        self.machine_url = f"https://127.0.0.1:{running.machine_port}"


@contextlib.contextmanager
def places(root: Path, count: int, **settings: Any) -> Iterator[list[Place]]:
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            _, server = EmbeddedServer.make(root / f"s{number}", PASSWORD, {**SETTINGS, **settings})
            made.append(Place(stack.enter_context(server)))
            stack.callback(made[-1].admin.close)
        yield made
