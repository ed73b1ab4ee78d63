"""Which programs a worker has: found on this machine, or configured by its administrator."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import BadSettings
from copernicus.model.resources import ProgramOffer

GROUP = "copernicus.modules"
_ASK_S = 30.0
_GROMACS = r"GROMACS version:\s*v?(\d+(?:\.\d+)*)"


class Program(msgspec.Struct, frozen=True):
    """Something this worker can run: the command that ``{program}`` stands for."""

    name: str
    version: str
    command: tuple[str, ...]

    @property
    def offer(self) -> ProgramOffer:
        """How it is offered to the server."""
        return ProgramOffer(self.name, self.version)


def find_programs(file: Path | None) -> dict[str, Program]:
    """All programs by name; what the file names wins over what is found.

    Raises:
        BadSettings: The file is broken, or a program in it does not tell its version.
    """
    found = {program.name: program for program in _detected()}
    configured = read_programs(file) if file else {}
    if "gromacs" not in configured:
        gromacs = find_gromacs()
        if gromacs:
            found["gromacs"] = gromacs
    return found | configured


def find_gromacs() -> Program | None:
    """GROMACS, if one is in PATH."""
    for name in ("gmx", "gmx_mpi"):
        path = shutil.which(name)
        if path is None:
            continue
        version = _ask_version([path, "--version"], _GROMACS)
        if version:
            # Builds with MPI refuse an option that the others need.
            adapter = (sys.executable, "-P", "-m", "copernicus.modules.gromacs.mpi")
            command = (path,) if name == "gmx" else (*adapter, path)
            return Program("gromacs", version, command)
    return None


def _detected() -> list[Program]:
    found = [Program("python", platform.python_version(), (sys.executable,))]
    if importlib.util.find_spec("openmm"):
        # -P: a file of the job must not pass for a module.
        command = (sys.executable, "-P", "-m", "copernicus.modules.openmm.runner")
        found.append(Program("openmm", metadata.version("openmm"), command))
    for point in metadata.entry_points(group=GROUP):
        version = point.dist.version if point.dist else ""
        found.append(Program(f"module/{point.name}", version, (sys.executable,)))
    return found


def read_programs(file: Path) -> dict[str, Program]:
    """The programs of a TOML file: ``[programs.NAME]`` with ``command`` and ``version``.

    Raises:
        BadSettings: The file is broken; the message names the line or the key.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"Cannot read the programs file {file}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} is not valid TOML: {error}") from None
    unknown = sorted(set(content) - {"programs"})
    table = content.get("programs")
    if unknown or not isinstance(table, dict):
        raise BadSettings(
            f"{file}: {', '.join(unknown) or 'programs'}: write a table [programs.NAME] for each "
            "program, and nothing else"
        )
    return {name: _program(file, name, entry) for name, entry in table.items()}


def _program(file: Path, name: str, entry: Any) -> Program:
    where = f"{file}: programs.{name}"
    if not isinstance(entry, Mapping):
        raise BadSettings(f"{where} must be a table with the keys command and version")
    unknown = sorted(set(entry) - {"command", "version"})
    if unknown:
        raise BadSettings(f"{where}.{unknown[0]}: there is no such key, only command and version")
    command = _texts(entry.get("command"), f"{where}.command")
    path = shutil.which(command[0])
    if path is None:
        raise BadSettings(f"{where}.command: there is no executable {command[0]!r}")
    path = os.path.abspath(path)  # noqa: PTH100 - resolving links would change what a name does
    return Program(name, _version(entry.get("version", ""), where, path), (path, *command[1:]))


def _version(given: Any, where: str, path: str) -> str:
    if isinstance(given, str):
        return given
    where += ".version"
    if not isinstance(given, Mapping) or set(given) != {"argv", "regex"}:
        raise BadSettings(f'{where} must be a text, or {{argv=["...", "--version"], regex="..."}}')
    argv = [path if a == "{program}" else a for a in _texts(given["argv"], f"{where}.argv")]
    try:
        found = _ask_version(argv, str(given["regex"]))
    except re.error as error:
        raise BadSettings(f"{where}.regex: {error}") from None
    if found is None:
        raise BadSettings(f"{where}: {' '.join(argv)} printed nothing that fits the regex")
    return found


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise BadSettings(f'{where} must be a list of texts such as ["/opt/x/bin/x"]')
    return list(value)


def _ask_version(argv: list[str], regex: str) -> str | None:
    """The first group of ``regex`` in what a program prints (all of the match without one)."""
    expression = re.compile(regex)
    try:
        asked = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = expression.search(asked.stdout) or expression.search(asked.stderr)
    if found is None:
        return None
    return found.group(1) if expression.groups else found.group()
