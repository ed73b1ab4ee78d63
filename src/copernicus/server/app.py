"""The server put together: store, runtime, evaluators, two ports in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import uvloop

from copernicus.calling.waiting import within
from copernicus.crashpoints import passing
from copernicus.errors import CopernicusError, ServerBusy
from copernicus.evaluator.frames import Catalog
from copernicus.model.effects import Effect
from copernicus.model.evaluation import Start
from copernicus.model.reports import Report
from copernicus.scheduling import SchedulerSettings
from copernicus.security.identity import Authority
from copernicus.security.tls import load_server_leaf, server_context
from copernicus.server.accounts import Doorkeeper
from copernicus.server.batch import Batch
from copernicus.server.clock import Clock, wall
from copernicus.server.database import open_store
from copernicus.server.evaluators import Evaluators
from copernicus.server.feed import Feed
from copernicus.server.files import FileRights
from copernicus.server.filestore import claim_blobs, open_blobs
from copernicus.server.folder import (
    IDENTITY,
    Running,
    forget_running,
    own_names,
    settings_of,
    write_bundle,
    write_running,
)
from copernicus.server.holdings import Holdings
from copernicus.server.http.tunnels import Tunnels
from copernicus.server.metrics import Metrics
from copernicus.server.peeking import Knocks
from copernicus.server.ports import (
    bind,
    first_of,
    make_ports,
    port_of,
    raise_file_limit,
    until_started,
)
from copernicus.server.previews import Previews
from copernicus.server.provisioner import Provisioner
from copernicus.server.relay.relay import Relay
from copernicus.server.retention import collect_all
from copernicus.server.room import Room, keep_room
from copernicus.server.runtime import Runtime
from copernicus.server.site import Site
from copernicus.server.snapshots import take_due
from copernicus.server.uploads import KEPT_S, Uploads
from copernicus.settings import ServerSettings
from copernicus.store.backup import upkeep
from copernicus.store.store import Store
from copernicus.telemetry import ensure_logging, get_logger

_LOG = get_logger("server")
_UPKEEP_S: Final = 60.0
_SNAPSHOTS_S: Final = 60.0
_DISK_FAILED: Final = 70


def run_server(folder: Path, overrides: Mapping[str, Any] | None = None) -> None:
    """Run the server of a folder in this process until it is told to stop (SIGTERM, Ctrl+C).

    Raises:
        BadSettings: there is none, a setting is wrong, a port is taken, it is running already.
    """
    os.umask(0o077)
    raise_file_limit()
    settings = settings_of(folder, overrides)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(folder, settings))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


async def serve(
    folder: Path,
    settings: ServerSettings | None = None,
    ready: Callable[[Running], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until ``stop`` is set, or SIGTERM or SIGINT comes (in the main thread).

    Args:
        folder: made by ``init_server``.
        settings: default: those of the folder.
        ready: told once both ports answer.
        stop: to end from within the process.

    Raises:
        BadSettings: there is no server, it runs already, or a port cannot be bound.
    """
    settings = settings or settings_of(folder)
    ensure_logging(level=settings.log_level, as_json=settings.log_json)
    stop = stop or asyncio.Event()
    with contextlib.ExitStack() as stack:
        # Until everything is closed: a second Ctrl-C must not break the ending.
        stack.enter_context(_signals(stop))
        store = stack.enter_context(open_store(folder, settings))
        claim_blobs(settings, store)
        machine = stack.enter_context(bind(settings.host, settings.machine_port, "machine_port"))
        user = stack.enter_context(bind(settings.host, settings.user_port, "user_port"))
        async with _site(folder, settings, store) as site:
            site.machine_port, site.user_port = port_of(machine), port_of(user)
            await _listen(folder, site, machine, user, ready, stop)


