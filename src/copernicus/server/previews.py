"""Previews of edits: tried out on a copy of the project, with an evaluator process of their own.

Nothing of a preview reaches the journal, the queue, or the processes that evaluate for real: a
workflow function that hangs or breaks in a preview is ended with the preview's process. One is
made at a time, in a thread, for a bounded time; what has not come by then is said to be missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from copernicus.engine.core import go_on, has_more_to_fire
from copernicus.engine.estimates import Samples, function_samples
from copernicus.engine.preview import Comparison
from copernicus.engine.shadow import Shadow, copy_state
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Catalog
from copernicus.errors import ServerBusy
from copernicus.evaluator.frames import Begin, Continue, Describe, Reply, Request
from copernicus.protocol import EditRequest, PreviewReply
from copernicus.server.batch import Batch
from copernicus.server.evaluator_process import EvaluatorDied, EvaluatorProcess
from copernicus.server.holdings import Project
from copernicus.server.runtime import Runtime
from copernicus.server.trial import Asking, Trial
from copernicus.settings import ServerSettings
from copernicus.telemetry import get_logger

_LOG = get_logger("previews")
_MANY_REQUESTS: Final = 20_000
_DESCRIBED: Final = 20
_IDLE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project at one moment: its own copy, and which of its jobs workers hold."""

    project_id: str
    before: ProjectState
    running: frozenset[str]
    catalog: Catalog


def snapshot(batch: Batch, project: Project) -> Snapshot:
    """Copy a project as it is now."""
    rows = batch.holdings.scheduler.jobs_of(project.record.id)
    running = frozenset(row.activation for row in rows if row.state == "leased")
    with _uncollected():
        before = copy_state(project.state)
    return Snapshot(project.record.id, before, running, batch.holdings.catalog)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing of a copy is garbage: looking for some while it grows takes most of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Previews:
    """Makes previews, one at a time; ``stop`` ends its process."""

    def __init__(self, settings: ServerSettings, runtime: Runtime) -> None:
        self._settings = settings
        self._runtime = runtime
        self._turn = asyncio.Lock()
        self._process: EvaluatorProcess | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._count = 0

    async def make(
        self, taken: Snapshot, request: EditRequest, author: str, may_see: frozenset[str]
    ) -> PreviewReply:
        """What a transaction would do; ``may_see`` are the projects whose costs may be looked at.

        Raises:
            UserError: An edit is impossible.
            ServerBusy: Others' previews take all the time.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.preview_timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError:
            raise ServerBusy("Other previews are being made: try again soon.") from None
        try:
            self._keep_process()
            shadow = await asyncio.to_thread(_begun, taken, request, author)
            cut = await self._try_out(taken, shadow, deadline)
            comparison = await asyncio.to_thread(Comparison, taken.before, shadow, taken.running)
            unknown = comparison.unknown()
            samples = await self._runtime.do(lambda b: _samples(b, unknown, may_see))
            return await asyncio.to_thread(comparison.reply, samples, cut)
        finally:
            self._end_later()
            self._turn.release()

    async def stop(self) -> None:
        """End the process."""
        self._keep_process()
        await self._bury()
        await asyncio.gather(*self._stopping)

    async def _try_out(self, taken: Snapshot, shadow: Shadow, deadline: float) -> str:
        """Let the shadow go on as far as it can; why it could not, if so."""
        self._count += 1
        trial = Trial(shadow, f"{taken.project_id} preview {self._count}", _DESCRIBED)
        while shadow.pending or shadow.replacing:
            cut = await self._ask_all(trial, taken.catalog, deadline)
            if cut:
                return cut
            asked = tuple(shadow.replacing)
            if asked:
                idle = await self._runtime.do(lambda b, a=asked: b.idle(taken.project_id, a))  # type: ignore[misc]
                await asyncio.to_thread(shadow.replace_idle, idle.__contains__)
        for request in trial.farewells():
            with contextlib.suppress(EvaluatorDied):
                await self._ask(request, taken.catalog, _IDLE_S)
        return ""

    async def _ask_all(self, trial: Trial, catalog: Catalog, deadline: float) -> str:
        requests = trial.requests()
        reply: Reply | None = None
        for _ in range(_MANY_REQUESTS):
            request = await asyncio.to_thread(_next, requests, reply)
            if request is None:
                return ""
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                await self._bury()
                return f"not finished within {self._settings.preview_timeout_s:g} s"
            try:
                reply = await self._ask(request, catalog, left)
            except EvaluatorDied as death:
                _LOG.warning("a preview's evaluator died", reason=str(death))
                await self._bury()
                return f"evaluating {_about(request)}: {death}"
        await self._bury()
        return f"not finished after {_MANY_REQUESTS} steps"

    async def _ask(self, request: Request, catalog: Catalog, left_s: float) -> Reply:
        process = self._process
        if process is not None and dict(catalog) != _catalog_of(process):
            # Other modules are installed by now: what is previewed is what would be run.
            await self._bury()
        if self._process is None:
            self._process = await EvaluatorProcess.start()
        return await self._process.ask(request, left_s)

    def _keep_process(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end_later(self) -> None:
        self._keep_process()
        self._ending = asyncio.get_running_loop().call_later(_IDLE_S, self._end)

    def _end(self) -> None:
        task = asyncio.get_running_loop().create_task(self._bury())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _bury(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()


def _begun(taken: Snapshot, request: EditRequest, author: str) -> Shadow:
    if has_more_to_fire(taken.before):
        # It fires anyway, only not all at once.
        go_on(taken.before, taken.catalog)
    shadow = Shadow(copy_state(taken.before), taken.catalog)
    shadow.edit(request.edits, author, reuse=request.reuse)
    return shadow


def _next(requests: Asking, reply: Reply | None) -> Request | None:
    try:
        return next(requests) if reply is None else requests.send(reply)
    except StopIteration:
        return None


def _samples(batch: Batch, functions: set[str], may_see: frozenset[str]) -> Samples:
    if not functions:
        return {}
    projects = (one for one in batch.holdings.projects if one.record.id in may_see)
    return function_samples((one.state for one in projects), functions)


def _catalog_of(process: EvaluatorProcess) -> dict[str, object]:
    return {spec.name: spec for spec in process.catalog.functions}


def _about(request: Request) -> str:
    match request:
        case Begin(start=start):
            return start.path
        case Continue(path=path):
            return path
        case Describe(entry=entry):
            return entry
    return "it"
