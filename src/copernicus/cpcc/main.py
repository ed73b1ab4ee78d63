"""``cpcc``: from the old client's arguments to an exit code: 0 done, else refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from copernicus.errors import BadValue, NotFound

if TYPE_CHECKING:
    from copernicus.cpcc.commands import Call, Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the old client; what is wrong is one line on standard error."""
    from copernicus.cli.main import failing

    return failing(_run, list(sys.argv[1:] if arguments is None else arguments), "cpcc")


def _run(words: list[str]) -> int:
    from copernicus.cpcc.table import COMMANDS, GONE, usage

    while words and words[0] in ("-d", "-h", "-c"):
        option = words.pop(0)
        if option == "-h":
            words = ["help"]
        if option == "-c":
            raise BadValue("Bundles log nobody in any more: cpcc login USER, and without -c")
    name, given = (words[0], words[1:]) if words else ("help", [])
    if name in ("help", "-h", "--help"):
        print(usage())
        return 0
    if name in GONE:
        raise NotFound(f"There is no {name} any more: {GONE[name]}")
    command = next((found for found in COMMANDS if name in found.names), None)
    if command is None:
        raise BadValue(f"There is no command {name!r}: cpcc help")
    return command.run(_read(command, name, given))


def _read(command: Command, name: str, given: list[str]) -> Call:
    from copernicus.cpcc.commands import Call

    arguments: list[str] = []
    options: dict[str, str] = {}
    words = iter(given)
    for word in words:
        if word in command.flags:
            options[word] = ""
        elif word in ("-p", *command.valued):
            options[word] = next(words, "")
            if not options[word]:
                raise BadValue(f"{word} needs a value: cpcc {name} {command.usage}")
        else:
            arguments.append(word)
    if not command.least <= len(arguments) <= command.most:
        raise BadValue(f"Write: cpcc {name} {command.usage}".rstrip())
    return Call(tuple(arguments), options, options.pop("-p", ""))
