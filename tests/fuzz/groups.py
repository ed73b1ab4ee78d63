"""The parsers in groups, each fuzzed by a process of its own; the corpus that each begins with.

The first byte of an input says which parser of the group reads the rest.
"""

from __future__ import annotations

from pathlib import Path

from support.parsers import BOMBS, EXAMPLES, PIECES, survives

GROUPS: dict[str, tuple[str, ...]] = {
    "words": (
        *("path", "file path", "file name", "type words", "quantity", "unit", "versions"),
        *("range", "duration", "megabytes", "natural order"),
    ),
    "files": ("TOML function", "network", "program file", "settings", "mdp", "mdp setting"),
    "messages": ("saved project", "manifest", "edits", "result"),
    "secrets": ("worker bundle", "client bundle", "token", "certificate", "worker certificate"),
    "data": ("xvg", "xvg parts", "pdb", "dcd"),
}
LONGEST = 4096
"""Bytes of an input."""


def read(group: str, content: bytes, folder: Path) -> None:
    """Have the parser that an input names read it; fails as ``survives`` does."""
    if content:
        names = GROUPS[group]
        survives(names[content[0] % len(names)], content[1:], folder)


def write_corpus(group: str, folder: Path) -> None:
    """Good examples, pieces and the beginnings of bombs for each parser of the group."""
    for index, name in enumerate(GROUPS[group]):
        begun = [EXAMPLES.get(name, b""), b" ".join(PIECES), *BOMBS.values()]
        for number, content in enumerate(begun):
            (folder / f"{index}-{number}").write_bytes(bytes([index]) + content[: LONGEST - 1])


def write_dictionary(file: Path) -> None:
    """The pieces that such files are made of, in the words of libFuzzer."""
    quoted = ("".join(f"\\x{byte:02x}" for byte in piece) for piece in PIECES)
    file.write_text("".join(f'"{piece}"\n' for piece in quoted))
