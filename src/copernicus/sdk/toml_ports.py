"""The ports of a function that is described in TOML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from copernicus.errors import BadDefinition
from copernicus.model.functions import OnChange, Port
from copernicus.model.jobs import Output
from copernicus.model.types import (
    AnyType,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    PortType,
    StrType,
    check,
    describe,
    strip_optional,
)
from copernicus.sdk.hints import check_input_name
from copernicus.sdk.toml_tables import demand, flag, known_keys, text
from copernicus.sdk.type_words import read_type, with_unit

_INPUT = ("type", "unit", "doc", "default", "on_change", "path")
_HOW: dict[str, PortType] = {
    "file": FileType(),
    "files": ListType(FileType()),
    "text": StrType(),
    "json": AnyType(),
    "number": FloatType(),
    "regex": StrType(),
    "exit_code": IntType(),
}
_OUTPUT = (*_HOW, "type", "unit", "doc", "optional", "name", "partial", "so_far")


def read_input(name: str, table: dict[str, Any]) -> Port:
    """An input, from its table."""
    where = f"inputs.{name}"
    known_keys(table, _INPUT, where)
    check_input_name(name, "inputs")
    demand(table, ("type",), where)
    port_type = port_type_of(table, where)
    given = "default" in table
    on_change = table.get("on_change", "finish")
    if on_change not in get_args(OnChange):
        raise BadDefinition(
            f"{where}: on_change is {on_change!r}: write 'finish', 'cancel' or 'extend'"
        )
    return Port(
        name,
        port_type,
        required=not given and not isinstance(port_type, OptionalType),
        default=check(port_type, table["default"], f"{where}.default") if given else None,
        doc=text(table, "doc", where),
        on_change=on_change,
    )


def read_output(name: str, table: dict[str, Any]) -> tuple[Port, Output]:
    """An output, and how it is read from the work folder, from its table."""
    where = f"outputs.{name}"
    known_keys(table, _OUTPUT, where)
    ways = [how for how in _HOW if how in table]
    if len(ways) != 1:
        raise BadDefinition(f"{where} needs one of {', '.join(_HOW)}")
    how, source = ways[0], table[ways[0]]
    port_type = port_type_of(table, where, _HOW[how])
    if how != "json" and not _same_kind(strip_optional(port_type), _HOW[how]):
        raise BadDefinition(f"{where}: {how} gives {describe(_HOW[how])}, not {table['type']}")
    optional = flag(table, "optional", where) or isinstance(port_type, OptionalType)
    if optional:
        port_type = OptionalType(strip_optional(port_type))
    source, key = _member(how, source, where)
    pattern, regex = _source(how, source, where)
    return (
        Port(name, port_type, required=not optional, doc=text(table, "doc", where)),
        msgspec.convert(
            {
                "port": name,
                "how": how,
                "pattern": pattern,
                "regex": regex,
                "optional": optional,
                "name": text(table, "name", where) or None,
                "key": key,
                "partial": _partial(how, table, where),
                "so_far": text(table, "so_far", where),
            },
            Output,
        ),
    )


def _partial(how: str, table: dict[str, Any], where: str) -> bool:
    """Whether the output means something while the job runs."""
    partial = flag(table, "partial", where)
    if partial and how == "exit_code":
        raise BadDefinition(f"{where}: a running job has no exit code: leave out partial")
    if "so_far" in table and not partial:
        raise BadDefinition(f"{where}: so_far is only read with partial = true")
    return partial


def _member(how: str, source: Any, where: str) -> tuple[Any, str | None]:
    """Of ``json = {file, key}`` the file and the key; anything else as it is."""
    if how != "json" or not isinstance(source, dict):
        return source, None
    if set(source) != {"file", "key"} or not all(isinstance(v, str) for v in source.values()):
        raise BadDefinition(f"{where}: write json = {{file = 'result.json', key = 'energy.mean'}}")
    return source["file"], source["key"]


def _same_kind(asked: PortType, given: PortType) -> bool:
    number = isinstance(given, FloatType) and isinstance(asked, IntType)
    return number or type(asked) is type(given)


def _source(how: str, source: Any, where: str) -> tuple[str, str | None]:
    """Pattern and regular expression of an output."""
    if how == "exit_code":
        if source is not True:
            raise BadDefinition(f"{where}: write exit_code = true")
        return "", None
    if how in ("number", "regex"):
        if not isinstance(source, dict) or set(source) != {"file", "regex"}:
            raise BadDefinition(
                f"{where}: write {how} = {{file = 'md.log', regex = 'energy: (\\S+)'}}"
            )
        _check_regex(source["regex"], where)
        return str(source["file"]), str(source["regex"])
    if not isinstance(source, str) or not source:
        raise BadDefinition(f"{where}: {how} must name a file of the work folder")
    return source, None


def _check_regex(regex: Any, where: str) -> None:
    try:
        groups = re.compile(regex).groups
    except (re.error, TypeError) as error:
        raise BadDefinition(f"{where}: {regex!r} is no regular expression: {error}") from None
    if not groups:
        raise BadDefinition(f"{where}: put the wanted part of {regex!r} in parentheses")


def port_type_of(
    table: Mapping[str, Any], where: str, otherwise: PortType | None = None
) -> PortType:
    """The type of a port, from the keys ``type`` (or else ``otherwise``) and ``unit``."""
    try:
        words = text(table, "type", where)
        found = read_type(words) if words or otherwise is None else otherwise
        unit = text(table, "unit", where)
        return with_unit(found, unit) if unit else found
    except BadDefinition as error:
        raise BadDefinition(f"{where}: {error.message}") from None
