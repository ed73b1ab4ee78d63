"""Discovery of installed modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.registry import catalog, discover
from support.evaluators import install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_modules_are_found_by_their_entry_points(folder: Path) -> None:
    install(folder, {"toy": "support.authors", "direct": "support.authors:module"})
    found = discover()
    assert found.modules["toy"].functions["toy.add"].spec.version == "1.2"
    assert "another installed module is called 'toy'" in found.broken["toy"]
    assert found.catalog()["toy.build"] == catalog()["toy.build"]


def test_a_broken_module_harms_nobody(folder: Path) -> None:
    (folder / "brittle_module.py").write_text("1 / 0\n")
    install(folder, {"toy": "support.authors", "brittle": "brittle_module"})
    found = discover()
    assert found.broken["brittle"] == "ZeroDivisionError: division by zero"
    assert "toy" in found.modules
