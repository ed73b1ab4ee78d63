"""Running an activation again beside the project, to see whether it gives the same."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.jobs import AttemptRecord, Failure


class ReproduceRequest(msgspec.Struct, frozen=True):
    """Run what made the value at a path (or an instance, an element, an activation) again.

    ``elsewhere``: on another worker than that which made it, or at another peer.
    """

    path: str
    elsewhere: bool = False


class ReproductionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repeated run: how far it is; when ``state`` is ``done``, what both have given.

    ``continued`` is the activation that the first run continued; the second begins at the start.
    """

    job: str
    path: str
    activation: str
    function: str
    version: str
    state: str
    continued: str = ""
    expected: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    first: tuple[AttemptRecord, ...] = ()
    second: tuple[AttemptRecord, ...] = ()
    failure: Failure | None = None
    why: str = ""
