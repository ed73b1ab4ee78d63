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
CI_STEPS = 200_000
QUICK_STEPS = 30_000
# So many steps meet everything that storms are there for.
ENOUGH = 100_000

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
    steps, met = 0, Counter[str]()
    while steps < wanted_steps(config) / (2 * PARTS):
        storm = run(seed, actions, alone=alone)
        steps += storm.steps
        met += storm.met
        seed += 1
    record("storm", [first, seed - 1, steps])
    if steps >= ENOUGH:
        assert not missing(met, alone=alone), "the storms have not met this at all"


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
