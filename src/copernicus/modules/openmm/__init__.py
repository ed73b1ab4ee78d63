"""Molecular dynamics with OpenMM: a function, and a stand-alone runner that it runs."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """``module``, made when it is asked for: the runner starts without it."""
    if name == "module":
        from copernicus.modules.openmm.functions import module

        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
