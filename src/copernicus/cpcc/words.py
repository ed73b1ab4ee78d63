"""Items as the old client wrote them: ``name:in.port[+]``, ``a:b:out.x``, ``name.in.port``."""

from __future__ import annotations

import re
from typing import NamedTuple

from copernicus.errors import BadValue

_PART = re.compile(r"([^.:\[\]]+)|(\[[^\]]*\])|[.:]")
_SIDES = ("in", "out", "msg")
_BORDERS = {"ext_in": "in", "ext_out": "out", "sub_in": "out", "sub_out": "in"}


class Item(NamedTuple):
    """An item: the instance (``a/b``), ``in``, ``out``, ``msg`` or nothing, port, steps."""

    instance: str
    side: str = ""
    port: str = ""
    steps: tuple[str, ...] = ()

    def path(self, port: str = "", steps: tuple[str, ...] | None = None) -> str:
        """The path as ``cpc`` writes it, with another port or other steps if they are given."""
        if not self.side:
            return self.instance
        shown = "".join(self.steps if steps is None else steps)
        return f"{self.instance}.{self.side}.{port or self.port}{shown}"


def read_item(text: str) -> Item:
    """Read an item; ``.`` and ``:`` are the same, and ``-`` in names is ``_``.

    Raises:
        BadValue: It is none.
    """
    parts = [match[0] for match in _PART.finditer(text) if match[0] not in ".:"]
    if not parts or "".join(parts) != re.sub("[.:]", "", text):
        raise BadValue(f"{text!r} is no item: write for example grompp:in.conf[+]")
    if "self" in parts or any(part in _BORDERS for part in parts):
        raise BadValue(
            f"{text!r}: what is inside a function is declared by its code now "
            "(docs/how-to/write-a-module.md); set the inputs of the instance itself"
        )
    at = next((i for i, part in enumerate(parts) if part in _SIDES and i), len(parts))
    names, rest = parts[:at], parts[at:]
    element = names.pop() if len(names) > 1 and names[-1].startswith("[") else ""
    instance = "/".join(name.replace("-", "_") for name in names) + element
    if not rest:
        return Item(instance)
    if len(rest) == 1:
        return Item(instance, rest[0])
    steps = tuple(part if part.startswith("[") else f".{part}" for part in rest[2:])
    return Item(instance, rest[0], rest[1], steps)


def function_name(text: str) -> str:
    """``module::function`` or ``module:function`` as ``module.function``."""
    return re.sub("::?", ".", text)
