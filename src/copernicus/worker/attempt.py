"""The life of one attempt on this worker: work, checkpoints while it lasts, and its result."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from copernicus.calling.link import Link
from copernicus.calling.transfer import FileChanged
from copernicus.calling.waiting import within
from copernicus.errors import CopernicusError
from copernicus.model.jobs import AttemptRecord, Checkpoint, CheckpointRef, Failure
from copernicus.protocol import Beat, CheckpointRequest, ProgressReport, ResultRequest, Share
from copernicus.worker.bench import Bench
from copernicus.worker.checkpoints import Snapshot, Snapshots
from copernicus.worker.joblog import TAIL_LINES
from copernicus.worker.outcome import Outcome, explain_error
from copernicus.worker.outputs import LIGHT
from copernicus.worker.probe import free_mb
from copernicus.worker.sharing import Sharing
from copernicus.worker.spool import Finished
from copernicus.worker.transfer import Pending, split_inline
from copernicus.worker.verdict import judged

QUICK_S = 5.0
WATCHED_S = 1.0
LAST_LINES = 100
LAST_BYTES = 8192
HOST = socket.gethostname()


class Run(Protocol):
    """What an attempt does: a program's lines, or a task."""

    async def run(self) -> Outcome:
        """Do it."""
        ...

    def stop(self) -> None:
        """End it soon, with its state written."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...

    def suspend(self) -> None:
        """Stop it where it is."""
        ...

    def go_on(self) -> None:
        """Let it go on."""
        ...


class Attempt:
    """One attempt, from its assignment to the result that is ready to be delivered."""

    def __init__(self, bench: Bench, run: Run, link: Link, worker_id: str) -> None:
        self.bench = bench
        self._run = run
        self._link = link
        self._worker_id = worker_id
        self._seq = 0
        self._began = time.time()
        self._now = asyncio.Event()
        self._taking = asyncio.Lock()
        self._last: Snapshot | None = None
        self._snapshots: Snapshots | None = None
        self.discarded = False
        self.worked = False
        self.watched = False
        command = bench.assignment.spec.command
        self._sharing: Sharing | None = None
        if command and (command.series or any(output.partial for output in command.outputs)):
            self._sharing = Sharing(bench, command, link, self.next_seq)
        self._rule: Checkpoint | None = command.checkpoint if command else None
        if self._rule:
            copies = bench.home / "checkpoint"
            given = bench.assignment.checkpoint
            self._snapshots = Snapshots(bench.folder, self._rule, copies, given)

    @property
    def id(self) -> str:
        """Its name on the wire."""
        return self.bench.assignment.attempt

    @property
    def quick(self) -> bool:
        """Whether it took so little that doing it again costs less than writing it down."""
        return self.age_s < QUICK_S

    def stop(self) -> None:
        """End it with a last checkpoint."""
        self._run.stop()

    @property
    def age_s(self) -> float:
        """For how long it has been here."""
        return time.monotonic() - self.bench.started

    def exceed(self, failure: Failure) -> None:
        """It went beyond a limit: end it at once, for this reason."""
        self.bench.meter.exceeded = failure
        self._run.kill()

    def suspend(self) -> None:
        """Stop it where it is; it keeps its lease, its memory and its cores."""
        self._run.suspend()

    def go_on(self) -> None:
        """Let it go on."""
        self._run.go_on()

    def discard(self) -> None:
        """End it at once; nobody wants its result."""
        self.discarded = True
        self._run.kill()

    def checkpoint_now(self) -> None:
        """Take a checkpoint, and go on."""
        self._now.set()

    def share(self, share: Share | None) -> None:
        """What is wanted of it before its end."""
        if self._sharing:
            self._sharing.want(share)
        self.watched = share is not None and share.watched

    @property
    def beat_s(self) -> float:
        """How long it may be silent."""
        interval = self.bench.assignment.heartbeat_s
        return min(interval, WATCHED_S) if self.watched else interval

    def next_seq(self) -> int:
        """The next sequence number: it grows with everything that is sent."""
        self._seq += 1
        return self._seq

    async def _progress(self) -> ProgressReport | None:
        command = self.bench.assignment.spec.command
        if command and command.progress:
            return await asyncio.to_thread(self.bench.progress)
        return self.bench.progress()

    async def _measure_rate(self) -> None:
        """How fast it was at the end: in the record, it helps to choose cores for others."""
        progress = await self._progress()
        if progress is not None and progress.rate is not None:
            self.bench.meter.rate, self.bench.meter.rate_unit = progress.rate, progress.unit

    async def beat(self) -> Beat:
        """A sign of life with what there is to tell."""
        progress = await self._progress()
        log = self.bench.log
        tail = log.end()
        if not self.watched:
            tail = "".join(tail.splitlines(keepends=True)[-TAIL_LINES:])
        return Beat(self.id, self.next_seq(), progress, tail or None, log.written)

    async def work(self, release: Callable[[], None]) -> Finished:
        """Do the work and say how it ended; ``release`` is called as soon as the cores are free."""
        beside = []
        if self._snapshots:
            beside.append(asyncio.create_task(self._checkpoint_regularly()))
        if self._sharing:
            beside.append(asyncio.create_task(self._sharing.run()))
        try:
            outcome = await self._outcome()
        finally:
            release()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        try:
            return await self._finish(outcome)
        except (OSError, CopernicusError) as error:
            return await self._finish(Outcome("failed", failure=self._tell(explain_error(error))))
        finally:
            self.bench.log.close()

    async def _outcome(self) -> Outcome:
        try:
            outcome = await self._run.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this attempt's end only
            failure = self._tell(self.bench.meter.exceeded or explain_error(error))
            return Outcome("failed", failure=failure, exit_code=failure.exit_code)
        exceeded = self.bench.meter.exceeded
        if exceeded is not None and outcome.kind != "completed":
            return Outcome("failed", failure=self._tell(exceeded), exit_code=outcome.exit_code)
        return outcome

    def _tell(self, failure: Failure) -> Failure:
        log = failure.log or self.bench.log.tail()
        if failure.cause == "job_error" and self._disk_is_full(log):
            failure = msgspec.structs.replace(
                failure,
                reason=f"the disk of the worker is full ({failure.reason})",
                cause="infrastructure",
                remedy=f"free some space on {HOST}",
            )
        failure = msgspec.structs.replace(failure, log=log, worker=HOST)
        return judged(failure, self.bench.assignment.spec, self.bench.log.text())

    def _disk_is_full(self, log: str) -> bool:
        if os.strerror(errno.ENOSPC) in log:
            return True
        return self.bench.home.exists() and free_mb(self.bench.home) < 1

    async def _finish(self, outcome: Outcome) -> Finished:
        files = list(outcome.files)
        checkpoint = None
        if self._snapshots and outcome.kind != "failed" and not self.discarded:
            snapshot = await self._take(running=False)
            if snapshot:
                checkpoint = self._request(snapshot)
                if self._last is None or snapshot.files != self._last.files:
                    files += snapshot.pending
        await self._measure_rate()
        beside = self._snapshots is not None or self._sharing is not None
        series: dict[str, Any] = {}
        if self._sharing and not self.discarded:
            series, tables = await asyncio.to_thread(self._sharing.last_series)
            files += tables
        inline, uploads = await self._split(files)
        result = ResultRequest(
            attempt=self.id,
            seq=self.next_seq(),
            outcome=outcome.kind,
            outputs=outcome.outputs,
            failure=outcome.failure,
            checkpoint=checkpoint,
            record=self._record(outcome, checkpoint, series),
            inline=inline,
        )
        # What looks into the folder while a job runs may go on for a moment, in a thread.
        vacant = self.bench.vacant and not beside
        return Finished(result, tuple(uploads), str(self.bench.home), vacant)

    async def _split(self, files: list[Pending]) -> tuple[dict[str, bytes], list[Pending]]:
        if not files:
            return {}, []
        if sum(file.size for file in files) <= LIGHT:
            return split_inline(files)
        return await asyncio.to_thread(split_inline, files)

    def _record(
        self, outcome: Outcome, checkpoint: CheckpointRequest | None, series: dict[str, Any]
    ) -> AttemptRecord:
        assignment, meter = self.bench.assignment, self.bench.meter
        spec = assignment.spec
        program = self.bench.tools.programs.find(spec.program, spec.resources.platform)
        return AttemptRecord(
            number=assignment.number,
            worker=self._worker_id,
            host=HOST,
            program_version=program.version if program else "",
            cores=len(self.bench.taken.cores),
            started=self._began,
            ended=time.time(),
            outcome=outcome.kind,
            exit_code=outcome.exit_code,
            checkpoint=CheckpointRef(
                key=checkpoint.key,
                job=assignment.job,
                attempt=assignment.number,
                index=checkpoint.seq,
                files=checkpoint.files,
                step=checkpoint.step,
            )
            if checkpoint
            else None,
            series=series,
            log=self.bench.log.tail(LAST_LINES)[-LAST_BYTES:],
            peak_memory_mb=round(meter.peak_mb),
            rate=meter.rate,
            rate_unit=meter.rate_unit,
        )

    def _request(self, snapshot: Snapshot) -> CheckpointRequest:
        key = self.bench.assignment.spec.checkpoint_key
        return CheckpointRequest(self.id, self.next_seq(), key, snapshot.files, snapshot.step)

    async def _take(self, *, running: bool = True) -> Snapshot | None:
        assert self._snapshots
        async with self._taking:
            return await asyncio.to_thread(self._snapshots.take, running=running)

    async def _checkpoint_regularly(self) -> None:
        assert self._snapshots
        assert self._rule
        interval = self._rule.interval_s or self.bench.assignment.checkpoint_interval_s
        while True:
            await within(interval, self._now)
            self._now.clear()
            try:
                await self._checkpoint()
            except (OSError, CopernicusError) as error:
                self.bench.log.note(f"[copernicus] no checkpoint was made: {error}")

    async def _checkpoint(self) -> None:
        assert self._snapshots
        facts = await asyncio.to_thread(self._snapshots.facts)
        if facts is None or (self._last and facts == self._last.facts):
            return
        # Shielded: a thread cannot be stopped, and the last checkpoint must not meet it.
        snapshot = await asyncio.shield(asyncio.ensure_future(self._take()))
        if snapshot is None or snapshot.is_given:
            return
        link, upload = self._link, self.bench.tools.transfer.upload
        try:
            await link.persist(lambda: upload(self.id, snapshot.pending))
        except FileChanged:
            self._snapshots.forget()
            raise
        await link.persist(lambda: link.tell("/v1/work/checkpoint", self._request(snapshot)))
        self._last = snapshot

    def clean(self) -> None:
        """Remove everything the attempt left on this machine."""
        self.bench.log.close()
        shutil.rmtree(self.bench.home, ignore_errors=True)
