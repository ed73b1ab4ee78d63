"""How long the two ports keep a connection that is not used, and how many they may have."""

from __future__ import annotations

import http.client
import resource
import ssl
import subprocess
import sys

from copernicus.security.certificates import tls_name
from copernicus.security.tls import client_context
from support.server_client import ca_of
from support.tls_servers import connected

_ASK = b"GET /v1/work/blobs/00 HTTP/1.1\r\nHost: a\r\n\r\n"
_RAISED = (
    "import resource; from copernicus.server.ports import raise_file_limit; "
    "raise_file_limit(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
)


def answered(connection: ssl.SSLSocket) -> int:
    """The status of the answer to one request of a worker's; all of it is read."""
    connection.sendall(_ASK)
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def test_a_workers_connection_outlives_that_of_somebody_at_the_user_port(server, worker):
    """The user port hangs up after some seconds: later than that, a worker's is still there."""
    name = tls_name(server.running.server_id)
    machine, user = server.running.machine_port, server.running.user_port
    with (
        connected(machine, worker._context, name) as working,
        connected(user, client_context(ca_of(server)), name) as visiting,
    ):
        assert answered(working) == 404
        visiting.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        while visiting.recv(65536):
            pass
        assert answered(working) == 404


def test_a_server_takes_as_many_files_as_it_may():
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))

    argv = [sys.executable, "-c", _RAISED]
    done = subprocess.run(argv, preexec_fn=few, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["128"]
