"""Very many steps of the engine: random projects, edits, ends of jobs, crashes at every commit.

What is checked is in ``support/storm.py``: a project whose server dies again and again tells the
same story as one where nothing of the kind happens; no activation has two visible effects; every
output has its trace; nothing that could go on is left. ``--storm-steps N`` runs more or less,
``--storm-seed S`` repeats one seed. Seeds and steps are told at the end of the run.
"""

from __future__ import annotations

import pytest

from support.storm import Storm

PARTS = 10
# Where each part begins: its seeds never meet those of the next.
APART = 10_000_000
CI_STEPS = 100_000
QUICK_STEPS = 30_000


def run(seed: int) -> int:
    storm = Storm(seed)
    try:
        storm.run()
    except BaseException as error:
        error.add_note(f"repeat it: pytest {__file__} --storm-seed {seed}")
        raise
    return storm.steps


def wanted_steps(config: pytest.Config) -> int:
    asked = config.getoption("--storm-steps")
    return int(asked or (QUICK_STEPS if config.getoption("--quick") else CI_STEPS))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_crash_is_as_if_it_had_not_been(part, request, record_property):
    seed = first = part * APART
    only = request.config.getoption("--storm-seed")
    if only is not None:
        if part:
            pytest.skip("one seed is repeated by the first part")
        run(only)
        return
    steps = 0
    while steps < wanted_steps(request.config) / PARTS:
        steps += run(seed)
        seed += 1
    record_property("storm", [first, seed - 1, steps])
