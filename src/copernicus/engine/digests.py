"""Digests of values as the engine compares them.

A list's digest is made of its elements' digests, so that a list of a thousand files that grew by
one is not hashed as a whole, and a collected list equals a list set by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from copernicus.model.values import digest, is_file

_SINGLE = frozenset({int, float, str, bool, type(None)})


def value_digest(value: Any) -> str:
    """The digest of a plain value."""
    if type(value) in _SINGLE:
        return digest(value)
    if isinstance(value, list):
        return list_digest(value_digest(element) for element in value)
    if isinstance(value, Mapping) and not is_file(value):
        return inputs_digest({key: value_digest(inner) for key, inner in value.items()})
    return digest(value)


def list_digest(elements: Iterable[str]) -> str:
    """The digest of a list, from its elements'."""
    whole = hashlib.sha256(b"list")
    for element in elements:
        whole.update(element.encode())
    return whole.hexdigest()


def inputs_digest(digests: Mapping[str, str]) -> str:
    """The digest of named values, from theirs."""
    whole = hashlib.sha256(b"record")
    for name in sorted(digests):
        whole.update(f"{name}={digests[name]};".encode())
    return whole.hexdigest()


def element_ids(values: Iterable[Any]) -> tuple[str, ...]:
    """Identities for the elements of a list that has none.

    By content, so that they survive insertion, removal and another order; equal elements are
    numbered.
    """
    seen: dict[str, int] = {}
    ids = []
    for value in values:
        short = value_digest(value)[:12]
        count = seen[short] = seen.get(short, 0) + 1
        ids.append(short if count == 1 else f"{short}-{count}")
    return tuple(ids)
