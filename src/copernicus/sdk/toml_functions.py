"""Program functions described in TOML: data, without any code.

```toml
name = "rot13.convert"
program = "rot13"                    # or {name = "gromacs", versions = ">=2020"}
doc = "Turn a text around."

[inputs.text]
type = "File"                        # bool int float str File Any list[T] dict[str, T] T | None
[inputs.count]
type = "int"
default = 1                          # an input without a default must be set
[inputs.only]
type = "str | None"                  # may be left empty

timeout_s = 3600.0                   # an attempt that takes longer fails

[[run]]                              # one command line; several run one after the other
argv = ["{program}", "-n", "{in.count}", ["--only", "{in.only}"], "{in.text}"]
stdin_file = "{in.text}"             # or stdin = "a text"
stdout = "out.txt"

[outputs.result]
file = "out.txt"                     # files= json= text= number= regex= exit_code=
```

A file that is mentioned lies in the work folder under ``in/`` by its name, or where the input's
``path`` says; its mention becomes that path. A list alone becomes several arguments. A group in
brackets is left out when an input that it mentions holds nothing. ``script = "x.py"`` takes the
place of ``program`` and ``run`` (``toml_scripts``). Limits may be those of inputs: ``at_least =
"{in.steps}"`` (``toml_numbers``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import BadDefinition, NotFound, UserError
from copernicus.model.functions import FunctionSpec, Port, check_spec
from copernicus.model.jobs import Checkpoint, Command, Done, Line, Output, Placed, Progress
from copernicus.model.resources import ProgramNeed, Resources, specifiers
from copernicus.model.retries import RetryPolicy
from copernicus.model.templates import FOLDER, MENTION, TOGETHER, mentions, texts_in
from copernicus.model.toml_text import read_toml
from copernicus.model.types import FileType, ListType, strip_optional
from copernicus.model.values import digest
from copernicus.sdk.commands import check_command
from copernicus.sdk.toml_numbers import check_numbers, take_numbers
from copernicus.sdk.toml_ports import port_type_of, read_input, read_output
from copernicus.sdk.toml_scripts import described_in, expand_script, is_script, read_beside
from copernicus.sdk.toml_series import read_series
from copernicus.sdk.toml_tables import (
    demand,
    flag,
    known_keys,
    nearest,
    patterns,
    struct,
    tables,
    text,
)

_TOP = (
    *("name", "program", "doc", "inputs", "outputs", "run", "files", "checkpoint", "progress"),
    *(
        "series",
        "done_when",
        "environment",
        "resources",
        "retry",
        "cache",
        "timeout_s",
        "stochastic",
        "script",
        "args",
    ),
)
_NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*\Z")
_VERSION_LENGTH = 12


def read_function_file(path: Path) -> FunctionSpec:
    """The function that a file describes: TOML, or a script with its description in it.

    Raises:
        NotFound: There is no such file.
        BadDefinition: It cannot be read, or describes no function; the message says where.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadDefinition(f"Cannot read {path}: {error}") from error
    if is_script(path):
        block = described_in(source, str(path))
        return _from(block, str(path), path.parent, {"script": path.name})
    return _from(source, str(path), path.parent, {})


def read_function(source: str, where: str) -> FunctionSpec:
    """The program function that a TOML text describes; its version follows from its meaning.

    Args:
        source: The TOML text.
        where: What it is called in errors: a file's name.

    Raises:
        BadDefinition: The text is no TOML, or describes no function; the message says where.
    """
    return _from(source, where, None, {})


def _from(source: str, where: str, folder: Path | None, more: Mapping[str, Any]) -> FunctionSpec:
    try:
        return _read({**read_toml(source), **more}, folder)
    except tomllib.TOMLDecodeError as error:
        raise BadDefinition(f"{where}: {error}") from None
    except UserError as error:
        raise BadDefinition(f"{where}: {error.message}") from None


