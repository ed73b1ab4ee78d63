"""Which programs a worker has: found on this machine, or configured by its administrator."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msgspec

from copernicus.errors import BadSettings
from copernicus.executors.through_parsl.nodes import PREFIX
from copernicus.model.resources import (
    SCRIPT_PROGRAMS,
    Platform,
    ProgramNeed,
    ProgramOffer,
    offers_program,
)

GROUP = "copernicus.modules"
FOLDER = "{folder}"
_ASK_S = 30.0
FOUND = "found on this machine"
CONSENT = (
    "start the worker with --allow-scripts, or write allow_scripts = true in its programs file"
)


class Program(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something this worker can run: the command that ``{program}`` stands for.

    ``{folder}`` in the command is the job's folder. ``environment`` is what the program needs
    beyond the worker's own variables; ``source`` says who made it known. ``launcher`` starts it
    with MPI: ``mpirun -np {ranks}``.
    """

    name: str
    version: str
    command: tuple[str, ...]
    environment: dict[str, str] = {}
    source: str = FOUND
    launcher: tuple[str, ...] = ()

    @property
    def offer(self) -> ProgramOffer:
        """How it is offered to the server."""
        return ProgramOffer(self.name, self.version, ("smp", "mpi") if self.launcher else ("smp",))

    def command_in(self, folder: Path) -> tuple[str, ...]:
        """The command for a job in this folder."""
        return tuple(part.replace(FOLDER, str(folder)) for part in self.command)


class Refusal(msgspec.Struct, frozen=True):
    """A program that is not offered, and why. ``wanted``: its administrator asked for it."""

    name: str
    source: str
    reason: str
    wanted: bool = True


class Programs(msgspec.Struct, frozen=True):
    """What a worker offers, the preferred version of a program first, and what it refuses."""

    offered: tuple[Program, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def offers(self) -> tuple[ProgramOffer, ...]:
        """What the server is told."""
        return tuple(program.offer for program in self.offered)

    def find(self, need: ProgramNeed, platform: Platform = "smp") -> Program | None:
        """The program that a job needs, if it is offered."""
        return next(
            (
                program
                for program in self.offered
                if platform in program.offer.platforms and offers_program(need, program.offer)
            ),
            None,
        )

    def check(self, *, prefixes: bool = False) -> None:
        """See that every program that the administrator asked for is offered in some version.

        ``prefixes``: a launcher may be the one that Parsl gives.

        Raises:
            BadSettings: One is not, or its launcher is none here; says which and why.
        """
        for program in self.offered:
            if PREFIX in program.launcher[:1] and not prefixes:
                raise BadSettings(
                    f"{program.source}: only a worker with --parsl and an MPIExecutor has the "
                    f"launcher {PREFIX}. Write one that starts ranks on this machine: "
                    'launcher = ["mpirun", "-np", "{ranks}"]'
                )
        names = {offer.name for offer in self.offers}
        for refusal in self.refused:
            if refusal.wanted and refusal.name not in names:
                raise BadSettings(
                    f"{refusal.source}: {refusal.reason}. Mend it, or write optional = true there"
                )


def find_programs(file: Path | None, *, allow_scripts: bool = False) -> Programs:
    """All programs; what the file names wins over what is found.

    Raises:
        BadSettings: The file is broken; the message names the line or the key.
    """
    from copernicus.worker.program_file import read_programs

    configured = read_programs(file) if file else None
    own = configured.programs if configured else Programs()
    named = {p.name for p in own.offered} | {p.name for p in own.refused}
    allow_scripts = allow_scripts or bool(configured and configured.allow_scripts)
    found = [p for p in _detected() if p.name not in named]
    refused = [
        Refusal(p.name, p.source, f"it runs whatever a job brings: {CONSENT}", wanted=False)
        for p in found
        if p.name in SCRIPT_PROGRAMS and not allow_scripts
    ]
    kept = [p for p in found if allow_scripts or p.name not in SCRIPT_PROGRAMS]
    return Programs((*own.offered, *kept), (*own.refused, *refused))


def _detected() -> list[Program]:
    found = []
    gromacs = find_gromacs()
    if gromacs:
        found.append(gromacs)
    if importlib.util.find_spec("openmm"):
        # -P: a file of the job must not pass for a module.
        command = (sys.executable, "-P", "-m", "copernicus.modules.openmm.runner")
        found.append(Program("openmm", metadata.version("openmm"), command))
    for point in metadata.entry_points(group=GROUP):
        version = point.dist.version if point.dist else ""
        found.append(Program(f"module/{point.name}", version, (sys.executable,)))
    found.append(Program("python", platform.python_version(), (sys.executable,)))
    shell = shutil.which("sh")
    if shell:
        found.append(Program("sh", "", (shell,)))
    return found


# --- commands and versions -----------------------------------------------------------------------


class Known(msgspec.Struct, frozen=True):
    """What is known of a program: its commands, the first that is there, and its version."""

    commands: tuple[tuple[str, ...], ...]
    version_argv: tuple[str, ...]
    version_regex: str


# Builds with MPI refuse an option that the others need.
_ADAPTER = ("{python}", "-P", "-m", "copernicus.modules.gromacs.mpi")
KNOWN = {
    "gromacs": Known(
        (("gmx",), (*_ADAPTER, "gmx_mpi")),
        ("{program}", "--version"),
        r"GROMACS version:\s*v?(\d+(?:\.\d+)*)",
    )
}


def find_gromacs() -> Program | None:
    """GROMACS, if one is in PATH."""
    known = KNOWN["gromacs"]
    for words in known.commands:
        try:
            command = complete(words)
            version = ask_version(command, known.version_argv, known.version_regex)
        except BadSettings:
            continue
        return Program("gromacs", version, command)
    return None


def complete(
    words: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[str, ...]:
    """A command with the executable's full path, looked for in the program's own PATH.

    A path that is not absolute is one from ``folder`` (default: the present one).

    Raises:
        BadSettings: There is no such executable.
    """
    places = (environment or {}).get("PATH", os.environ.get("PATH"))
    adapted = words[: len(_ADAPTER)] == _ADAPTER
    executable = words[len(_ADAPTER)] if adapted else words[0]
    if folder and os.sep in executable:
        executable = str(folder / Path(executable).expanduser())
    path = sys.executable if executable == "{python}" else shutil.which(executable, path=places)
    if path is None:
        raise BadSettings(f"there is no executable {executable!r}")
    path = os.path.abspath(path)  # noqa: PTH100 - resolving links would change what a name does
    filled = [sys.executable if word == "{python}" else word for word in words]
    filled[len(_ADAPTER) if adapted else 0] = path
    return tuple(filled)


def ask_version(
    command: Sequence[str],
    argv: Sequence[str],
    regex: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The first group of ``regex`` in what a program prints (all of the match without one).

    Raises:
        BadSettings: It does not start, or prints nothing that fits.
    """
    expression = re.compile(regex)
    words = [part for word in argv for part in (command if word == "{program}" else [word])]
    with tempfile.TemporaryDirectory(prefix="cpc-version-") as folder:
        try:
            asked = subprocess.run(
                [word.replace(FOLDER, folder) for word in words],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_ASK_S,
                check=False,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BadSettings(f"{' '.join(words)} told no version: {error}") from None
    found = expression.search(asked.stdout) or expression.search(asked.stderr)
    if found is None:
        raise BadSettings(f"{' '.join(words)} printed nothing that fits {regex!r}")
    return found.group(1) if expression.groups else found.group()
