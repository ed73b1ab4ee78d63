"""TOML that others wrote: read in bounded time, or refused as TOML that is none."""

from __future__ import annotations

import re
import tomllib
from typing import Any

# The reader takes time with the square of a key's parts.
_MANY_PARTS = re.compile(r"^[^=\n]*?(?:\.[^=.\n]*){200}", re.MULTILINE)
_LONGEST = 16 * 1024 * 1024


def read_toml(text: str) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        tomllib.TOMLDecodeError: It is not valid, too long, or nested too deeply.
    """
    if len(text) > _LONGEST:
        raise tomllib.TOMLDecodeError(f"It has {len(text)} characters, at most {_LONGEST} are read")
    if _MANY_PARTS.search(text):
        raise tomllib.TOMLDecodeError("A key has more than 200 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("It is nested too deeply") from None
