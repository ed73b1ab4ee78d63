"""The storms in parts, that tell their seeds: so many steps each, from one seed to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from support.storm import Action, Storm
from support.storm_cover import missing

# Of each of the two kinds of storms.
PARTS = 5
# Where each part begins: its seeds never meet those of the next.
APART = 10_000_000
CI_STEPS = 1_000_000
QUICK_STEPS = 30_000
# So many steps of a kind meet everything that storms are there for; some of it is rare.
ENOUGH = 400_000

_met: Counter[str] = Counter()

Record = Callable[[str, object], None]


def run_part(
    part: int,
    actions: Sequence[tuple[Action, int]],
    config: pytest.Config,
    record: Record,
    *,
    alone: bool,
) -> None:
    """Run one part of the storms, or the one seed that is asked for, in the part it belongs to."""
    only = config.getoption("--storm-seed")
    if only is not None:
        if only // APART != part:
            pytest.skip(f"seed {only} belongs to another part")
        run(only, actions, alone=alone)
        return
    seed = first = part * APART
    steps = 0
    while steps < wanted_steps(config) / (2 * PARTS):
        storm = run(seed, actions, alone=alone)
        steps += storm.steps
        _met.update(storm.met)
        seed += 1
    record("storm", [first, seed - 1, steps])
    # The parts of a kind follow one another in one process.
    if part % PARTS == PARTS - 1 and PARTS * steps >= ENOUGH:
        lacking = missing(_met, alone=alone)
        assert not lacking, f"no storm has met any of {lacking}"


def run(seed: int, actions: Sequence[tuple[Action, int]], *, alone: bool) -> Storm:
    """The storm of a seed, which a failure names."""
    storm = Storm(seed, alone=alone)
    try:
        storm.run(actions)
    except BaseException as error:
        error.add_note(f"repeat it: pytest tests/property --storm-seed {seed}")
        raise
    return storm


def wanted_steps(config: pytest.Config) -> int:
    """How many steps all parts of both kinds make together."""
    asked = config.getoption("--storm-steps")
    return int(asked or (QUICK_STEPS if config.getoption("--quick") else CI_STEPS))
