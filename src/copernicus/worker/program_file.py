r"""The programs file of a worker: the only place from which commands come that were not found.

```toml
allow_scripts = true                 # run scripts that jobs bring (python, sh); default: false
module_init = "/opt/lmod/init/bash"  # only where the command module is not found by itself

[programs.mysim]
command = ["mysim", "--quiet"]
version = {argv = ["{program}", "--version"], regex = 'mysim (\S+)'}

[[programs.gromacs]]                 # several: all that work are offered, the first is preferred
modules = ["gromacs/2024"]
[[programs.gromacs]]
conda = "/opt/conda/envs/md"
optional = true

[programs.solver]
command = ["/opt/solver/bin/solver"]
launcher = ["mpirun", "-np", "{ranks}", "--bind-to", "none"]   # also for jobs with MPI
```
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import BadSettings
from copernicus.executors.through_parsl.nodes import PREFIX
from copernicus.model.toml_text import read_toml
from copernicus.worker.environments import Surroundings, variables_of
from copernicus.worker.programs import KNOWN, Program, Programs, Refusal, ask_version, complete

_TOP = ("programs", "allow_scripts", "module_init")


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a program is asked for its version."""

    argv: tuple[str, ...]
    regex: str


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""

    command: tuple[str, ...] = ()
    version: str | _Asked = ""
    modules: tuple[str, ...] = ()
    conda: str = ""
    environment: dict[str, str] = {}
    optional: bool = False
    launcher: tuple[str, ...] = ()


class ProgramFile(msgspec.Struct, frozen=True):
    """What a programs file says, tried out."""

    programs: Programs = Programs()
    allow_scripts: bool = False


def read_programs(file: Path) -> ProgramFile:
    """Read a programs file, and try every program of it.

    Raises:
        BadSettings: The file is broken; the message names the line or the key.
    """
    content = _read(file)
    for key in content:
        if key not in _TOP:
            raise BadSettings(f"{file}: there is no {key!r}; it may have: {', '.join(_TOP)}")
    programs, init = content.get("programs", {}), content.get("module_init", "")
    allow = content.get("allow_scripts", False)
    if not isinstance(programs, dict):
        raise BadSettings(f"{file}: programs: write a table [programs.NAME] for each program")
    if not isinstance(allow, bool) or not isinstance(init, str):
        raise BadSettings(f"{file}: allow_scripts is true or false, module_init the name of a file")
    found = Programs()
    for name, tables in programs.items():
        for where, entry in _entries(file, name, tables):
            found = _with(found, _tried(name, where, entry, init, file.absolute().parent))
    return ProgramFile(found, allow)


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_toml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"Cannot read the programs file {file}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} is not valid TOML: {error}") from None


def _entries(file: Path, name: str, tables: Any) -> list[tuple[str, _Entry]]:
    where = f"{file}: programs.{name}"
    if isinstance(tables, list):
        return [(f"{where}[{i}]", _entry(f"{where}[{i}]", name, t)) for i, t in enumerate(tables)]
    return [(where, _entry(where, name, tables))]


def _entry(where: str, name: str, table: Any) -> _Entry:
    if not isinstance(table, dict):
        raise BadSettings(f"{where} must be a table with the keys command and version")
    for key in table:
        if key not in _Entry.__struct_fields__:
            raise BadSettings(
                f"{where}.{key}: there is no such key, only {', '.join(_Entry.__struct_fields__)}"
            )
    try:
        entry = msgspec.convert(table, _Entry)
    except msgspec.ValidationError as error:
        key = re.search(r"`\$\.(\w+)", str(error))
        raise BadSettings(
            f"{where}{f'.{key[1]}' if key else ''}: {error}; write for example "
            'command = ["/opt/x/bin/x"], version = {argv = ["{program}", "-V"], regex = "(.+)"}'
        ) from None
    if not entry.command and name not in KNOWN:
        raise BadSettings(f'{where}.command must be a list of texts such as ["/opt/x/bin/x"]')
    if isinstance(entry.version, _Asked):
        try:
            re.compile(entry.version.regex)
        except re.error as error:
            raise BadSettings(f"{where}.version.regex: {error}") from None
    return entry


def _tried(name: str, where: str, entry: _Entry, init: str, folder: Path) -> Program | Refusal:
    around = Surroundings(entry.modules, entry.conda, entry.environment, init)
    shown = f"{where} ({around})" if str(around) else where
    try:
        return _program(name, shown, entry, around, folder)
    except BadSettings as error:
        return Refusal(name, shown, error.message, wanted=not entry.optional)


def _program(name: str, shown: str, entry: _Entry, around: Surroundings, folder: Path) -> Program:
    variables = variables_of(around)
    command = _command(name, entry, variables, folder)
    known, asked = KNOWN.get(name), entry.version
    if asked == "" and known:
        asked = _Asked(known.version_argv, known.version_regex)
    if isinstance(asked, _Asked):
        asked = ask_version(command, asked.argv, asked.regex, variables)
    return Program(name, asked, command, variables, shown, _launcher(entry, variables))


def _launcher(entry: _Entry, variables: dict[str, str]) -> tuple[str, ...]:
    """The launcher with its executable's full path; the one of Parsl is known on its nodes only.

    Raises:
        BadSettings: It is not there, or says nowhere how many ranks to start.
    """
    if not entry.launcher:
        return ()
    if entry.launcher[0] == PREFIX:
        return tuple(entry.launcher)
    if not any("{ranks}" in word for word in entry.launcher):
        raise BadSettings(
            f"launcher {' '.join(entry.launcher)} names no {{ranks}}: write for example "
            'launcher = ["mpirun", "-np", "{ranks}"]'
        )
    return complete(entry.launcher, variables)


def _command(name: str, entry: _Entry, variables: dict[str, str], folder: Path) -> tuple[str, ...]:
    if entry.command:
        return complete(entry.command, variables, folder)
    problems = []
    for words in KNOWN[name].commands:
        try:
            return complete(words, variables)
        except BadSettings as error:
            problems.append(error.message)
    raise BadSettings(", and ".join(problems))


def _with(programs: Programs, tried: Program | Refusal) -> Programs:
    if isinstance(tried, Refusal):
        return Programs(programs.offered, (*programs.refused, tried))
    same = next((p for p in programs.offered if p.offer == tried.offer), None)
    if same is None:
        return Programs((*programs.offered, tried), programs.refused)
    reason = f"this version is offered already, by {same.source}"
    refusal = Refusal(tried.name, tried.source, reason, wanted=False)
    return Programs(programs.offered, (*programs.refused, refusal))
