"""The other half of the storms: what comes late, in any order, and in steps that fire little.

There is no second story to be like; whatever happens, the rules of every project hold, the journal
tells the same state, and in the end everything is done. See ``test_engine_storm.py``.
"""

from __future__ import annotations

import pytest

from support.storm_actions import ALONE
from support.storm_parts import PARTS, run_part


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_comes_late_does_no_harm(part, request, record_property):
    run_part(part + PARTS, ALONE, request.config, record_property, alone=True)
