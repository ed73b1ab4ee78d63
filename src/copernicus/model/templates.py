"""Fills inputs into a command that is a template (a function described without code).

In every text of the command ``{in.PORT}`` becomes the value of an input: a file the path at which
it is placed, a number or a text itself, anything else JSON. Among the arguments of a line:

- ``{in.PORT}`` alone with a list becomes one argument for every element;
- an argument that mentions an input that holds nothing is left out;
- an argument that mentions ``{in.PORT*}`` is repeated for every element of that list;
- ``{in.PORT?}`` at its beginning becomes nothing, and keeps the argument only if the input holds
  something that is not false: ``{in.verbose?}--verbose``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.functions import Port
from copernicus.model.jobs import FOLLOWING, Command, Line, Placed
from copernicus.model.values import is_file

MENTION = re.compile(r"\{in\.([A-Za-z_]\w*)([?*])?\}")
TOGETHER = "\x1f"
"""Between arguments that are repeated together."""
FOLDER = "in"
_UNSAFE = re.compile(r"[^\w.+=@,-]+|^[.-]+")


def mentions(text: str) -> list[tuple[str, bool]]:
    """The inputs that a text mentions, and whether only as a condition."""
    return [(port, mark == "?") for port, mark in MENTION.findall(text)]


def render(template: Command, inputs: Mapping[str, Any], ports: Sequence[Port] = ()) -> Command:
    """The command for these plain inputs.

    With ``ports`` an input that is not given has its default; else it holds nothing.

    Raises:
        BadDefinition: The template mentions an input that the function does not have.
        BadValue: A file's name or place collides with another's.
    """
    named = {port for text in texts_in(msgspec.to_builtins(template)) for port, _ in mentions(text)}
    placed_ports = {file.port for file in template.files if file.port is not None}
    if ports:
        _check_known(named | placed_ports, {port.name for port in ports})
    defaults = {port.name: port.default for port in ports}
    given = {name: value for name, value in inputs.items() if value is not None}
    values = {**dict.fromkeys(named | placed_ports), **defaults, **given}
    placed, paths = _place(template.files, values)
    named |= set(template.from_inputs.values())
    fill = _Filler(values, paths)
    filled = fill.anything(msgspec.to_builtins(msgspec.structs.replace(template, files=())))
    filled["lines"] = [fill.line(line) for line in template.lines]
    filled["files"] = [fill.placed(file) for file in placed]
    _follow(filled, template.from_inputs, values)
    try:
        return msgspec.convert(filled, Command)
    except msgspec.ValidationError as error:
        raise BadDefinition(f"the command that follows from the inputs is none: {error}") from None


def _follow(filled: dict[str, Any], places: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Put the numbers that follow from inputs where they belong."""
    filled.pop("from_inputs", None)
    for place, port in places.items():
        if place not in FOLLOWING:
            raise BadDefinition(f"{place} cannot follow from an input, only {', '.join(FOLLOWING)}")
        section, _, key = place.rpartition(".")
        if values[port] is not None:
            (filled.setdefault(section, {}) if section else filled)[key] = values[port]


def safe_name(name: str) -> str:
    """A file's name as it may stand in a work folder and in a command line."""
    last = re.split(r"[/\\]", name)[-1]
    return _UNSAFE.sub("_", last) or "file"


def _place(
    files: Sequence[Placed], values: Mapping[str, Any]
) -> tuple[list[Placed], dict[str, list[str]]]:
    """The files with those that inputs hold, and where the files of each input lie."""
    placed: list[Placed] = [file for file in files if file.port is None]
    taken = {file.path for file in placed}
    paths: dict[str, list[str]] = {}
    for file in files:
        if file.port is None:
            continue
        held = values[file.port]
        paths[file.port] = []
        for index, each in enumerate(held if isinstance(held, list) else [held]):
            if not is_file(each):
                continue
            wanted = file.path.replace("{index}", str(index))
            path = _free(wanted.replace("{name}", safe_name(each["name"])), taken, file)
            paths[file.port].append(path)
            placed.append(Placed(path, file=dict(each)))
    return placed, paths


def _free(path: str, taken: set[str], file: Placed) -> str:
    """``path``, numbered if another file is there and its name may be chosen."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.partition(".")
    number = 1
    while path in taken:
        if "{name}" not in file.path:
            raise BadValue(f"two files are to be placed at {path}: write {{index}} in its path")
        number += 1
        path = f"{folder}{slash}{stem}_{number}{dot}{suffix}"
    taken.add(path)
    return path


def _check_known(named: set[str], known: set[str]) -> None:
    for port in sorted(named - known):
        raise BadDefinition(
            f"{{in.{port}}}: there is no such input; there are: {', '.join(sorted(known))}"
        )


def texts_in(value: Any) -> Iterator[str]:
    """Every text inside of a plain value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


class _Filler:
    """Fills texts."""

    def __init__(self, values: Mapping[str, Any], paths: Mapping[str, list[str]]) -> None:
        self._values = values
        self._paths = paths

    def line(self, line: Line) -> Line:
        argv = tuple(filled for argument in line.argv for filled in self._argument(argument))
        return Line(
            argv,
            when=line.when,
            stdin=self.text(line.stdin),
            stdin_file=None if line.stdin_file is None else self.text(line.stdin_file),
            stdout=None if line.stdout is None else self.text(line.stdout),
            ok=line.ok,
            mpi=line.mpi,
        )

    def _argument(self, argument: str) -> list[str]:
        left_out = [
            self._values[port] is None or (condition and self._values[port] is False)
            for port, condition in mentions(argument)
        ]
        if any(left_out):
            return []
        starred = next((name for name, mark in MENTION.findall(argument) if mark == "*"), None)
        if starred is not None:
            return self._repeated(argument, starred)
        bare = MENTION.sub(lambda found: "" if found[2] else found[0], argument)
        alone = MENTION.fullmatch(bare)
        if alone and isinstance(self._values[alone[1]], list):
            return self._elements(alone[1])
        return [self.text(bare)]

    def _repeated(self, argument: str, port: str) -> list[str]:
        parts = argument.split(TOGETHER)
        return [self.text(part, element) for element in self._elements(port) for part in parts]

    def placed(self, file: Placed) -> Placed:
        if file.text is None or file.fill == "nothing":
            return Placed(file.path, file.file, file.text)
        if file.fill == "inputs":
            shown = {port: self._pathed(port, value) for port, value in self._values.items()}
            return Placed(file.path, text=msgspec.json.encode(shown).decode())
        return Placed(file.path, text=self.text(file.text))

    def _pathed(self, port: str, value: Any) -> Any:
        """A value with its files as paths."""
        paths = self._paths.get(port)
        if not paths:
            return value
        return list(paths) if isinstance(value, list) else paths[0]

    def text(self, text: str, element: str = "") -> str:
        def shown(found: re.Match[str]) -> str:
            if found[2]:
                return element if found[2] == "*" else ""
            return self._shown(found[1])

        return MENTION.sub(shown, text)

    def anything(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.anything(name): self.anything(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.anything(inner) for inner in value]
        return value

    def _shown(self, port: str) -> str:
        value = self._values[port]
        if isinstance(value, list):
            return " ".join(self._elements(port))
        return self._paths[port][0] if self._paths.get(port) else _word(value)

    def _elements(self, port: str) -> list[str]:
        return self._paths.get(port) or [_word(value) for value in self._values[port]]


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
