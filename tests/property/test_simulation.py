"""Servers, their workers and users in virtual time, with everything going wrong; and the proof that
such worlds find bugs.

Each world follows from its seed: ``pytest tests/property/test_simulation.py --sim-seed S`` repeats
one. ``--sim-hours N`` runs more or fewer simulated hours. What may never happen is in
``support/simulation/watch.py``, what goes wrong in ``support/simulation/world.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.simulation.bugs import BUGS
from support.simulation.peers import PeerWorld
from support.simulation.relay_bugs import RELAY_BUGS
from support.simulation.world import World

PARTS = 10
# The last of them: worlds of two servers.
FIRST_OF_PEERS = 8
# Where each part begins: its seeds never meet those of the next.
APART = 10_000_000
CI_HOURS = 1_000
QUICK_HOURS = 50
SEEDS_PER_BUG = 200
TESTS = Path(__file__).parents[1]


def world_of(seed: int) -> World:
    return PeerWorld(seed) if seed >= FIRST_OF_PEERS * APART else World(seed)


def run(seed: int) -> float:
    world = world_of(seed)
    try:
        world.run()
    except BaseException as error:
        error.add_note(f"repeat it: pytest {__file__} --sim-seed {seed}")
        raise
    return world.hours


def wanted_hours(config: pytest.Config) -> float:
    asked = config.getoption("--sim-hours")
    return float(asked or (QUICK_HOURS if config.getoption("--quick") else CI_HOURS))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_that_must_never_happen_happens(part, request, record_property):
    seed = first = part * APART
    only = request.config.getoption("--sim-seed")
    if only is not None:
        if part:
            pytest.skip("one seed is repeated by the first part")
        run(only)
        return
    hours = 0.0
    while hours < wanted_hours(request.config) / PARTS:
        hours += run(seed)
        seed += 1
    record_property("simulation", [first, seed - 1, hours])


@pytest.mark.parametrize("kind", ["world.World", "peers.PeerWorld"])
def test_a_seed_is_the_same_world_each_time(kind):
    """In other processes too, whatever the order of their sets."""
    module, name = kind.split(".")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        f"from support.simulation.{module} import {name}\n"
        f"world = {name}(9); world.run(); print(world.history())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code, str(TESTS)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1
    assert told != {""}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("bug", [*BUGS, *RELAY_BUGS], ids=lambda bug: bug.__name__)
def test_a_bug_is_found(bug, monkeypatch, record_property):
    bug(monkeypatch)
    first = FIRST_OF_PEERS * APART if bug in RELAY_BUGS else 0
    for seed in range(first, first + SEEDS_PER_BUG):
        try:
            world_of(seed).run()
        except Exception:  # noqa: BLE001 - whatever it shows as, it was found
            record_property("found by seed", seed)
            return
    pytest.fail(f"{SEEDS_PER_BUG} worlds did not find it")
