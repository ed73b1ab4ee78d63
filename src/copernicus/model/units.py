"""Quantities with units: ``"25 degC"`` at a port in K is 298.15. Conversions are Pint's.

Pint takes half a second to start, so it is loaded when the first quantity is converted. It never
sees text that it could evaluate: numbers are read here, and of a unit only names, small exponents,
``*``, ``/`` and brackets are let through.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from copernicus.errors import BadValue

_NUMBER = r"[+-]?(?:\d{1,40}(?:[.]\d{0,40})?|[.]\d{1,40})(?:[eE][+-]?\d{1,3})?"
_NAME = r"(?:[^\W\d]|[°%'])++"
_FACTOR = re.compile(rf"({_NAME})\s*(?:\^|\*\*)?\s*([+-]?\d{{1,2}})(?!\d)")
_UNIT = re.compile(rf"(?:1\s*/)?(?:{_NAME}(?:\*\*[+-]?\d{{1,2}})?|[*/()\s])++\Z")
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(\S.{{0,79}})\Z", re.DOTALL)
_LONGEST = 200
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISING = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")


def magnitude(text: str, unit: str) -> float | None:
    """The number of a written quantity (``"25 degC"``) in ``unit``; None if it is written as none.

    Raises:
        BadValue: It is a quantity of another dimension, or its unit is not known.
    """
    found = _QUANTITY.match(text)
    if not found:
        return None
    number, given = Decimal(found[1]), found[2].strip()
    if given == unit:
        return float(number)
    source, target = _unit(given), _unit(unit)
    if target is None:
        raise BadValue(f"{unit} is a unit that others are not converted to: write the number alone")
    if source is None:
        raise BadValue(f"{given!r} is no known unit: write it in {unit} or in a unit like it")
    if source.dimensionality != target.dimensionality:
        raise BadValue(
            f"{given} is a unit of {source.dimensionality}, {unit} of {target.dimensionality}"
        )
    return _converted(number, source, target, given, unit)


def same_unit(one: str, other: str) -> bool:
    """Whether two ways to write a unit mean the same (``1/ps`` and ``ps^-1``)."""
    if one == other:
        return True
    first, second = _unit(one), _unit(other)
    if first is None or second is None or first.dimensionality != second.dimensionality:
        return False
    try:
        return all(
            _converted(Decimal(number), first, second, one, other) == number for number in (0, 1)
        )
    except BadValue:
        return False


def written(quantity: Any) -> Any:
    """A Pint quantity as text with its unit; a plain number where it has no dimension."""
    if quantity.dimensionless:
        quantity = quantity.to("")
    number = quantity.magnitude
    if hasattr(number, "tolist"):
        number = number.tolist()
    if isinstance(number, list):
        return [written(type(quantity)(part, quantity.units)) for part in number]
    if not isinstance(number, int | float | Decimal):
        number = float(number)
    if quantity.dimensionless:
        return float(number) if isinstance(number, Decimal) else number
    return f"{number} {quantity.units}"


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(non_int_type=Decimal)


@lru_cache(maxsize=1024)
def _unit(text: str) -> Any:
    """The unit that a text names, None if it names none."""
    if len(text) > _LONGEST:
        return None
    plain = _RAISING.sub(lambda found: found[0].translate(_RAISED), text).replace("·", "*")
    plain = _FACTOR.sub(r"\1**\2", plain)
    if not _UNIT.match(plain):
        return None
    try:
        return _registry().parse_units(plain)
    except Exception:  # noqa: BLE001 - Pint's errors have no class above them all
        return None


def _converted(number: Decimal, source: Any, target: Any, given: str, unit: str) -> float:
    try:
        return float(_registry().Quantity(number, source).to(target).magnitude)
    except Exception as error:  # noqa: BLE001 - Pint's errors have no class above them all
        raise BadValue(f"{given} cannot be converted to {unit}: {error}") from None
