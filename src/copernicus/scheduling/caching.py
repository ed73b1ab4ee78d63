"""Which of the files that were fetched for peers' jobs go, so that they stay within their bound."""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec


class CachedFile(msgspec.Struct, frozen=True):
    """A file that was fetched for a peer's job: its bytes, and when one last asked for it."""

    size: int
    used: float


def what_goes(
    files: Mapping[str, CachedFile], needed: Set[str], bound: int, before: float
) -> list[str]:
    """As few as bring the rest down to ``bound`` bytes, those first that were used longest ago.

    Never one that is ``needed``, nor one that was used at ``before`` or later: with these alone,
    the bound may be exceeded.
    """
    over = sum(file.size for file in files.values()) - bound
    may_go = [name for name in files if name not in needed and files[name].used < before]
    going: list[str] = []
    for name in sorted(may_go, key=lambda name: (files[name].used, name)):
        if over <= 0:
            break
        going.append(name)
        over -= files[name].size
    return going
