"""What two runs of the same activation have given, held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from copernicus.model.values import is_file

Verdict = Literal["identical", "within", "differs"]
_ORDER: tuple[Verdict, ...] = ("identical", "within", "differs")


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place in an output where the two runs differ; sizes are those of files, in bytes."""

    where: str
    first: Any
    second: Any
    relative: float | None = None
    sizes: tuple[int, int] | None = None


class OutputComparison(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output in both runs. ``within``: numbers differ by no more than was allowed."""

    port: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float = 0.0
) -> list[OutputComparison]:
    """Output by output, in the order of their names.

    Args:
        first: outputs by port.
        second: those of the other run.
        tolerance: how far numbers may be apart, relative to the larger one.
    """
    found = []
    for port in sorted({*first, *second}):
        differences = tuple(_differences(port, first.get(port), second.get(port)))
        beyond = [d for d in differences if d.relative is None or d.relative > tolerance]
        verdict: Verdict = "differs" if beyond else "within" if differences else "identical"
        found.append(OutputComparison(port, verdict, differences))
    return found


def verdict_of(comparisons: list[OutputComparison]) -> Verdict:
    """The worst of all outputs."""
    return max((one.verdict for one in comparisons), key=_ORDER.index, default="identical")


def _differences(where: str, first: Any, second: Any) -> Iterator[Difference]:
    if is_file(first) and is_file(second):
        if first["$file"] != second["$file"]:
            sizes = (first["size"], second["size"])
            yield Difference(where, first["$file"], second["$file"], sizes=sizes)
    elif _is_number(first) and _is_number(second):
        # Not a number equals itself here: both runs gave the same.
        if first != second and not (first != first and second != second):
            yield Difference(where, first, second, relative=_relative(first, second))
    elif isinstance(first, dict) and isinstance(second, dict):
        for name in sorted({*first, *second}):
            yield from _differences(f"{where}.{name}", first.get(name), second.get(name))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differences(f"{where}[{index}]", one, other)
    elif first != second:
        yield Difference(where, first, second)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _relative(first: float, second: float) -> float:
    larger = max(abs(first), abs(second))
    relative = abs(first - second) / larger if larger else 0.0
    return relative if relative == relative else float("inf")
