"""Reads tables of a TOML text strictly: every key is known, every slip is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from copernicus.errors import BadDefinition

S = TypeVar("S", bound=msgspec.Struct)


def patterns(table: Any) -> Any:
    """``{file, regex}``, as users write it, with the model's word for a file: a pattern."""
    if isinstance(table, dict):
        renamed = {"file": "pattern"} if "regex" in table else {}
        return {renamed.get(key, key): patterns(value) for key, value in table.items()}
    return table


def tables(
    table: Mapping[str, Any], key: str, read: Callable[[str, dict[str, Any]], Any]
) -> dict[str, Any]:
    """What ``read`` makes of every table below ``key``, by name."""
    found = table.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(part, dict) for part in found.values()):
        raise BadDefinition(f"{key}: write one table [{key}.NAME] for each")
    for name in found:
        if not name.isidentifier():
            raise BadDefinition(f"{key}.{name}: a port's name is made of letters, digits and _")
    return {name: read(name, part) for name, part in found.items()}


def struct(cls: type[S], table: Any, where: str) -> S:
    """A table as a struct, with unknown keys refused."""
    if not isinstance(table, dict):
        raise BadDefinition(f"{where} must be a table")
    known_keys(table, cls.__struct_fields__, where)
    try:
        return msgspec.convert(table, cls)
    except msgspec.ValidationError as error:
        raise BadDefinition(f"{where}: {error}") from None


def known_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse keys that mean nothing."""
    for key in table:
        if key not in known:
            raise BadDefinition(
                f"{where} has no {key!r}{nearest(key, known)}; it may have: {', '.join(known)}"
            )


def nearest(word: str, known: Any) -> str:
    """A question that helps after a slip of the finger."""
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def demand(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Refuse a table without these keys."""
    for key in keys:
        if key not in table:
            raise BadDefinition(f"{where} needs {key!r}")


def text(table: Mapping[str, Any], key: str, where: str) -> str:
    """The text at a key, empty without one."""
    value = table.get(key, "")
    if not isinstance(value, str):
        raise BadDefinition(f"{where}: {key} must be a text, not {value!r}")
    return value


def flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    """The truth at a key, false without one."""
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise BadDefinition(f"{where}: {key} must be true or false, not {value!r}")
    return value
