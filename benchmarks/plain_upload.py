"""An upload as plain as it can be, through the HTTP server and the TLS that this system uses.

It is what transfers are held against: one request, its body written to a file as it comes, neither
hashed nor synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import multiprocessing
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
import uvloop

from copernicus.security.asgi import server_config
from copernicus.security.identity import create_authority
from copernicus.security.tls import server_context

_PATIENCE_S = 30.0
_BLOCK = 1 << 18


class Sink:
    """Writes a body into a file and answers."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def __call__(self, scope, receive, send) -> None:
        with self._file.open("wb", buffering=0) as file:
            while True:
                message = await receive()
                file.write(message.get("body", b""))
                if not message.get("more_body"):
                    break
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def seconds_to_upload(folder: Path, file: Path) -> float:
    """How long it takes, to a server that is started for it."""
    create_authority(folder / "plain", ["127.0.0.1"], datetime.now(UTC))
    with _serving(folder) as port:
        context = ssl.create_default_context(cafile=str(folder / "plain" / "ca.pem"))
        context.check_hostname = False
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=context, blocksize=_BLOCK
        )
        with file.open("rb") as body:
            began = time.perf_counter()
            connection.request("PUT", "/", body, {"content-length": str(file.stat().st_size)})
            answer = connection.getresponse()
            taken = time.perf_counter() - began
        connection.close()
    if answer.status != 204 or (folder / "uploaded").stat().st_size != file.stat().st_size:
        raise RuntimeError(f"the plain upload failed: {answer.status}")
    return taken


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    arguments = (folder, listener)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments)
    process.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        process.terminate()
        process.join(_PATIENCE_S)


def _serve(folder: Path, listener: socket.socket) -> None:
    context = server_context(folder / "plain", require_client_certificate=False)
    config = server_config(Sink(folder / "uploaded"), context, host="127.0.0.1", port=0)
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve([listener]))
