"""What it costs that a project's work is done elsewhere: through none, one and two relays.

Each relay is a server of its own that works for the one before it; the only worker is at the last.
All of them share this machine, so rates fall by what they take of it, too: the CPU time and the
time from a result to its dependent job are what a hop costs.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from benchmarks.ours import measure_at
from benchmarks.site import Site, running_site, running_worker

RELAYS = (0, 1, 2)
CHAINED = 5
"""For so many independent jobs, one in a chain."""


def measure(folder: Path, n: int) -> list[dict[str, Any]]:
    """``n`` functions that do nothing, and a shorter chain, through more and more relays."""
    found = []
    with contextlib.ExitStack() as stack:
        sites: list[Site] = []
        for relays in RELAYS:
            site = running_site(folder / f"server-{relays}", worker=False)
            sites.append(stack.enter_context(site))
            if relays:
                made = sites[-2].client.invite_peer()
                sites[-1].client.add_peer(made.url, made.token)
            with running_worker(sites[-1], "worker"):
                found.append(_through(sites[0], relays, n))
    return found


def _through(site: Site, relays: int, n: int) -> dict[str, Any]:
    many = measure_at(site, "noop", n)
    chain = measure_at(site, "chain", max(n // CHAINED, 2))
    return {
        "system": "copernicus",
        "phase": "hops",
        "n": n,
        "relays": relays,
        "per_s": n / many["seconds"],
        "cpu_ms": many["cpu_ms"],
        "hop_ms": chain["seconds"] / chain["n"] * 1e3,
        "chain_cpu_ms": chain["cpu_ms"],
    }


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"through {one['relays']} relays: {one['per_s']:,.0f} functions/s at {one['cpu_ms']:.1f} "
        f"CPU-ms each; result -> dependent job {one['hop_ms']:.1f} ms at "
        f"{one['chain_cpu_ms']:.1f} CPU-ms each"
    )
