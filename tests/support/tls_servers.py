"""Real uvicorn servers on loopback: any number of ports in one event loop, in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn

from copernicus.errors import NotAuthenticated
from copernicus.security.asgi import peer_certificate
from copernicus.security.files import write_private
from copernicus.security.identity import (
    Authority,
    create_authority,
    make_key_and_csr,
    verify_worker_certificate,
)

DAY = timedelta(days=1)
NEVER_RESOLVED = "cpc.example.org"


def utc_now() -> datetime:
    return datetime.now(UTC)


class WhoAmI:
    """Answers who the caller's certificate proves; counts what reached it; its clock can be set."""

    def __init__(self, ca_pem: str) -> None:
        self.ca_pem = ca_pem
        self.clock: Callable[[], datetime] = utc_now
        self.requests = 0
        self.release = threading.Event()

    async def __call__(self, scope, receive, send) -> None:
        assert scope["type"] == "http"
        self.requests += 1
        if scope["path"] == "/wait":
            await asyncio.to_thread(self.release.wait, 60)
        body_size = await self._read(receive) if scope["path"] == "/upload" else 0
        der = peer_certificate(scope)
        status, answer = 200, {"certificate": der is not None, "size": body_size}
        if der is not None:
            try:
                identity = verify_worker_certificate(der, self.ca_pem, self.clock())
                answer |= {"worker": identity.worker_id, "fingerprint": identity.fingerprint}
            except NotAuthenticated as error:
                status, answer = 401, answer | {"error": error.message}
        await self._answer(send, status, json.dumps(answer).encode())

    async def _read(self, receive) -> int:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        return size

    async def _answer(self, send, status: int, body: bytes) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(
    configs: Sequence[uvicorn.Config],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[list[int]]:
    """Run one server per configuration, all in one event loop; yields their ports."""
    servers = [uvicorn.Server(config) for config in configs]
    ready = threading.Event()
    ports: list[int] = []

    async def run() -> None:
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        while not all(server.started for server in servers):
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.005)
        ports.extend(server.servers[0].sockets[0].getsockname()[1] for server in servers)
        ready.set()
        await asyncio.gather(*tasks)

    def thread() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(run())

    running = threading.Thread(target=thread)
    running.start()
    try:
        assert ready.wait(30)
        yield ports
    finally:
        for server in servers:
            server.should_exit = True
        running.join(30)
        assert not running.is_alive()


def make_authority(folder: Path, names: Sequence[str] = (NEVER_RESOLVED,)) -> Authority:
    create_authority(folder, names, utc_now())
    return Authority.load(folder)


def save_pair(folder: Path, name: str, cert_pem: str, key_pem: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    write_private(cert, cert_pem.encode())
    write_private(key, key_pem.encode())
    return cert, key


def join(
    authority: Authority, folder: Path, worker_id: str, *, since: datetime | None = None
) -> tuple[Path, Path]:
    """A worker's certificate and key, of one day from ``since`` (now)."""
    key_pem, csr_pem = make_key_and_csr()
    cert_pem = authority.issue_worker(csr_pem, worker_id, DAY, since or utc_now())
    return save_pair(folder, worker_id, cert_pem, key_pem)


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext, name: str, session=None):
    """A TLS socket to a port of this machine, where a server of that name should answer."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=30)
    with raw, context.wrap_socket(raw, server_hostname=name, session=session) as tls:
        yield tls
