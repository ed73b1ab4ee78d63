"""Starts and ends the workers of pools by demand: looks at each pool again and again.

The decisions are those of ``scheduling.growing``; batch systems are asked by a process beside the
server, for each pool its own, so that one that does not answer holds nothing up.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.calling.waiting import within
from copernicus.errors import BadSettings, BadValue, CopernicusError
from copernicus.model.pools import Provision
from copernicus.protocol import BundleReply
from copernicus.provision.messages import Ask, Told
from copernicus.provision.script import BUNDLE, last_words, left_results
from copernicus.security.bundle import WorkerBundle, write_worker_bundle
from copernicus.security.files import make_private_folder
from copernicus.server.desk_process import DeskDied, DeskProcess
from copernicus.server.pools import Allocation
from copernicus.server.provisioning import Leftovers, Memory, Plan, apply, plan
from copernicus.telemetry import get_logger

if TYPE_CHECKING:
    from copernicus.server.site import Site

_LOG = get_logger("provision")
POOLS = "pools"


class Provisioner:
    """One task for each pool that has a provisioner."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._home = folder / POOLS
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Until it is cancelled; what was started in batch systems goes on then."""
        try:
            while True:
                for name in self._site.runtime.holdings.pools.by_name:
                    task = self._tasks.get(name)
                    if task is None or task.done():
                        if task is not None and task.exception() is not None:
                            _LOG.error("a bug in a pool", pool=name, exc_info=task.exception())
                        self._wakes[name] = asyncio.Event()
                        self._tasks[name] = asyncio.create_task(self._keep(name))
                await asyncio.sleep(self._site.settings.provision_s)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def check(self, asked: Provision) -> None:
        """See that this server may and can start workers like this.

        Raises:
            BadValue: it may not, Parsl is not there, or the provider does not take the options.
        """
        allowed = self._site.settings.provision
        if asked.provider not in allowed:
            raise BadValue(
                f"this server starts no workers by {asked.provider}: what starts them runs as the "
                "server's account, so whoever owns its machine has to allow it: write "
                f"provision = {[*allowed, asked.provider]} into server.toml, and start it again"
            )
        desk = DeskProcess()
        try:
            told = await desk.ask(Ask(asked, str(self._home)))
        except DeskDied as error:
            raise BadValue(f"{asked.provider} cannot be asked: {error}") from None
        finally:
            await desk.stop()
        if told.error:
            raise BadValue(told.error)

    def wake(self, name: str) -> None:
        """Look at a pool now: it was changed."""
        if name in self._wakes:
            self._wakes[name].set()

    async def _keep(self, name: str) -> None:
        """Look at a pool, until it is no more."""
        memory, desk = Memory(), DeskProcess()
        try:
            while name in self._site.runtime.holdings.pools.by_name:
                # Before the look: what is changed while it lasts wants one more.
                self._wakes[name].clear()
                try:
                    await self._look(name, memory, desk)
                except (CopernicusError, OSError) as error:
                    _LOG.warning("a pool was not looked at", pool=name, reason=str(error))
                await within(self._site.settings.provision_s, self._wakes[name])
        finally:
            await desk.stop()

    async def _look(self, name: str, memory: Memory, desk: DeskProcess) -> None:
        site = self._site
        runtime, server = site.runtime, self._server()
        poll_s = site.settings.provision_poll_s
        made = await runtime.do(lambda batch: plan(batch, name, memory, server, self._home, poll_s))
        if made is None:
            return
        for worker in made.drained:
            runtime.send_away(worker)
        if made.is_empty:
            await self._settle(name, made, Told())
            return
        await asyncio.to_thread(_write_bundles, made)
        try:
            told = await desk.ask(made.ask)
        except DeskDied:
            # Nobody knows what was submitted: the next look asks for it by name.
            memory.polled = 0.0
            return
        await self._settle(name, made, told)

    async def _settle(self, name: str, made: Plan, told: Told) -> None:
        runtime = self._site.runtime
        standing = runtime.holdings.pools.standing(name)
        over = [
            one
            for one in standing
            if one.job in told.states and told.states[one.job].state in ("ended", "failed")
        ]
        left = await asyncio.to_thread(_leftovers, over)
        gone = await runtime.do(
            lambda batch: (
                apply(batch, name, made, told, left) if name in batch.holdings.pools.by_name else []
            )
        )
        await asyncio.to_thread(_remove, gone)

    def _server(self) -> BundleReply:
        site = self._site
        return BundleReply(
            site.authority.server_id,
            site.machine_urls,
            site.user_urls,
            site.authority.ca_pem,
            "",
            "",
            0.0,
        )


def _write_bundles(made: Plan) -> None:
    """The only place where the secret that lets a worker join is kept, with mode 0600."""
    for folder, reply in made.bundles.items():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_folder(folder)
        write_worker_bundle(
            folder / BUNDLE,
            WorkerBundle(
                reply.server_id,
                reply.urls,
                reply.join_urls,
                reply.ca_pem,
                reply.pool,
                reply.join_token,
                datetime.fromtimestamp(reply.expires, UTC),
            ),
        )
    scripts = Path(made.ask.scripts)
    if made.ask.submit:
        make_private_folder(scripts.parent)
        make_private_folder(scripts)


def _leftovers(over: list[Allocation]) -> Leftovers:
    found = Leftovers()
    for one in over:
        folder = Path(one.folder)
        with contextlib.suppress(OSError):
            if left_results(folder):
                found.results.add(one.id)
            found.said[one.id] = last_words(folder, one.kept)
    return found


def _remove(folders: list[Path]) -> None:
    """Remove what ended allocations left, but for results that nobody has taken."""
    for folder in folders:
        with contextlib.suppress(OSError, BadSettings):
            if folder.is_dir() and not left_results(folder):
                shutil.rmtree(folder)
            for script in (folder.parent / "scripts").glob(f"*-{folder.name}.*"):
                script.unlink(missing_ok=True)
