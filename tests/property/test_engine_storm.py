"""Very many steps of the engine: random projects, edits, ends of jobs, crashes at every commit.

A project whose server dies again and again tells the same story as one where nothing of the kind
happens; no activation has two visible effects; every output has its trace; nothing that could go
on is left (``support/storm.py``). Its other half is ``test_engine_storm_alone.py``: each is run in
a process of its own, and together they are the steps that ``--storm-steps N`` asks for.
``--storm-seed S`` repeats one seed. Seeds and steps are told at the end of the run.

What storms must have met, or the test fails, is listed in ``support/storm_cover.py``: every kind
of edit; mapped and zipped elements, lists edited by element; branches, ``await``, ``first``,
``collect`` with ``at_least`` and ``tolerate``, ``settle``, ``latest``, ``peek``, final outputs;
streaming ports and provisional runs; ``finish``, ``cancel`` and ``extend``; skips and holes;
failures, retries, reopened decisions; budgets and pauses; pins; new versions, departures and
upgrades; reverts; retirement and return; results used again; moves to another server.
"""

from __future__ import annotations

import pytest

from support.storm_actions import ACTIONS
from support.storm_parts import PARTS, run_part


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_crash_is_as_if_it_had_not_been(part, request, record_property):
    run_part(part, ACTIONS, request.config, record_property, alone=False)
