"""What a program needs around it: environment modules and conda environments, as variables.

A shell does what it does for a person (``module load``, conda's activation scripts), once, at the
start of the worker; what this changes in the environment is kept and given to the program. So
jobs start no shell, and a module that does not load is known before any work is taken.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path

import msgspec

from copernicus.errors import BadSettings

_SHELL_S = 60.0
_SAID = 300
_INITS = (
    "{MODULESHOME}/init/bash",
    "{LMOD_PKG}/init/bash",
    "/etc/profile.d/modules.sh",
    "/etc/profile.d/lmod.sh",
    "/etc/profile.d/z00_lmod.sh",
    "/usr/share/modules/init/bash",
    "/usr/share/lmod/lmod/init/bash",
    "/opt/cray/pe/modules/default/init/bash",
)
_SHELLS_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES"})


class Surroundings(msgspec.Struct, frozen=True):
    """What an entry of a programs file asks for. ``init`` defines ``module`` in a shell."""

    modules: tuple[str, ...] = ()
    conda: str = ""
    environment: dict[str, str] = {}
    init: str = ""

    def __str__(self) -> str:
        parts = [f"module {name}" for name in self.modules]
        return ", ".join([*parts, f"conda {self.conda}"] if self.conda else parts)


def variables_of(wanted: Surroundings) -> dict[str, str]:
    """The variables by which these surroundings differ from the worker's own.

    Raises:
        BadSettings: A module does not load, or the conda environment is none; says why.
    """
    lines = _load_modules(wanted) if wanted.modules else []
    if wanted.conda:
        lines += _activate(Path(wanted.conda).expanduser())
    found = _changed(_shell(lines, wanted)) if lines else {}
    _check_loaded(wanted.modules, found)
    return found | wanted.environment


def _load_modules(wanted: Surroundings) -> list[str]:
    places = [wanted.init] if wanted.init else _inits()
    return [
        # A package that was removed leaves files behind: the first that works counts.
        f"for init in {shlex.join(places)}; do",
        '  . "$init" >&2; type module >/dev/null 2>&1 && break',
        "done",
        *(f"module load {shlex.quote(name)} >&2 || exit 4" for name in wanted.modules),
    ]


def _inits() -> list[str]:
    known = {name: os.environ.get(name, "/nowhere") for name in ("MODULESHOME", "LMOD_PKG")}
    found = [path for path in (p.format_map(known) for p in _INITS) if Path(path).is_file()]
    if not found:
        raise BadSettings(
            "there are no environment modules here: write module_init = '/.../init/bash', the "
            "file that a shell reads to have the command module"
        )
    return found


def _activate(prefix: Path) -> list[str]:
    """What ``conda activate`` does: PATH, its variables, those set in it, its scripts."""
    if not (prefix / "conda-meta").is_dir():
        raise BadSettings(f"{prefix} is no conda environment: it has no folder conda-meta")
    here = shlex.quote(str(prefix))
    own = {**_state_of(prefix), "CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": prefix.name}
    return [
        f'export PATH={here}/bin:"$PATH" CONDA_SHLVL=1',
        *(f"export {name}={shlex.quote(value)}" for name, value in own.items()),
        *(f". {shlex.quote(path)} >&2" for path in sorted(glob(_scripts(prefix)))),  # noqa: PTH207
    ]


def _scripts(prefix: Path) -> str:
    return f"{prefix}/etc/conda/activate.d/*.sh"


def _state_of(prefix: Path) -> dict[str, str]:
    """The variables of ``conda env config vars set``."""
    file = prefix / "conda-meta" / "state"
    if not file.is_file():
        return {}
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, str]])
    except msgspec.DecodeError as error:
        raise BadSettings(f"{file} is not what conda writes: {error}") from None
    return {name: value for name, value in found.get("env_vars", {}).items() if name.isidentifier()}


def _shell(lines: Sequence[str], wanted: Surroundings) -> dict[str, str]:
    """The environment after these lines of a shell that reads no other file."""
    argv = ["bash", "--noprofile", "--norc", "-c", "\n".join([*lines, "exec /usr/bin/env -0"])]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SHELL_S, check=False
        )
    except FileNotFoundError:
        raise BadSettings(f"{wanted}: this needs bash, and there is none") from None
    except subprocess.TimeoutExpired:
        raise BadSettings(f"{wanted}: it took longer than {_SHELL_S:.0f} s") from None
    if done.returncode:
        raise BadSettings(f"{wanted}: {_said(done.stderr) or f'exit code {done.returncode}'}")
    pairs = (line.partition("=") for line in os.fsdecode(done.stdout).split("\0") if line)
    return {name: value for name, _, value in pairs}


def _said(output: bytes) -> str:
    return " ".join(output.decode("utf-8", "replace").split())[-_SAID:]


def _changed(found: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in found.items()
        if os.environ.get(name) != value and name not in _SHELLS_OWN and name.isidentifier()
    }


def _check_loaded(modules: Sequence[str], found: Mapping[str, str]) -> None:
    # Old versions say that they know no such module, and end with 0.
    listed = found.get("LOADEDMODULES", os.environ.get("LOADEDMODULES", ""))
    loaded = listed.split(":")
    for name in modules:
        if not any(each == name or each.startswith(f"{name}/") for each in loaded):
            raise BadSettings(f"module load {name} did not load it; loaded: {listed or 'nothing'}")
