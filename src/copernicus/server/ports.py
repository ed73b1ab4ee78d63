"""The two ports: made, bound, served in one event loop, and hung up at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from copernicus.errors import BadSettings
from copernicus.security.asgi import server_config
from copernicus.security.sockets import DEAD_PEER_OPTIONS, UNUSED_S
from copernicus.server.http.apps import machine_app, user_app
from copernicus.server.http.tunnels import Tunnels
from copernicus.server.site import Site

_GRACE_S: Final = 5
_HANG_UP_S: Final = 0.1
_BACKLOG: Final = 1024
# Workers and peers give up a connection first: for every new one, certificates are checked on both
# sides. The user port keeps the few seconds of its server, as strangers have connections there.
_IDLE_MACHINE_S: Final = int(UNUSED_S) + 15


class Port(uvicorn.Server):
    """One port; the signals are for the whole server to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests that run, then hang up."""
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        # Closing politely, TLS waits half a minute for a farewell that an idle client never sends.
        idle: set[Any] = set()
        while True:
            still: set[Any] = {one for one in self.server_state.connections if _is_idle(one)}
            for connection in still & idle:
                connection.transport.abort()
            idle = still
            await asyncio.sleep(_HANG_UP_S)


def _is_idle(connection: Any) -> bool:
    return connection.cycle is None or connection.cycle.response_complete


def raise_file_limit() -> None:
    """Let this process hold as many connections as it may: each is an open file."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows: it has no such limit
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def make_ports(site: Site, tunnels: Tunnels, contexts: list[ssl.SSLContext]) -> list[Port]:
    """The machine port and the user port, each with its own application."""
    apps = [machine_app(site), user_app(site)]
    ports = []
    for app, context, on_connect in zip(
        apps, contexts, (tunnels.at_machine_port, tunnels.at_user_port), strict=True
    ):
        host = site.settings.host
        config = server_config(app, context, host=host, port=0, on_connect=on_connect)
        config.timeout_graceful_shutdown = _GRACE_S
        ports.append(Port(config))
    ports[0].config.timeout_keep_alive = _IDLE_MACHINE_S
    return ports


async def until_started(ports: list[Port], tasks: list[asyncio.Task[None]]) -> None:
    """Wait until every port answers; what one of them raised is raised here."""
    while not all(port.started for port in ports):
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.005)


async def first_of(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until it is to stop, or a port has ended."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket.

    Raises:
        BadSettings: the port is taken, or the address is not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadSettings(
                f"Port {port} of {host} is in use, by another program or another server: stop that "
                f"one, or set {setting} in server.toml to another port."
            ) from error
        raise BadSettings(
            f"Cannot listen on port {port} of {host} ({error.strerror or error}): set host and "
            f"{setting} in server.toml."
        ) from error
    for level, option, value in DEAD_PEER_OPTIONS:
        listening.setsockopt(level, option, value)
    return listening


def port_of(bound: socket.socket) -> int:
    """The number of a bound port."""
    port: int = bound.getsockname()[1]
    return port
