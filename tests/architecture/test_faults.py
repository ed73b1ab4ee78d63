"""The page of faults has a row for each, and each row its tests (``make docs`` writes these)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "reliability.md"
FAULTS = 50
ROW = re.compile(r"^\| (\d+) \| .+ \| .+ \| (.+) \|$", re.MULTILINE)


def rows() -> list[tuple[int, str]]:
    return [(int(number), tests) for number, tests in ROW.findall(PAGE.read_text("utf-8"))]


def test_every_fault_has_its_row() -> None:
    assert [number for number, _ in rows()] == list(range(1, FAULTS + 1))


def test_every_test_of_a_fault_has_a_row() -> None:
    shown = {name for _, tests in rows() for name in re.findall(r"test_fault_\w+", tests)}
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_fault_\w+)\(", path.read_text("utf-8"))
    }
    assert shown == defined, "run: python docs/reference/generate.py"


@pytest.mark.filterwarnings("default")
def test_faults_without_a_test_are_listed() -> None:
    missing = [number for number, tests in rows() if tests == "open"]
    if missing:
        warnings.warn(f"faults without a test: {missing}", stacklevel=1)