@contextlib.asynccontextmanager
async def _site(folder: Path, settings: ServerSettings, store: Store) -> AsyncIterator[Site]:
    """Everything but the ports: loaded, its open work taken up again; ended at the end."""
    clock = Clock()
    holdings = Holdings(_for_the_scheduler(settings))
    await asyncio.to_thread(holdings.load, store, clock.now())
    passing("server.loaded")
    feed = Feed(store, settings.keep_alive_s)
    wiring = _Wiring(holdings)
    wiring.runtime = runtime = Runtime(holdings, store, feed, clock, wiring.carry_out)
    wiring.evaluators = evaluators = Evaluators(
        settings, wiring.report, wiring.find_start, wiring.new_catalog
    )
    previews = Previews(settings, runtime)
    metrics = Metrics()
    runtime.on_commit = metrics.committed
    running = asyncio.create_task(runtime.run())
    try:
        await evaluators.start()
        await runtime.do(Batch.open_work)
        blobs = await asyncio.to_thread(open_blobs, folder, settings, on_failure=_end_of_disk)
        passing("server.reopened")
        yield Site(
            settings=settings,
            clock=clock,
            store=store,
            blobs=blobs,
            authority=Authority.load(folder / IDENTITY),
            runtime=runtime,
            feed=feed,
            doorkeeper=Doorkeeper(settings),
            files=FileRights(store),
            uploads=Uploads(store, blobs),
            previews=previews,
            names=settings.names or own_names(),
            identity=folder / IDENTITY,
            knocks=Knocks(),
            room=Room(folder, settings.min_free_mb),
            metrics=metrics,
        )
    finally:
        await previews.stop()
        await evaluators.stop()
        with contextlib.suppress(ServerBusy):
            await runtime.do(note_seen)
        runtime.stop()
        await running


def _for_the_scheduler(settings: ServerSettings) -> SchedulerSettings:
    return SchedulerSettings(
        lease_s=settings.lease_s,
        heartbeat_s=settings.heartbeat_s,
        checkpoint_interval_s=settings.checkpoint_interval_s,
        share_interval_s=settings.share_interval_s,
        backoff_max_s=settings.backoff_max_s,
        quarantine_failures=settings.quarantine_failures,
        quarantine_window_s=settings.quarantine_window_s,
        quarantine_s=settings.quarantine_s,
        quarantine_max_s=settings.quarantine_max_s,
    )


def _end_of_disk(error: OSError) -> None:
    """After a failed sync nobody knows what is on the disk: the next start reads what is."""
    _LOG.critical("the disk failed; ending at once: check it, then start again", exc_info=error)
    os._exit(_DISK_FAILED)


class _Wiring:
    """Who tells whom: the runtime's effects to the evaluators, their reports to the runtime."""

    runtime: Runtime
    evaluators: Evaluators

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def carry_out(self, effects: list[tuple[str, Effect]]) -> None:
        for project, effect in effects:
            self.evaluators.carry_out(project, effect)

    def report(self, project: str, report: Report) -> None:
        self.runtime.post(lambda batch: batch.report(project, report))

    async def find_start(self, project: str, path: str, eid: str, number: int) -> Start | None:
        return await self.runtime.do(lambda batch: batch.start_of(project, path, eid, number))

    def new_catalog(self, catalog: Catalog) -> None:
        self._holdings.catalog = {spec.name: spec for spec in catalog.functions}
        self._holdings.broken = catalog.broken
        self._holdings.modules = catalog.modules


def note_seen(batch: Batch) -> None:
    """Keep when workers were last heard of, now and then: not worth a commit of its own."""
    seen = batch.holdings.machines.take_seen()
    if seen:
        batch.write(lambda tx: tx.touch_workers(seen))


