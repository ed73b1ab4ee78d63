"""How a peer's script tells what it measured: the last line of its output, as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.measuring import cpu_seconds

# Processes that detach themselves from their parent become children of this one, to be counted.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def cpu_of_children() -> float:
    """CPU seconds of this process (the peer's client is part of it) and all below it."""
    return cpu_seconds([os.getpid()])


def tell(n: int, began: float, cpu: float) -> None:
    """Print the measurement that ends now."""
    seconds = time.perf_counter() - began
    spent = cpu_of_children() - cpu
    print(json.dumps({"n": n, "seconds": seconds, "cpu_ms": spent / n * 1e3}), flush=True)
