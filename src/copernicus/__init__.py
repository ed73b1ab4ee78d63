"""Copernicus: distributed computing for statistical problems.

``Client`` is the way to a server from Python, ``File`` what a file is in the hands of a module's
author; both are loaded when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copernicus.client import Client
    from copernicus.sdk import File

__version__ = "0.1.0"
__all__ = ["Client", "File", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from copernicus.client import Client

        return Client
    if name == "File":
        from copernicus.sdk import File

        return File
    raise AttributeError(f"module 'copernicus' has no attribute {name!r}")