async def _listen(
    folder: Path,
    site: Site,
    machine: socket.socket,
    user: socket.socket,
    ready: Callable[[Running], None] | None,
    stop: asyncio.Event,
) -> None:
    identity = folder / IDENTITY
    site.authority.renew_leaf_if_due(wall(), site.names)
    contexts = [
        server_context(identity, require_client_certificate=True),
        server_context(identity, require_client_certificate=False),
    ]
    site.tunnels = tunnels = Tunnels(site)
    ports = make_ports(site, tunnels, contexts)
    site.connections = lambda: [one for port in ports for one in port.server_state.connections]
    tasks = [
        asyncio.create_task(port.serve(sockets=[sock]))
        for port, sock in zip(ports, (machine, user), strict=True)
    ]
    site.provisioner = Provisioner(site, folder)
    upkeep = [
        asyncio.create_task(site.provisioner.run()),
        asyncio.create_task(_upkeep(site, identity, contexts)),
        asyncio.create_task(_sweeping(site, folder)),
        asyncio.create_task(_snapshots(site)),
        asyncio.create_task(keep_room(site)),
        asyncio.create_task(tunnels.run()),
    ]
    site.relay = Relay(site)
    try:
        await until_started(ports, tasks)
        upkeep.append(asyncio.create_task(site.relay.run()))
        _announce(folder, site, ready)
        passing("server.announced")
        await first_of(stop, tasks)
    finally:
        for task in upkeep:
            task.cancel()
        await asyncio.gather(*upkeep, return_exceptions=True)
        passing("stop.begun")
        forget_running(folder)
        site.runtime.release_waiting()
        site.feed.close()
        for port in ports:
            port.should_exit = True
        await asyncio.gather(*tasks)
        passing("stop.answered")
        _LOG.info("stopped")


def _announce(folder: Path, site: Site, ready: Callable[[Running], None] | None) -> None:
    running = Running(
        os.getpid(),
        site.authority.server_id,
        site.settings.host,
        site.machine_port,
        site.user_port,
        site.clock.now(),
    )
    write_bundle(folder, site.authority, site.names, site.user_port)
    write_running(folder, running)
    _LOG.info(
        "serving",
        server_id=running.server_id,
        machine_port=running.machine_port,
        user_port=running.user_port,
        functions=len(site.runtime.holdings.catalog),
    )
    if ready is not None:
        ready(running)


async def _upkeep(site: Site, identity: Path, contexts: list[ssl.SSLContext]) -> None:
    while True:
        await asyncio.sleep(_UPKEEP_S)
        site.runtime.post(note_seen)
        now = site.clock.now()
        site.runtime.post(lambda batch, now=now: _end_sessions(batch, now))  # type: ignore[misc]
        if await asyncio.to_thread(site.authority.renew_leaf_if_due, wall(), site.names):
            for context in contexts:
                load_server_leaf(context, identity)
            _LOG.info("renewed the certificate")


async def _snapshots(site: Site) -> None:
    while True:
        await asyncio.sleep(_SNAPSHOTS_S)
        await take_due(site)


async def _sweeping(site: Site, folder: Path) -> None:
    """Remove, now and then or when it is wanted, files that nothing names any more."""
    wanted = asyncio.Event()
    site.sweep_now = wanted.set
    while True:
        await within(site.settings.sweep_every_s, wanted)
        wanted.clear()
        site.runtime.post(_forget_uploads)
        try:
            await collect_all(site)
            swept = await asyncio.to_thread(_sweep, site, folder)
        except CopernicusError as error:
            _LOG.error("files were not swept", reason=error.message)
        else:
            _LOG.info("swept files", removed=swept)
            if site.relay is not None:
                await site.relay.cache.trim()


def _forget_uploads(batch: Batch) -> None:
    before = batch.now - KEPT_S
    batch.write(lambda tx: tx.sweep_uploads(before))


def _sweep(site: Site, folder: Path) -> str:
    after = site.settings.sweep_after_s
    # Not while a backup copies what its database names.
    with upkeep(folder):
        return str(site.blobs.sweep(site.files.all_referred(), older_than=after))


def _end_sessions(batch: Batch, now: float) -> None:
    accounts = batch.holdings.accounts
    over = [key for key, session in accounts.sessions.items() if now >= session.expires]
    if over:
        for key in over:
            accounts.end(key)
        batch.write(lambda tx: tx.sweep_expired(now))


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        # In place of what the loop has just put back: that would break off its last steps.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
