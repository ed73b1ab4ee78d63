"""GROMACS: prepare, run, continue and read simulations with the ``gmx`` of each worker.

The functions only describe command lines, so a worker needs ``gmx`` (2020 or newer) but nothing
of this module; the three tasks that edit or read texts run where Copernicus is installed.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """``module``, made when it is asked for: the adapter for MPI builds starts without it."""
    if name == "module":
        from copernicus.modules.gromacs.functions import module

        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
