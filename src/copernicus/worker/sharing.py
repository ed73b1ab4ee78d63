"""What a running job has made so far, brought to the server when somebody wants it.

Files are taken up to their present size and sent in chunks, so a trajectory costs its growth. A
look that takes long makes the next one wait longer: at most a tenth of the time is spent looking.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from copernicus.calling.link import Link
from copernicus.calling.transfer import FileChanged
from copernicus.calling.waiting import within
from copernicus.errors import BadValue, CopernicusError
from copernicus.model.jobs import Command, Output
from copernicus.model.values import File
from copernicus.protocol import PartialRequest, Share
from copernicus.worker.bench import Bench
from copernicus.worker.folder import JobFolder
from copernicus.worker.growing import GrowingFiles
from copernicus.worker.outcome import AttemptFailed
from copernicus.worker.outputs import read_value
from copernicus.worker.series import SeriesReader
from copernicus.worker.transfer import Pending

SERIES = "series:"
_REST = 10.0
_TRIES = 3


class Sharing:
    """The outputs and series of one running attempt, as far as they are wanted."""

    def __init__(self, bench: Bench, command: Command, link: Link, seq: Callable[[], int]) -> None:
        self._bench = bench
        self._link = link
        self._seq = seq
        self._outputs = {output.port: output for output in command.outputs if output.partial}
        self._series = {
            SERIES + rule.name: SeriesReader(bench.folder, rule) for rule in command.series
        }
        self._files = GrowingFiles(bench.folder)
        self._tables = GrowingFiles(JobFolder(bench.home / "series"))
        self._share = Share()
        self._done = 0
        self._told = asyncio.Event()

    def want(self, share: Share | None) -> None:
        """What the server wants from now on."""
        before, self._share = self._share, share or Share()
        if not self._share.once:
            self._done = 0
        asked = self._share.once and self._share.wish != self._done
        if asked or (self._share.regular and self._share.regular != before.regular):
            self._told.set()

    async def run(self) -> None:
        """Bring what is wanted until cancelled."""
        wait_s: float | None = None
        while True:
            await within(wait_s, self._told)
            self._told.clear()
            began = time.monotonic()
            share = self._share
            try:
                await self._bring(share)
            except (OSError, CopernicusError, AttemptFailed) as error:
                self._bench.log.note(f"[copernicus] nothing was shown of the running job: {error}")
            self._done = share.wish
            took = time.monotonic() - began
            wait_s = max(share.interval_s, _REST * took) if self._share.regular else None

    async def _bring(self, share: Share) -> None:
        asked = share.once if share.wish != self._done else ()
        names = tuple(dict.fromkeys((*share.regular, *asked)))
        if not names:
            return
        for left in reversed(range(_TRIES)):
            progress = await asyncio.to_thread(self._bench.progress)
            await self._join(names)
            outputs, files = await asyncio.to_thread(self._gather, names)
            try:
                upload = partial(self._bench.tools.transfer.upload, self._attempt, files)
                await self._link.persist(upload)
                break
            except FileChanged:
                for file in files:
                    self._files.forget(file.path)
                if not left:
                    raise
        if not outputs and not asked:
            return
        step = progress.step if progress else None
        request = PartialRequest(self._attempt, self._seq(), outputs, step, share.wish)
        await self._link.persist(lambda: self._link.tell("/v1/work/partial", request))

    @property
    def _attempt(self) -> str:
        return self._bench.assignment.attempt

    async def _join(self, names: tuple[str, ...]) -> None:
        """Have the program make one file of several, where the job has them in parts."""
        for name in names:
            output = self._outputs.get(name)
            if output is None or output.join is None or self._bench.aside is None:
                continue
            if await asyncio.to_thread(self._in_parts, output):
                await self._bench.aside(output.join.argv)

    def _in_parts(self, output: Output) -> bool:
        return output.how == "file" and len(self._bench.folder.filled(output.so_far)) > 1

    def _gather(self, names: tuple[str, ...]) -> tuple[dict[str, Any], list[Pending]]:
        values: dict[str, Any] = {}
        files: list[Pending] = []
        for name in names:
            value = self._table(name, files) if name in self._series else self._value(name, files)
            if value is not None and value != []:
                values[name] = value
        return values, files

    def _value(self, name: str, files: list[Pending]) -> Any:
        output = self._outputs.get(name)
        if output is None:
            return None
        folder = self._bench.folder
        found = folder.filled(output.so_far or output.pattern)
        if output.how == "files":
            return [self._file(path, path.rpartition("/")[2], files) for path in found]
        if not found:
            return None
        path = found[-1]
        if len(found) > 1 and output.join and folder.filled(output.join.makes):
            path = output.join.makes
        if output.how == "file":
            return self._file(path, output.name or path.rpartition("/")[2], files)
        try:
            return read_value(folder, output, path)
        except AttemptFailed:
            return None

    def _file(self, path: str, name: str, files: list[Pending]) -> dict[str, Any]:
        pending = self._files.pending(path)
        files.append(pending)
        return File(pending.sha256, pending.size, name).plain()

    def last_series(self) -> tuple[dict[str, Any], list[Pending]]:
        """Every series as it is at the end, by name; blocking."""
        if not self._series:
            return {}, []
        files: list[Pending] = []
        found = {name.removeprefix(SERIES): self._table(name, files) for name in self._series}
        return {name: value for name, value in found.items() if value is not None}, files

    def _table(self, name: str, files: list[Pending]) -> dict[str, Any] | None:
        text = self._series[name].text()
        if not text:
            return None
        folder = JobFolder(self._bench.home / "series")
        folder.path.mkdir(mode=0o700, exist_ok=True)
        path = f"{name.removeprefix(SERIES)}.csv"
        # Never written anew under a reader: what is being sent stays as it was.
        fresh = folder.path / f".{path}"
        fresh.write_text(text)
        fresh.replace(folder.path / path)
        try:
            pending = self._tables.pending(path)
        except (OSError, BadValue):
            return None
        files.append(pending)
        return File(pending.sha256, pending.size, path).plain()
