"""What a word on the command line means as the value of a port. Pure."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from copernicus.errors import BadValue
from copernicus.model.paths import Step

_OPTIONAL = " | None"


def type_inside(described: str, steps: tuple[Step, ...]) -> str:
    """The type of a part of a value, of a type as ``model.types.describe`` writes it.

    ``""`` where only the server knows (members of records).
    """
    for step in steps:
        described = described.removesuffix(_OPTIONAL)
        if described.startswith("list[") and (isinstance(step, int) or step == "+"):
            described = described[5:-1]
        elif described.startswith("dict[str, ") and isinstance(step, str):
            described = described[10:-1]
        else:
            return ""
    return described


def read_word(word: str, described: str, where: str) -> Any:
    """The value that a word stands for, at a port (or part of one) of this type.

    Text stays as it is where the type is text; elsewhere it is JSON; where anything may stand,
    JSON if it can be read as such, else text.

    Raises:
        BadValue: It cannot be a value of this type.
    """
    kind = described.removesuffix(_OPTIONAL)
    optional = described != kind
    if optional and word == "null":
        return None
    if kind == "str":
        return word
    if kind == "File" or kind.startswith("list[File"):
        raise BadValue(f"{where} takes a file: cpc set-file {where} FILE")
    if kind.startswith("'") or kind[:1].isdigit():
        return _choice(word, kind, where)
    try:
        value = msgspec.json.decode(word)
    except msgspec.DecodeError:
        if kind in ("", "Any") or _is_name(kind):
            return word
        raise _wrong(word, described, where) from None
    return _checked(value, word, kind, described, where)


def _checked(value: Any, word: str, kind: str, described: str, where: str) -> Any:
    base = kind.split(" ", 1)[0]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "bool": isinstance(value, bool),
        "int": number and value == int(value),
        "float": number,
    }
    container = (kind.startswith("list[") and not isinstance(value, list)) or (
        kind.startswith("dict[") and not isinstance(value, dict)
    )
    if container or not fits.get(base, True):
        raise _wrong(word, described, where)
    return value


def _choice(word: str, described: str, where: str) -> Any:
    choices = [ast.literal_eval(choice) for choice in described.split(" | ")]
    for choice in choices:
        if str(choice) == word:
            return choice
    known = ", ".join(str(choice) for choice in choices)
    raise BadValue(f"{word!r} is no value for {where}; it may be: {known}")


def _is_name(kind: str) -> bool:
    return kind.isidentifier() and kind not in ("bool", "int", "float", "list", "dict")


def _wrong(word: str, described: str, where: str) -> BadValue:
    example = ""
    if described.startswith(("list[", "dict[")):
        written = "[1, 2]" if described.startswith("list[") else '{"a": 1}'
        example = f" (write JSON, such as '{written}')"
    return BadValue(f"expected {described} at {where}, got {word!r}{example}")
