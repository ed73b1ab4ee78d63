"""What a job asks of a worker's labels: ``site == "kth" && !preemptible``.

A worker's label is a name (``preemptible``) or a name with a value (``site=kth``). The language:

- ``NAME``: the worker has the label. ``!``, ``&&``, ``||`` (or ``not``, ``and``, ``or``) and
  parentheses combine; ``!`` binds closest, then ``&&``.
- ``NAME == VALUE``, ``NAME != VALUE``, ``NAME in (VALUE, VALUE)``: by text. What a worker does not
  say of itself is equal to nothing, so ``!=`` holds there.
- ``NAME < VALUE`` and ``<=``, ``>``, ``>=``: by number; they hold only where the value is one.
- A value is a word (``kth``, ``2.5``), or stands in quotes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from copernicus.errors import BadDefinition

Test = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>&&|\|\||==|!=|<=|>=|[()<>!,=])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'"""
    r"""|(?P<word>[\w.+:/@-]+))"""
)
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"and": "&&", "or": "||", "not": "!", "in": "in"}
_EXAMPLE = 'write for example site == "kth" && !preemptible'
_DEEPEST = 50
_LONGEST = 1000


def read_labels(labels: Iterable[str]) -> dict[str, str]:
    """The labels of a worker by name; one without a value has the value ``""``."""
    return {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in labels)}


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> Test:
    """The test that an expression stands for; of an empty one, that any worker will do.

    Raises:
        BadDefinition: It is none; the message says where.
    """
    if not text.strip():
        return lambda _labels: True
    if len(text) > _LONGEST:
        raise BadDefinition(f"an expression over labels may have {_LONGEST} characters")
    parser = _Parser(text)
    test = parser.either(0)
    parser.end()
    return test


@lru_cache(maxsize=65536)
def fits_labels(text: str, labels: tuple[str, ...]) -> bool:
    """Whether a worker with these labels is what the expression asks for."""
    return parse_labels(text)(read_labels(labels))


class _Token:
    """A sign, or a name or value, and where it stands."""

    __slots__ = ("at", "quoted", "sign", "text")

    def __init__(self, at: int, sign: str, text: str, *, quoted: bool) -> None:
        self.at, self.sign, self.text, self.quoted = at, sign, text, quoted


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadDefinition(f"{text!r} at {at + 1}: {text[at:].strip()[0]!r} means nothing")
        at = match.end()
        word, quoted = match["word"], match["double"] or match["single"] or ""
        sign = match["sign"] or _WORDS.get(word or "", "")
        is_word = word is not None and not sign
        said = word if is_word else quoted
        start = at - len(match[0].lstrip())
        found.append(_Token(start, sign, said, quoted=not is_word and not sign))
    return found


class _Parser:
    """Recursive descent, one method per level of binding."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def either(self, depth: int) -> Test:
        """Alternatives."""
        tests = [self._both(depth)]
        while self._take("||"):
            tests.append(self._both(depth))
        return tests[0] if len(tests) == 1 else lambda labels: any(t(labels) for t in tests)

    def end(self) -> None:
        """Nothing may follow."""
        if self._next < len(self._tokens):
            raise self._wrong("an end, && or ||")

    def _both(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._take("&&"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda labels: all(t(labels) for t in tests)

    def _one(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise BadDefinition(f"{self._text!r}: more than {_DEEPEST} levels deep")
        if self._take("!"):
            negated = self._one(depth + 1)
            return lambda labels: not negated(labels)
        if self._take("("):
            inner = self.either(depth + 1)
            self._must(")")
            return inner
        return self._comparison(self._name())

    def _comparison(self, name: str) -> Test:
        if self._take("==") or self._take("="):
            value = self._value()
            return lambda labels: labels.get(name) == value
        if self._take("!="):
            other = self._value()
            return lambda labels: labels.get(name) != other
        if self._take("in"):
            values = self._values()
            return lambda labels: labels.get(name) in values
        for sign, holds in _NUMERIC.items():
            if self._take(sign):
                return _by_number(name, holds, self._number())
        return lambda labels: name in labels

    def _values(self) -> frozenset[str]:
        self._must("(")
        found = [self._value()]
        while self._take(","):
            found.append(self._value())
        self._must(")")
        return frozenset(found)

    def _number(self) -> float:
        at = self._next
        value = _as_number(self._value())
        if value is None:
            self._next = at
            raise self._wrong("a number")
        return value

    def _name(self) -> str:
        token = self._peek()
        if token is None or token.sign or token.quoted:
            raise self._wrong("a label's name")
        self._next += 1
        return token.text

    def _value(self) -> str:
        token = self._peek()
        if token is None or token.sign:
            raise self._wrong("a value")
        self._next += 1
        return token.text

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, sign: str) -> bool:
        token = self._peek()
        if token is None or token.sign != sign:
            return False
        self._next += 1
        return True

    def _must(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong(repr(sign))

    def _wrong(self, expected: str) -> BadDefinition:
        token = self._peek()
        at = "at its end" if token is None else f"at {token.at + 1}"
        return BadDefinition(f"{self._text!r} {at}: {expected} is expected; {_EXAMPLE}")


def _by_number(name: str, holds: Callable[[float, float], bool], value: float) -> Test:
    def test(labels: Mapping[str, str]) -> bool:
        found = _as_number(labels.get(name, ""))
        return found is not None and holds(found, value)

    return test


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
