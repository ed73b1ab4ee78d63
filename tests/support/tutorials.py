"""Does what a tutorial says: types its commands, and looks for what it shows.

The fenced blocks of a tutorial are carried out in order, in one folder:

- ``console``: lines that begin with ``$`` are commands of one shell; the lines below a command are
  what it prints, in this order, other lines may stand between; ``...`` stands for any text. Every
  command must end with 0.
- ``console repeat``: the command is given again until it prints what is shown.
- ``console terminal=NAME``: another terminal, where the command stays; ``^C`` interrupts it.
- ``python``: a script, run as it stands; it must end with 0.
- any language with ``file=NAME``: the file is written.

The default ports in what is shown stand for those of the test.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from copernicus.protocol import MACHINE_PORT, USER_PORT
from support.ports import own_ports

COMMAND_S = 120.0
REPEAT_S = 90.0
LOOK_S = 0.2
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, its first line's number."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    def option(self, name: str) -> str:
        """The value of ``name=value`` among the words; empty without it."""
        return next((w.partition("=")[2] for w in self.words if w.startswith(f"{name}=")), "")

    def commands(self) -> list[tuple[str, list[str]]]:
        """Commands with the lines that they show."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line == "^C":
                found.append((line, []))
            elif line.strip():
                found[-1][1].append(line)
        return found


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a text."""
    return [
        Block(m[1], tuple(m[2].split()), m[3], text.count("\n", 0, m.start()) + 2)
        for m in _FENCE.finditer(text)
    ]


def shows(output: str, expected: Sequence[str]) -> str:
    """The first expected line that the output lacks; empty if it has all, in this order."""
    lines = iter(output.splitlines())
    for wanted in expected:
        if wanted.strip() == "...":
            continue
        words = re.split(r"(\.\.\.|\s+)", wanted.strip())
        regex = "".join(
            ".*" if w == "..." else r"\s+" if w.isspace() else re.escape(w) for w in words if w
        )
        # "... x" and "x ..." also fit a line that is just "x".
        regex = regex.replace(r".*\s+", r"(?:.*\s)?").replace(r"\s+.*", r"(?:\s.*)?")
        if not any(re.fullmatch(regex, line.strip()) for line in lines):
            return wanted
    return ""


@dataclass
class Terminal:
    """A shell command that stays."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, expected: Sequence[str], start: int = 0) -> None:
        """Wait until it has printed these lines."""
        end = time.monotonic() + REPEAT_S
        while lacking := shows(self.log.read_bytes()[start:].decode(), expected):
            assert time.monotonic() < end, f"{lacking!r} is not in:\n{self.log.read_text()}"
            time.sleep(LOOK_S)

    def interrupt(self) -> None:
        """What Ctrl-C does: a signal to all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=COMMAND_S)

    def kill(self) -> None:
        """Leave nothing of it."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@dataclass
class Reader:
    """Somebody who follows a tutorial to the letter."""

    folder: Path
    environment: Mapping[str, str]
    ports: tuple[int, int]
    terminals: dict[str, Terminal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.here = self.folder

    def follow(self, tutorial: Path) -> None:
        """Do everything that a tutorial says."""
        for block in blocks(tutorial.read_text(encoding="utf-8")):
            try:
                self._do(block)
            except (AssertionError, subprocess.SubprocessError) as error:
                raise AssertionError(f"{tutorial.name}, line {block.line}: {error}") from error

    def _do(self, block: Block) -> None:
        if name := block.option("file"):
            file = self.here / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code, said = self._run([sys.executable, "-c", block.text])
            assert code == 0, f"the script ended with {code}:\n{said}"
        elif block.language == "console":
            for command, expected in block.commands():
                self._type(block, command, [self._own_ports(line) for line in expected])

    def _type(self, block: Block, command: str, expected: list[str]) -> None:
        name = block.option("terminal")
        if name:
            self._in_terminal(name, command, expected)
            return
        end = time.monotonic() + (REPEAT_S if "repeat" in block.words else 0.0)
        while True:
            code, said = self._shell(command)
            lacking = shows(said, expected)
            if code == 0 and not lacking:
                return
            if time.monotonic() >= end:
                assert code == 0, f"{command!r} ended with {code}:\n{said}"
                raise AssertionError(f"{command!r} did not show {lacking!r}:\n{said}")
            time.sleep(LOOK_S)

    def _in_terminal(self, name: str, command: str, expected: list[str]) -> None:
        if command == "^C":
            terminal = self.terminals[name]
            start = terminal.log.stat().st_size
            terminal.interrupt()
            terminal.wait_for(expected, start)
            return
        log = self.folder / f"{name}.terminal"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {command}"],
                cwd=self.here,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.terminals[name] = Terminal(process, log)
        self.terminals[name].wait_for(expected)

    def _shell(self, command: str) -> tuple[int, str]:
        mark = "-- the folder is now "
        code, said = self._run(["/bin/bash", "-c", f'{command}\nc=$?; echo "{mark}$PWD"; exit $c'])
        said, _, after = said.rpartition(mark)
        if after:
            self.here = Path(after.strip())
        return code, said

    def _run(self, argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            argv,
            cwd=self.here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def _own_ports(self, line: str) -> str:
        machine, user = self.ports
        return line.replace(str(MACHINE_PORT), str(machine)).replace(str(USER_PORT), str(user))

    def leave(self) -> None:
        """End every process that the tutorial has left."""
        for terminal in self.terminals.values():
            terminal.kill()
        for settings in self.folder.glob("**/server.toml"):
            self._run([sys.executable, "-m", "copernicus", "server", "stop", str(settings.parent)])


def following(folder: Path) -> Iterator[Reader]:
    """A reader in an empty folder, whose server listens here only and hears often of its worker."""
    machine, user = own_ports(2)
    bin_folder = Path(sys.executable).parent
    own = {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "CPC_CONFIG_DIR": str(folder / "config"),
        "CPC_HOST": "127.0.0.1",
        "CPC_MACHINE_PORT": str(machine),
        "CPC_USER_PORT": str(user),
        "CPC_HEARTBEAT_S": "0.5",
        "CPC_LEASE_S": "20",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CPC_", "PYTEST", "COLUMNS"))}
    reader = Reader(folder, {**kept, **own, "COLUMNS": "120"}, (machine, user))
    try:
        yield reader
    finally:
        reader.leave()
