"""Numbers of a command that follow from inputs: ``at_least = "{in.steps}"``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copernicus.errors import BadDefinition
from copernicus.model.functions import Port
from copernicus.model.jobs import FOLLOWING
from copernicus.model.templates import MENTION
from copernicus.model.types import FloatType, IntType, strip_optional
from copernicus.sdk.toml_tables import nearest


def take_numbers(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The table without the numbers that are mentions, and these: place to port.

    Raises:
        BadDefinition: A text stands where only a number or a mention may.
    """
    rest = dict(table)
    found: dict[str, str] = {}
    for place in FOLLOWING:
        section, _, key = place.rpartition(".")
        inside = rest.get(section) if section else rest
        if not isinstance(inside, dict) or not isinstance(inside.get(key), str):
            continue
        mention = MENTION.fullmatch(inside[key])
        if mention is None or mention[2]:
            raise BadDefinition(f"{place} is {inside[key]!r}: write a number or '{{in.NAME}}'")
        found[place] = mention[1]
        kept = {name: value for name, value in inside.items() if name != key}
        rest = {**rest, section: kept} if section else kept
    return rest, found


def check_numbers(found: Mapping[str, str], ports: Mapping[str, Port]) -> None:
    """See that numbers follow from numbers.

    Raises:
        BadDefinition: One follows from something else.
    """
    for place, name in found.items():
        if name not in ports:
            raise BadDefinition(f"{place}: there is no input {name!r}{nearest(name, ports)}")
        whole = place.startswith("resources.") and not place.endswith("_s")
        kind = strip_optional(ports[name].type)
        if not isinstance(kind, IntType) and (whole or not isinstance(kind, FloatType)):
            wanted = "an int" if whole else "a number"
            raise BadDefinition(f"{place}: the input {name} is not {wanted}")
