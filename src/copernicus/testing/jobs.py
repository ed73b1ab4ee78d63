"""Runs jobs here and now, by the worker's own code, in folders below one temporary folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copernicus.blobs import BlobStore
from copernicus.executors.local import LocalExecutor
from copernicus.model.jobs import Failure, JobSpec
from copernicus.model.values import File, files_in
from copernicus.protocol import Assignment
from copernicus.worker.bench import Bench, Tools
from copernicus.worker.folder import JobFolder
from copernicus.worker.grounds import Grounds
from copernicus.worker.hostwire import Order, Raised, Returned
from copernicus.worker.outcome import explain_error
from copernicus.worker.probe import Taken
from copernicus.worker.program_run import ProgramRun
from copernicus.worker.programs import Programs
from copernicus.worker.taskhost import call
from copernicus.worker.transfer import Pending, Transfer

_GRACE_S = 5.0


@dataclass(frozen=True)
class Done:
    """A job that ran: what it gave or why it failed, and the folder that it left."""

    path: str
    function: str
    folder: Path
    outputs: Mapping[str, Any]
    failure: Failure | None = None


class _AtHand(Transfer):
    """Files that need not be fetched: all are in the store."""

    def __init__(self, blobs: BlobStore) -> None:
        # There is no link, so the rest of it is not there either.
        self._kept = blobs

    async def place(
        self,
        attempt: str,
        folder: JobFolder,
        path: str,
        digest: str,
        size: int,
        inline: Mapping[str, bytes],
    ) -> None:
        """Put a blob as a file into a job's folder."""
        self._copy(folder, path, digest)


class Jobs:
    """Runs one job after the other."""

    def __init__(
        self, folder: Path, blobs: BlobStore, programs: Programs, timeout_s: float
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._programs = programs
        self._timeout_s = timeout_s
        self._runner = asyncio.Runner()
        self._executor: LocalExecutor | None = None
        self.done: list[Done] = []

    def close(self) -> None:
        """End what runs."""
        if self._executor is not None:
            self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        assert self._executor is not None
        self._executor.close()

    def run(self, path: str, spec: JobSpec) -> Done:
        """Run a job to its end."""
        home = self._folder / f"job{len(self.done)}"
        if spec.task is not None:
            done = self._task(path, spec, home)
        else:
            done = self._runner.run(self._program(path, spec, home))
        self.done.append(done)
        return done

    def _keep(self, files: Sequence[Pending]) -> None:
        for file in files:
            self._blobs.put_file(Path(file.folder) / file.path)

    def _task(self, path: str, spec: JobSpec, folder: Path) -> Done:
        assert spec.task is not None
        folder.mkdir()
        files = {file.sha256: self._local(folder, file) for file in files_in(spec.task.inputs)}
        order = Order(spec.task.entry, spec.task.inputs, str(folder), (), files)
        with contextlib.chdir(folder):
            reply = call(order, lambda _report: None)
        if isinstance(reply, Raised):
            failure = Failure(reply.reason, reply.cause, log=reply.log)
            return Done(path, spec.function, folder, {}, failure)
        assert isinstance(reply, Returned)
        self._keep(reply.files)
        return Done(path, spec.function, folder, reply.outputs)

    def _local(self, folder: Path, file: File) -> str:
        target = folder / "inputs" / file.sha256
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"".join(self._blobs.read(file.sha256)))
        return str(target)

    async def _program(self, path: str, spec: JobSpec, home: Path) -> Done:
        assert spec.command is not None
        program = self._programs.find(spec.program)
        folder = home / "work"
        if program is None:
            return Done(path, spec.function, folder, {}, _no_program(spec, self._programs))
        if self._executor is None:
            self._executor = LocalExecutor()
        grounds = Grounds(home / "spare", 0)
        at_hand = _AtHand(self._blobs)
        tools = Tools(self._executor, at_hand, self._programs, (), _GRACE_S, grounds)
        assignment = Assignment(path, path, 1, "test", spec, spec.resources.cores, 60.0, 60.0)
        bench = Bench(assignment, Taken((), (), 0), tools, home)
        try:
            run = ProgramRun(bench, spec.command, program)
            async with asyncio.timeout(self._timeout_s):
                outcome = await run.run()
        except TimeoutError:
            failure = Failure(f"it took longer than {self._timeout_s:g} s", log=bench.log.tail())
            return Done(path, spec.function, folder, {}, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's end only
            told = explain_error(error)
            failure = Failure(told.reason, told.cause, told.exit_code, told.log or bench.log.tail())
            return Done(path, spec.function, folder, {}, failure)
        finally:
            bench.log.close()
        self._keep(outcome.files)
        return Done(path, spec.function, folder, outcome.outputs)


def _no_program(spec: JobSpec, programs: Programs) -> Failure:
    asked = f"{spec.program.name} {spec.program.versions}".strip()
    offered = ", ".join(f"{p.name} {p.version}".strip() for p in programs.offered)
    return Failure(
        f"there is no program {asked} here; there are: {offered}",
        "infrastructure",
        remedy="name its command in testing.project(programs=...), or let stand_ins do its work",
    )