def _read(table: dict[str, Any], folder: Path | None) -> FunctionSpec:
    known_keys(table, _TOP, "the function")
    files: list[Placed] = []
    if "script" in table:
        table, files = expand_script(table, folder)
    elif "args" in table:
        raise BadDefinition("args are those of a script: other programs have [[run]] with argv")
    table, numbers = take_numbers(table)
    demand(table, ("name", "program", "run"), "the function")
    name = text(table, "name", "the function")
    if not _NAME.match(name):
        raise BadDefinition(f"name {name!r} must be two words with a dot, as in 'rot13.convert'")
    inputs = tables(table, "inputs", read_input)
    outputs = tables(table, "outputs", read_output)
    files += _written(table, folder)
    template = _command(table, [output for _, output in outputs.values()], files, numbers)
    spec = FunctionSpec(
        name=name,
        version="",
        kind="program",
        inputs=tuple(inputs.values()),
        outputs=tuple(port for port, _ in outputs.values()),
        doc=text(table, "doc", "the function"),
        program=_program(table["program"]),
        template=template,
        resources=struct(Resources, table.get("resources", {}), "resources"),
        retry=struct(RetryPolicy, table.get("retry", {}), "retry"),
        cache=flag(table, "cache", "the function"),
        stochastic=flag(table, "stochastic", "the function"),
    )
    _check_mentions(spec)
    check_numbers(numbers, {port.name: port for port in spec.inputs})
    assert spec.template is not None
    check_command(spec, msgspec.structs.replace(spec.template, files=_fixed(spec.template)))
    return check_spec(msgspec.structs.replace(spec, version=_version(spec)))


def _fixed(template: Command) -> tuple[Placed, ...]:
    """The files whose places are known before there are inputs."""
    return tuple(file for file in template.files if "{" not in file.path)


def _version(spec: FunctionSpec) -> str:
    """The same for texts that mean the same: documentation, comments and order do not count."""
    ports = tuple(msgspec.structs.replace(p, doc="") for p in (*spec.inputs, *spec.outputs))
    bare = msgspec.structs.replace(
        spec, doc="", inputs=ports[: len(spec.inputs)], outputs=ports[len(spec.inputs) :]
    )
    return digest(msgspec.to_builtins(bare))[:_VERSION_LENGTH]


# --- parts ---------------------------------------------------------------------------------------


def _program(value: Any) -> ProgramNeed:
    if isinstance(value, str) and value:
        return ProgramNeed(value)
    if isinstance(value, dict):
        need = struct(ProgramNeed, value, "program")
        specifiers(need.versions)
        return need
    raise BadDefinition("program must be a name, or {name = ..., versions = '>=2020'}")


def _command(
    table: dict[str, Any],
    outputs: Sequence[Output],
    files: Sequence[Placed],
    numbers: Mapping[str, str],
) -> Command:
    runs = table["run"]
    if not isinstance(runs, list) or not runs:
        raise BadDefinition("write every command line as a table [[run]] with argv")
    lines = tuple(_line(run, f"run {number}") for number, run in enumerate(runs, 1))
    optional: dict[str, Any] = {
        name: struct(cls, patterns(table[name]), name)
        for name, cls in (("checkpoint", Checkpoint), ("progress", Progress))
        if name in table
    }
    if "series" in table:
        optional["series"] = read_series(table["series"])
    if any(place.startswith("resources.") for place in numbers):
        optional["resources"] = struct(Resources, table.get("resources", {}), "resources")
    command = Command(
        lines=lines,
        outputs=tuple(outputs),
        files=tuple(files),
        done_when=struct(Done, patterns(table.get("done_when", {})), "done_when"),
        environment=_environment(table.get("environment", {})),
        timeout_s=_seconds(table.get("timeout_s")),
        from_inputs=dict(numbers),
        **optional,
    )
    mentioned = {port for words in _texts(command) for port, _ in mentions(words)}
    if any(file.fill == "inputs" for file in files):
        mentioned.update(table.get("inputs", {}))
    return msgspec.structs.replace(
        command, files=(*command.files, *_placed(table.get("inputs", {}), mentioned))
    )


def _environment(table: Any) -> dict[str, str]:
    try:
        return msgspec.convert(table, dict[str, str])
    except msgspec.ValidationError as error:
        raise BadDefinition(f"environment: {error}") from None


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise BadDefinition(f"timeout_s is {value!r}: write a number of seconds, or '{{in.NAME}}'")
    return float(value)


class _Written(msgspec.Struct):
    """A text that is written into the work folder, or where it lies."""

    path: str
    text: str | None = None
    source: str | None = None


def _written(table: Mapping[str, Any], folder: Path | None) -> list[Placed]:
    found = []
    for each in table.get("files", []):
        file = struct(_Written, each, "files")
        if (file.text is None) == (file.source is None):
            raise BadDefinition(f"files: {file.path!r} needs either text or source, a file's name")
        text = file.text if file.source is None else read_beside(file.source, folder)
        found.append(Placed(file.path, text=text))
    return found


