"""Ports for what a test starts, that nobody else on this machine is given meanwhile.

A port that the system has handed out and taken back can be handed out again, to another server of
a test that runs beside this one, before it is bound. These lie below those that the system hands
out, and each process of the tests has a range of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

_EACH = 2_000
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_FIRST = 16_000 + _EACH * _PROCESS
_OFFERED = itertools.cycle(range(_FIRST, _FIRST + _EACH))


def own_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 on which nobody listens."""
    found: list[int] = []
    while len(found) < count:
        port = next(_OFFERED)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
