"""How a peer's script tells what it measured: the last line of its output, as JSON."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.measuring import cpu_seconds

_NEW_NETWORK = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1

# Processes that detach themselves from their parent become children of this one, to be counted.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def own_network() -> None:
    """A network of this process alone, for systems that listen on every address of the machine."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        sys.exit("this system listens on all addresses: measuring it needs root, to keep it apart")
    with socket.socket() as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16xh14x", fcntl.ioctl(any_socket, _GET_FLAGS, asked))[0]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def cpu_of_children() -> float:
    """CPU seconds of this process (the peer's client is part of it) and all below it."""
    return cpu_seconds([os.getpid()])


def tell(n: int, began: float, cpu: float, **more: Any) -> None:
    """Print the measurement that ends now."""
    seconds = time.perf_counter() - began
    spent = cpu_of_children() - cpu
    told = {"n": n, "seconds": seconds, "cpu_ms": spent / n * 1e3, **more}
    print(json.dumps(told), flush=True)
