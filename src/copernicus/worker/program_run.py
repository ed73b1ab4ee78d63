"""One attempt at a program job: files in, lines run, completeness checked, outputs read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

from copernicus.errors import BadDefinition, CopernicusError
from copernicus.executors.local import Process
from copernicus.model.jobs import Command, Line
from copernicus.model.values import File, file_of
from copernicus.worker.bench import Bench, unless_stopped
from copernicus.worker.grounds import layout_for
from copernicus.worker.joblog import LogPipe
from copernicus.worker.lines import Places, argv_of, fill
from copernicus.worker.numbers import ProgressReader, read_number
from copernicus.worker.outcome import AttemptFailed, Outcome, explain_exit, failed, find_fatal
from copernicus.worker.outputs import collect, is_light
from copernicus.worker.programs import Program
from copernicus.worker.resuming import Resuming
from copernicus.worker.transfer import Pending

# Variables that make a program run code of the job's choice instead of what was configured.
_LOADERS = re.compile(r"(LD_|DYLD_|PYTHON).*|PATH|IFS|ENV|BASH_ENV|BASH_FUNC.*|GCONV_PATH")


class ProgramRun:
    """Runs the lines of a command. ``stop`` ends them gently, ``kill`` at once."""

    def __init__(self, bench: Bench, command: Command, program: Program) -> None:
        self._bench = bench
        self._command = command
        self._program = program
        self._process: Process | None = None
        self._stop = asyncio.Event()
        self._suspended = False
        self._alone = True
        self._last_code: int | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._resuming = Resuming(bench, command.checkpoint)
        self._began = 0
        if command.progress:
            bench.progress = ProgressReader(bench.folder, command.progress).read
        bench.aside = self._run_aside

    def stop(self) -> None:
        """Ask the program to write its state and end; it is killed when the grace is over."""
        self._stop.set()
        if self._process is not None and self._killer is None:
            self._process.signal(signal.SIGTERM)
            self._process.signal(signal.SIGCONT)
            loop = asyncio.get_running_loop()
            self._killer = loop.call_later(self._bench.tools.grace_s, self._process.kill)

    def suspend(self) -> None:
        """Stop its processes where they are; also those that it starts later."""
        self._suspended = True
        if self._process is not None:
            self._process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let its processes go on."""
        self._suspended = False
        if self._process is not None:
            self._process.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, and all that came from it."""
        self._stop.set()
        if self._process is not None:
            self._process.kill()

    async def run(self) -> Outcome:
        """Do all of it.

        Raises:
            AttemptFailed: The job failed.
            OSError, CopernicusError: Something around it did.
        """
        bench = self._bench
        layout = layout_for(placed.path for placed in self._command.files)
        bench.tools.grounds.lay_out(bench.home, layout)
        needs_files = self._command.files or bench.assignment.checkpoint
        if needs_files and not await unless_stopped(self._stage_in(), self._stop):
            return Outcome("stopped")
        limit = self._command.timeout_s
        try:
            async with asyncio.timeout(limit):
                complete = await self._run_lines()
        except TimeoutError:
            raise failed(f"{self._program.name} took longer than {limit:g} s") from None
        finally:
            if self._killer is not None:
                self._killer.cancel()
        if not complete:
            return Outcome("stopped", exit_code=self._last_code)
        bench.vacant = self._alone
        outputs, files = await self._collect()
        return Outcome("completed", outputs, files, exit_code=self._last_code)

    async def _collect(self) -> tuple[dict[str, Any], list[Pending]]:
        command, folder = self._command, self._bench.folder
        if not command.outputs:
            return {}, []
        if is_light(folder, command.outputs):
            return collect(folder, command.outputs, self._last_code)
        return await asyncio.to_thread(collect, folder, command.outputs, self._last_code)

    async def _stage_in(self) -> None:
        folder, command = self._bench.folder, self._command
        self._resuming.check()
        for placed in command.files:
            if placed.text is not None:
                with folder.writing(placed.path) as file:
                    file.write(placed.text.encode())
            elif placed.file is not None:
                await self._place(placed.path, file_of(placed.file))
        checkpoint = self._bench.assignment.checkpoint
        for stored in checkpoint.files if checkpoint else ():
            try:
                await self._place(stored.path, File(stored.sha256, stored.size))
            except CopernicusError as error:
                raise (self._resuming.cannot_be_had(stored.path, error) or error) from None

    async def _place(self, path: str, blob: File) -> None:
        assignment = self._bench.assignment
        await self._bench.tools.transfer.place(
            assignment.attempt, self._bench.folder, path, blob.sha256, blob.size, assignment.inline
        )

    async def _run_lines(self) -> bool:
        """Whether the work is complete; otherwise it was stopped."""
        skipped = "resume" if self._bench.assignment.checkpoint is None else "fresh"
        lines = [line for line in self._command.lines if line.when != skipped]
        marks = [index for index, line in enumerate(lines) if line.when == "complete"]
        first = marks[0] if marks else len(lines)
        while True:
            self._began = self._bench.log.written
            try:
                worked = await self._work(lines[:first])
                break
            except AttemptFailed as error:
                said = self._said()
                if not self._resuming.put_spares(said):
                    raise AttemptFailed(self._resuming.blamed(error.failure, said)) from None
        return worked and await self._run_each(lines[first:])

    def _said(self) -> str:
        """What the lines have printed since they were last begun."""
        return self._bench.log.text(self._began)

    async def _work(self, lines: list[Line]) -> bool:
        """Whether the work, without what is done after it, is complete."""
        await self._run_each(lines)
        if self._stop.is_set() and not self._has_criteria():
            return False
        return self._check_complete()

    async def _run_each(self, lines: list[Line]) -> bool:
        """Whether all of them ran."""
        for line in lines:
            if self._stop.is_set():
                return False
            code = await self._run_line(line)
            if self._stop.is_set():
                return False
            if line.ok is not None and code not in line.ok:
                self._raise_fatal(code)
                raise explain_exit(self._program.name, code)
        return True

    def _has_criteria(self) -> bool:
        done = self._command.done_when
        return bool(done.files or done.number)

    def _check_complete(self) -> bool:
        """True if the work is complete, False if it was stopped before.

        Raises:
            AttemptFailed: It ended by itself without being complete.
        """
        missing = self._what_is_missing()
        if self._stop.is_set():
            return missing is None
        self._raise_fatal(self._last_code)
        if missing is None:
            return True
        if self._went_on():
            return False
        raise failed(
            f"{self._program.name} ended, but the work is not complete: {missing}",
            code=self._last_code,
        )

    def _what_is_missing(self) -> str | None:
        done, folder = self._command.done_when, self._bench.folder
        for pattern in done.files:
            if not folder.matching(pattern):
                return f"there is no file {pattern!r}"
        if done.number is None:
            return None
        found = read_number(folder, done.number)
        if found is None:
            return f"{done.number.regex!r} matches nothing in {done.number.pattern!r}"
        if done.at_least is not None and found < done.at_least:
            return f"it is at {found:g} of {done.at_least:g}"
        return None

    def _went_on(self) -> bool:
        """Whether an end that is not completion (a program's own time limit) brought it further."""
        rule, held = self._command.checkpoint, self._bench.assignment.checkpoint
        if rule is None or rule.step is None:
            return False
        step = read_number(self._bench.folder, rule.step)
        before = held.step if held and held.step is not None else 0.0
        return step is not None and step > before

    def _raise_fatal(self, code: int | None) -> None:
        fatal = self._command.done_when.fatal
        meaning = find_fatal(fatal, self._said()) if fatal else None
        if meaning:
            raise failed(meaning, code=code)

    async def _run_aside(self, argv: tuple[str, ...]) -> int:
        """Run a command line beside those of the job; what it prints is nobody's."""
        bench, places = self._bench, self._places()
        environment = {
            **self._program.environment,
            **bench.environment(),
            **self._own_environment(places),
        }
        void = os.open(os.devnull, os.O_RDWR)
        try:
            process = bench.tools.executor.start(
                argv_of(Line(argv), places),
                bench.folder.path,
                (void, void, void),
                environment,
                bench.taken.cores,
            )
        finally:
            os.close(void)
        try:
            return await process.ended()
        except asyncio.CancelledError:
            process.kill()
            raise

    def _places(self) -> Places:
        bench = self._bench
        mpi = bench.assignment.spec.resources.platform == "mpi"
        ranks, threads = bench.ranks
        return Places(
            program=self._program.command_in(bench.folder.path),
            cores=max(1, len(bench.taken.cores)),
            gpus=",".join(gpu.id for gpu in bench.taken.gpus),
            job=bench.assignment.job,
            part=bench.assignment.part,
            glob=bench.folder.matching,
            filled=bench.folder.filled,
            launcher=self._program.launcher if mpi else (),
            ranks=ranks,
            threads=threads,
        )

    async def _run_line(self, line: Line) -> int:
        bench, places = self._bench, self._places()
        argv = argv_of(line, places)
        environment = {
            **self._program.environment,
            **bench.environment(),
            **self._own_environment(places),
        }
        pipe = LogPipe(bench.log.write)
        try:
            with self._stdin(line, places) as stdin, self._stdout(line, places) as stdout:
                self._process = bench.tools.executor.start(
                    argv,
                    bench.folder.path,
                    (stdin, stdout if stdout >= 0 else pipe.writer, pipe.writer),
                    environment,
                    bench.taken.cores,
                    ranks=places.ranks if line.mpi else 1,
                )
            pipe.close_writer()
            bench.meter.program = self._process.number
            if self._suspended:
                self.suspend()
            try:
                self._last_code = await self._process.ended()
            except asyncio.CancelledError:
                self._process.kill()
                raise
            self._alone &= self._process.alone
            pipe.drain()
        finally:
            self._process = bench.meter.program = None
            pipe.close()
        return self._last_code

    def _own_environment(self, places: Places) -> dict[str, str]:
        for name in self._command.environment:
            if _LOADERS.fullmatch(name) or not name.isidentifier():
                raise BadDefinition(
                    f"the job wants to set {name}, which decides what code a program loads: "
                    "that is up to the worker's administrator"
                )
        return {name: fill(text, places) for name, text in self._command.environment.items()}

    @contextlib.contextmanager
    def _stdin(self, line: Line, places: Places) -> Iterator[int]:
        if line.stdin_file is None:
            with _typed(fill(line.stdin, places)) as descriptor:
                yield descriptor
            return
        with self._bench.folder.reading(fill(line.stdin_file, places)) as file:
            yield file.fileno()

    @contextlib.contextmanager
    def _stdout(self, line: Line, places: Places) -> Iterator[int]:
        if line.stdout is None:
            yield -1
            return
        with self._bench.folder.writing(fill(line.stdout, places)) as file:
            os.set_blocking(file.fileno(), True)
            yield file.fileno()


@contextlib.contextmanager
def _typed(text: str) -> Iterator[int]:
    if not text:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        yield file.fileno()
