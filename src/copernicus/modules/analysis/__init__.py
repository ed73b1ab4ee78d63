"""Analysis of trajectories: dihedral angles, free-energy surfaces, adaptive sampling."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """``module``, made when it is asked for: what only reads trajectories starts without it."""
    if name == "module":
        from copernicus.modules.analysis.workflows import module

        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
