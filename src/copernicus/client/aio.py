"""The client for ``asyncio``: the same calls, awaited; each runs in a thread beside the loop.

There is one implementation, the synchronous one. ``in_thread`` makes a coroutine function of one
of its methods, with the same arguments, types and documentation.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from copernicus.client.client import Client
from copernicus.client.edits import Transaction
from copernicus.client.live import Watcher
from copernicus.client.peeking import LIVE, LOOK_S, LogReader
from copernicus.client.project import Project
from copernicus.client.waiting import waits
from copernicus.protocol import EditReply, FeedEntry

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

_LOOK_S = 0.25


class _Wrapping(Generic[S]):
    """Something with a synchronous object inside: ``sync``."""

    def __init__(self, sync: S) -> None:
        self.sync = sync

    def __repr__(self) -> str:
        return repr(self.sync).replace("<", "<Async", 1)


class _Wraps(Protocol[S_co]):
    """What has a synchronous object inside."""

    @property
    def sync(self) -> S_co:
        """That object."""


def in_thread(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[_Wraps[S], P], Coroutine[Any, Any, R]]:
    """A method of the synchronous object as a coroutine function of the one that wraps it."""

    @functools.wraps(method)
    async def call(self: _Wraps[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)

    return call


def opening(
    method: Callable[Concatenate[Client, P], Project],
) -> Callable[Concatenate[_Wrapping[Client], P], Coroutine[Any, Any, AsyncProject]]:
    """The same for a method that gives a project."""

    @functools.wraps(method)
    async def call(self: _Wrapping[Client], /, *args: P.args, **kwargs: P.kwargs) -> AsyncProject:
        return AsyncProject(await asyncio.to_thread(method, self.sync, *args, **kwargs))

    return call


class AsyncProject(_Wrapping[Project]):
    """A project: every method of ``Project``, awaited. ``sync`` is the ``Project`` itself."""

    view = in_thread(Project.view)
    preview = in_thread(Project.preview)
    instances = in_thread(Project.instances)
    status = in_thread(Project.status)
    instance_detail = in_thread(Project.instance_detail)
    value = in_thread(Project.value)
    get = in_thread(Project.get)
    table = in_thread(Project.table)
    trace = in_thread(Project.trace)
    why = in_thread(Project.why)
    history = in_thread(Project.history)
    reproduce = in_thread(Project.reproduce)
    reproduction = in_thread(Project.reproduction)
    decisions = in_thread(Project.decisions)
    pins = in_thread(Project.pins)
    jobs = in_thread(Project.jobs)
    job = in_thread(Project.job)
    ended_jobs = in_thread(Project.ended_jobs)
    partial = in_thread(Project.partial)
    peek = in_thread(Project.peek)
    series = in_thread(Project.series)
    watched = in_thread(Project.watched)
    journal = in_thread(Project.journal)
    set_priority = in_thread(Project.set_priority)
    set_share = in_thread(Project.set_share)
    set_retention = in_thread(Project.set_retention)
    set_verification = in_thread(Project.set_verification)
    collect = in_thread(Project.collect)
    share = in_thread(Project.share)
    unshare = in_thread(Project.unshare)
    delete = in_thread(Project.delete)
    save = in_thread(Project.save)

    add = in_thread(Project.add)
    remove = in_thread(Project.remove)
    rename = in_thread(Project.rename)
    copy = in_thread(Project.copy)
    connect = in_thread(Project.connect)
    set = in_thread(Project.set)
    append = in_thread(Project.append)
    extend = in_thread(Project.extend)
    unset = in_thread(Project.unset)
    activate = in_thread(Project.activate)
    hold = in_thread(Project.hold)
    pause = in_thread(Project.pause)
    resume = in_thread(Project.resume)
    retry = in_thread(Project.retry)
    cancel = in_thread(Project.cancel)
    skip = in_thread(Project.skip)
    define = in_thread(Project.define)
    edit = in_thread(Project.edit)
    check = in_thread(Project.check)
    commit = in_thread(Project.commit)
    network = in_thread(Project.network)
    diff = in_thread(Project.diff)
    revert = in_thread(Project.revert)
    revert_edits = in_thread(Project.revert_edits)

    @property
    def name(self) -> str:
        """Its name."""
        return self.sync.name

    @asynccontextmanager
    async def transaction(
        self, expected_revision: int | None = None
    ) -> AsyncIterator[AsyncTransaction]:
        """Edits that are sent as one: make them through what ``async with`` gives.

        Args:
            expected_revision: refuse if the project has another one by then.

        Raises:
            UserError: What is wrong with them; nothing was changed.
        """
        async with _collecting(self.sync, lambda own: own.transaction(expected_revision)) as inside:
            yield inside

    @asynccontextmanager
    async def draft(self, base_revision: int | None = None) -> AsyncIterator[AsyncTransaction]:
        """A transaction in which every edit is checked at once; see ``Project.draft``.

        Args:
            base_revision: refuse if a path that it touches was changed after this revision;
                default: that of the beginning.

        Raises:
            UserError: What is wrong with an edit; nothing was changed.
        """
        async with _collecting(self.sync, lambda own: own.draft(base_revision)) as inside:
            yield inside

    async def wait(
        self,
        path: str = "",
        timeout: float | None = None,  # noqa: ASYNC109  # as in Project.wait
        *,
        show: bool | None = None,
    ) -> None:
        """Wait until an instance is done; see ``Project.wait``. Cancelling it ends the waiting."""
        pauses = waits(self.sync, path, timeout, show)
        try:
            while True:
                pause = await asyncio.to_thread(next, pauses, None)
                if pause is None:
                    return
                await asyncio.sleep(pause)
        finally:
            _close(pauses)

    async def follow_log(self, job: str) -> AsyncIterator[str]:
        """As ``Project.follow_log``."""
        reader = LogReader()
        while True:
            view = await self.watched(job)
            for text in reader.new(view):
                yield text
            if view.state not in LIVE:
                return
            await asyncio.sleep(LOOK_S)

    async def events(self, since: int | None = None) -> AsyncIterator[FeedEntry]:
        """What happens, as it happens; goes on by itself after a broken line, missing nothing.

        Args:
            since: begin after this position; default: from now on.
        """
        begin = (await self.view()).position if since is None else since
        watcher = Watcher(self.sync, begin)
        try:
            while True:
                for entry in await asyncio.to_thread(watcher.take, _LOOK_S):
                    yield entry
        finally:
            watcher.close()


class AsyncTransaction(AsyncProject):
    """A project whose edits are collected; ``reply`` is there after the end."""

    reply: EditReply | None = None


@asynccontextmanager
async def _collecting(
    project: Project, begin: Callable[[Project], AbstractContextManager[Transaction]]
) -> AsyncIterator[AsyncTransaction]:
    # A copy of its own: what other tasks do to the project meanwhile is not part of it.
    inside = AsyncTransaction(copy.copy(project))
    manager = begin(inside.sync)
    collected = await asyncio.to_thread(manager.__enter__)
    try:
        yield inside
    except BaseException as error:
        manager.__exit__(type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)
    inside.reply = collected.reply


class AsyncClient(_Wrapping[Client]):
    """A server, as the user of a profile sees it: every method of ``Client``, awaited.

    Args:
        profile: the name of one; default: the current one.
        config: the folder with the profiles.

    Raises:
        NotAuthenticated: there is no login.
    """

    def __init__(self, profile: str | None = None, *, config: Path | None = None) -> None:
        super().__init__(Client(profile, config=config))

    @classmethod
    def of(cls, client: Client) -> Self:
        """The same client, for ``asyncio``."""
        made = cls.__new__(cls)
        made.sync = client
        return made

    @classmethod
    async def login(cls, *args: Any, **kwargs: Any) -> Self:
        """Log in; the arguments are those of ``Client.login``."""
        return cls.of(await asyncio.to_thread(Client.login, *args, **kwargs))

    @classmethod
    async def with_token(cls, *args: Any, **kwargs: Any) -> Self:
        """Use a token; the arguments are those of ``Client.with_token``."""
        return cls.of(await asyncio.to_thread(Client.with_token, *args, **kwargs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    close = in_thread(Client.close)
    logout = in_thread(Client.logout)
    health = in_thread(Client.health)
    me = in_thread(Client.me)
    projects = in_thread(Client.projects)
    functions = in_thread(Client.functions)
    modules = in_thread(Client.modules)
    project_functions = in_thread(Client.project_functions)
    function = in_thread(Client.function)
    jobs = in_thread(Client.jobs)
    workers = in_thread(Client.workers)
    worker_bundle = in_thread(Client.worker_bundle)
    pools = in_thread(Client.pools)
    provision_pool = in_thread(Client.provision_pool)
    remove_pool = in_thread(Client.remove_pool)
    set_pool = in_thread(Client.set_pool)
    drain = in_thread(Client.drain)
    resume_worker = in_thread(Client.resume_worker)
    revoke = in_thread(Client.revoke)
    users = in_thread(Client.users)
    add_user = in_thread(Client.add_user)
    remove_user = in_thread(Client.remove_user)
    set_password = in_thread(Client.set_password)
    set_admin = in_thread(Client.set_admin)
    own_token = in_thread(Client.own_token)
    tokens = in_thread(Client.tokens)
    make_token = in_thread(Client.make_token)
    end_token = in_thread(Client.end_token)
    join_tokens = in_thread(Client.join_tokens)
    revoke_join_token = in_thread(Client.revoke_join_token)
    peers = in_thread(Client.peers)
    servers = in_thread(Client.servers)
    invite_peer = in_thread(Client.invite_peer)
    add_peer = in_thread(Client.add_peer)
    trust_peer = in_thread(Client.trust_peer)
    suspend_peer = in_thread(Client.suspend_peer)
    resume_peer = in_thread(Client.resume_peer)
    remove_peer = in_thread(Client.remove_peer)
    change_peer = in_thread(Client.change_peer)
    audit = in_thread(Client.audit)
    check_audit = in_thread(Client.check_audit)
    create_project = opening(Client.create_project)
    project = opening(Client.project)
    load_project = opening(Client.load_project)


def _close(pauses: Iterator[float]) -> None:
    # After a cancelled wait its thread may still be looking; it ends by itself after that look.
    with suppress(ValueError):
        pauses.close()  # type: ignore[attr-defined]  # it is a generator
