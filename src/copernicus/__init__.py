"""Copernicus: distributed computing for statistical problems.

``Client`` is the way to a server from Python (``AsyncClient`` with ``asyncio``), ``File`` what a
file is in the hands of a module's author; they are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from copernicus.version import __version__

if TYPE_CHECKING:
    from copernicus.client import AsyncClient, Client
    from copernicus.sdk import File

_HOMES = {
    "AsyncClient": "copernicus.client",
    "Client": "copernicus.client",
    "File": "copernicus.sdk",
}

__all__ = ["AsyncClient", "Client", "File", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'copernicus' has no attribute {name!r}")
