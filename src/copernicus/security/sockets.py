"""Socket options by which a connection to a machine that is gone ends by itself.

A cable that is pulled sends no farewell: without these, what was sent to nobody is repeated for a
quarter of an hour, and a connection on which nothing is sent stays for ever.
"""

from __future__ import annotations

import socket
from typing import Final

UNUSED_S: Final = 60.0
"""How long a worker or a peer keeps a connection for what follows: heartbeats are nearer."""

_IDLE_S: Final = 15
_EVERY_S: Final = 5
_TIMES: Final = 3
_UNANSWERED_MS: Final = 30_000


def _options() -> tuple[tuple[int, int, int], ...]:
    found = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # Not every system has each of these.
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _EVERY_S),
        ("TCP_KEEPCNT", _TIMES),
        ("TCP_USER_TIMEOUT", _UNANSWERED_MS),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            found.append((socket.IPPROTO_TCP, option, value))
    return tuple(found)


DEAD_PEER_OPTIONS: Final = _options()
"""Level, option and value of each; of a listening socket they hold for all it accepts."""
