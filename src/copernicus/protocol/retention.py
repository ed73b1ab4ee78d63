"""What is said about files that a project does not keep."""

from __future__ import annotations

import msgspec


class CollectRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Remove files by the project's rules of retention, or with ``dry_run`` only tell which."""

    dry_run: bool = True


class GoingFile(msgspec.Struct, frozen=True):
    """A file that goes (or went): of which result, and how large it is.

    ``elsewhere``: other projects keep it, so that its bytes stay.
    """

    sha256: str
    name: str
    size: int
    path: str
    function: str
    port: str
    activation: str
    elsewhere: bool = False


class CollectReply(msgspec.Struct, frozen=True):
    """What goes (or went) by the rules.

    ``results`` are those that would have to be made again if they are wanted once more, which took
    ``core_hours``; ``waiting`` are results that are not used any more either, and not due yet.
    ``bytes`` are those of files that no other project keeps.
    """

    dry_run: bool
    files: tuple[GoingFile, ...]
    bytes: int
    results: int
    core_hours: float
    waiting: int
