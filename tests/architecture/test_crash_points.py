"""Every crash point is in the code, in one place, and is tried by a test."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from copernicus.crashpoints import POINTS
from support.crashes import GROUPS

SOURCE = Path(__file__).parents[2] / "src" / "copernicus"


def test_every_crash_point_is_in_one_place() -> None:
    found = Counter(
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r'passing\("([\w.]+)"\)', path.read_text("utf-8"))
    )
    assert dict(found) == dict.fromkeys(POINTS, 1)


def test_every_crash_point_is_tried() -> None:
    tried = [point for group in GROUPS.values() for point in group]
    assert sorted(tried) == sorted(POINTS)
