"""Regular expressions that users write, run on what programs print: for so long and no longer.

An expression that can match the same text in many ways, such as ``(a|aa)+$``, may need longer than
the universe is old for a line of a hundred characters, and the expressions of the standard library
hold up all threads meanwhile. So the matching is that of ``regex``, which lets others run and ends
when it is told to.
"""

from __future__ import annotations

import regex

from copernicus.errors import BadDefinition

PATIENCE_S = 2.0
"""Of computing, for one look at a text; far more than a good expression ever needs."""


class TooSlow(BadDefinition):
    """An expression did not come to its end in time."""


def compiled(expression: str) -> regex.Pattern[str]:
    """The expression, for whole texts of several lines.

    Raises:
        BadDefinition: It is none.
    """
    try:
        return regex.compile(expression, regex.MULTILINE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadDefinition(f"{expression!r} is no regular expression: {error}") from None


def find_all(expression: str, text: str) -> list[regex.Match[str]]:
    """Everything that matches, in order.

    Raises:
        TooSlow: It takes too long.
        BadDefinition: It is no expression.
    """
    pattern = compiled(expression)
    try:
        return list(pattern.finditer(text, concurrent=True, timeout=PATIENCE_S))
    except TimeoutError:
        raise _too_slow(expression) from None


def find(expression: str, text: str) -> regex.Match[str] | None:
    """The first match; errors as ``find_all``."""
    pattern = compiled(expression)
    try:
        return pattern.search(text, concurrent=True, timeout=PATIENCE_S)
    except TimeoutError:
        raise _too_slow(expression) from None


def _too_slow(expression: str) -> TooSlow:
    return TooSlow(
        f"the regular expression {expression!r} did not come to an end within {PATIENCE_S:g} s "
        "of computing: it can match the same text in too many ways, as (a|aa)+ does"
    )
