"""The engine without a server around it, as the tests drive it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.workflows import FUNCTIONS, SPECS
from support.world import World

__all__ = ["World", "engine_world"]


def engine_world() -> tuple[World, Callable[[str, dict[str, Any]], Any]]:
    """A project with an adaptive workflow function, and what its programs compute."""

    def compute(function: str, inputs: dict[str, Any]) -> Any:
        if function == "m.model":
            return {"seeds": [x % 7 for x in inputs["xs"]]}
        return inputs["conf"] + 1

    return World(*SPECS, workflows={f.body.__name__: f for f in FUNCTIONS}), compute
