"""Reads docstrings in Google's style: what a function is, and what its ports are."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(
    r"(Args|Arguments|Attributes|Outputs|Returns|Raises|Yields|Examples?|Notes?):\s*\Z"
)
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)\Z")
_PORTS = {"Args": "inputs", "Arguments": "inputs", "Attributes": "outputs", "Outputs": "outputs"}


@dataclass
class Doc:
    """The text before all sections, and the texts of the ports."""

    text: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def read_doc(docstring: str | None) -> Doc:
    """Read a docstring (``Args``: inputs; ``Outputs`` or ``Attributes``: outputs)."""
    doc, text, section = Doc(), list[str](), ""
    current: list[str] = []
    for line in inspect.cleandoc(docstring or "").splitlines():
        heading = _SECTION.match(line)
        if heading:
            section, current = heading[1], []
        elif not section:
            text.append(line)
        elif section in _PORTS:
            current = _port_line(line, current, getattr(doc, _PORTS[section]))
    doc.text = "\n".join(text).strip()
    return doc


def _port_line(line: str, current: list[str], into: dict[str, str]) -> list[str]:
    indent = len(line) - len(line.lstrip())
    entry = _ENTRY.match(line.strip())
    if entry and (not current or indent <= int(current[1])):
        into[entry[1]] = entry[2]
        return [entry[1], str(indent)]
    if current and line.strip():
        into[current[0]] = f"{into[current[0]]} {line.strip()}".strip()
    return current
