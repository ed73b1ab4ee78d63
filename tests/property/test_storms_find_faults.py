"""The storms can fail: each fault that is put into the engine is found within few of them."""

from __future__ import annotations

import pytest

from copernicus.errors import CopernicusError
from support.storm import Storm
from support.storm_actions import ACTIONS, ALONE
from support.storm_faults import FAULTS

# Storms until the fault must have been found; most are found by the first few.
STORMS = 400


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_found(fault, monkeypatch):
    monkeypatch.setattr(fault.module, fault.name, fault.instead)
    with pytest.raises((AssertionError, CopernicusError, KeyError)):
        run_storms(alone=fault.alone)


def run_storms(*, alone: bool) -> None:
    for seed in range(STORMS):
        Storm(seed, alone=alone).run(ALONE if alone else ACTIONS)