def _texts(command: Command) -> Iterator[str]:
    """The texts in which inputs may be mentioned."""
    files = tuple(file for file in command.files if file.fill == "mentions")
    return texts_in(msgspec.to_builtins(msgspec.structs.replace(command, files=files)))


def _placed(inputs: Mapping[str, Any], mentioned: set[str]) -> list[Placed]:
    """Where the files of inputs lie."""
    placed = []
    for name, table in inputs.items():
        path = text(table, "path", f"inputs.{name}")
        item = strip_optional(port_type_of(table, f"inputs.{name}"))
        many = isinstance(item, ListType)
        if isinstance(item, ListType):
            item = strip_optional(item.item)
        if not isinstance(item, FileType):
            if path:
                raise BadDefinition(f"inputs.{name}: only files have a path")
            continue
        if not path and name not in mentioned:
            raise BadDefinition(
                f"inputs.{name} is used nowhere: mention it as {{in.{name}}} or give it a path"
            )
        if path and many and "{index}" not in path and "{name}" not in path:
            raise BadDefinition(f"inputs.{name}: write {{index}} or {{name}} in its path")
        placed.append(Placed(path or f"{FOLDER}/{{name}}", port=name))
    return placed


def _line(table: Any, where: str) -> Line:
    if not isinstance(table, dict) or not isinstance(table.get("argv"), list):
        raise BadDefinition(f"{where}: write argv = ['{{program}}', ...]")
    if table["argv"][:1] != ["{program}"]:
        raise BadDefinition(
            f"{where}: argv must begin with '{{program}}', not {table['argv'][:1]}: the worker "
            "puts its own command for the program there"
        )
    argv = [argument for part in table["argv"] for argument in _arguments(part, where)]
    return struct(Line, {**table, "argv": argv}, where)


def _arguments(part: Any, where: str) -> list[str]:
    """An argument; or a group, every part of which depends on all inputs that it mentions."""
    if isinstance(part, list):
        parts = [_argument(inner, where) for inner in part]
        ports = dict.fromkeys(port for each in parts for port, _ in mentions(each))
        if not ports:
            raise BadDefinition(f"{where}: the group {part} mentions no input")
        if any("*}" in each for each in parts):
            return [TOGETHER.join(parts)]
        condition = "".join(f"{{in.{port}?}}" for port in ports)
        return [f"{condition}{each}" for each in parts]
    return [_argument(part, where)]


def _argument(part: Any, where: str) -> str:
    if isinstance(part, bool) or not isinstance(part, str | int | float):
        raise BadDefinition(f"{where}: {part!r} in argv must be a text or a number")
    return str(part)


# --- checks --------------------------------------------------------------------------------------


def _check_mentions(spec: FunctionSpec) -> None:
    """Every mention is of an input, and in a form that can be filled in."""
    ports = {port.name: port for port in spec.inputs}
    assert spec.template is not None
    for words in _texts(spec.template):
        for port, _ in mentions(words):
            if port not in ports:
                raise BadDefinition(f"{words!r}: there is no input {port!r}{nearest(port, ports)}")
        rest = MENTION.sub("", words)
        if "{in." in rest or "{in}" in rest:
            raise BadDefinition(f"{words!r}: write {{in.NAME}} with the name of an input")
        bare = next((name for name in ports if f"{{{name}}}" in rest and name != "index"), None)
        if bare and bare not in ("name", "program", "cores", "gpus", "job", "part"):
            raise BadDefinition(f"{words!r}: to mention the input {bare}, write {{in.{bare}}}")
    for line in spec.template.lines:
        for argument in line.argv:
            _check_starred(argument, ports)
            _check_list(argument, ports)


def _check_starred(argument: str, ports: Mapping[str, Port]) -> None:
    starred = {name for name, mark in MENTION.findall(argument) if mark == "*"}
    if len(starred) > 1:
        raise BadDefinition(f"{argument!r}: only one list can be gone through at a time")
    for name in starred:
        if not isinstance(strip_optional(ports[name].type), ListType):
            raise BadDefinition(f"{argument!r}: the input {name} is no list: write {{in.{name}}}")


def _check_list(argument: str, ports: Mapping[str, Port]) -> None:
    bare = MENTION.sub(lambda found: "" if found[2] else found[0], argument)
    for port, _ in mentions(bare):
        is_list = isinstance(strip_optional(ports[port].type), ListType)
        if is_list and not MENTION.fullmatch(bare):
            raise BadDefinition(
                f"{bare!r}: the list {port} must stand alone; it becomes several arguments "
                f"(or write {{in.{port}*}}: the whole argument is repeated)"
            )
