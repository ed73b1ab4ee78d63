"""The rules whose loss a named test must notice, as ``rules.toml`` lists them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule, where it stands, how it is taken out, and the test that notices."""

    name: str
    says: str
    file: str
    keep: str
    gone: str
    test: str

    def taken_out_of(self, text: str) -> str:
        """The text of its file without it.

        Raises:
            ValueError: It does not stand there once, as it did when this was written.
        """
        found = text.count(self.keep)
        if found != 1:
            raise ValueError(f"{self.name}: stands {found} times in {self.file}, not once")
        return text.replace(self.keep, self.gone)


def read_rules() -> list[Rule]:
    """All of them."""
    text = Path(__file__).with_name("rules.toml").read_text()
    return msgspec.convert(tomllib.loads(text)["rule"], list[Rule])
