"""``Project``: what is in it, what it holds, what happens; and, from ``Drafting``, changing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from copernicus.client.diff import Change, differences
from copernicus.client.drafting import Drafting
from copernicus.client.files import BlobPort
from copernicus.client.network import Instance
from copernicus.client.peeking import Peeking
from copernicus.client.transport import Transport
from copernicus.client.values import revive
from copernicus.errors import NotFound, ServerBusy, ServerUnreachable
from copernicus.model.document import NetworkDocument
from copernicus.model.edits import Edit
from copernicus.model.retention import Retention
from copernicus.model.verification import Verification
from copernicus.protocol import (
    CollectReply,
    CollectRequest,
    DecisionView,
    EditReply,
    EditRequest,
    FeedEntry,
    InstanceDetail,
    InstanceView,
    JobPage,
    JobPriority,
    JobView,
    Member,
    PinView,
    PreviewReply,
    ProjectView,
    RevisionView,
    ShareChange,
    Trace,
    ValueView,
    WhyView,
)
from copernicus.protocol.reproductions import ReproduceRequest, ReproductionView

if TYPE_CHECKING:
    import pandas as pd

    from copernicus.client.moving import Manifest

_PAGE, _PAGE_TRIES = 10_000, 5
_RECONNECT_S = (0.5, 1.0, 2.0, 5.0, 10.0)


class Project(Drafting, Peeking):
    """A project on a server. Closing the program loses nothing: all of it is at the server."""

    def __init__(self, transport: Transport, name: str) -> None:
        super().__init__()
        self.name = name
        self._transport = transport
        self._base = f"/v1/projects/{quote(name, safe='')}"
        self.files = BlobPort(transport, self._base)

    def __repr__(self) -> str:
        return f"<Project {self.name}>"

    def _commit(self, edits: Sequence[Edit], expected_revision: int | None) -> EditReply:
        return self._send(EditRequest(tuple(edits), expected_revision))

    def _send(self, request: EditRequest) -> EditReply:
        return self._transport.post(f"{self._base}/edits", request, EditReply)

    def _preview(self, edits: Sequence[Edit], expected_revision: int | None) -> PreviewReply:
        request = EditRequest(tuple(edits), expected_revision)
        return self._transport.post(f"{self._base}/preview", request, PreviewReply)

    def preview(self, *edits: Edit) -> PreviewReply:
        """What a transaction of these edits would do; nothing is changed.

        Raises:
            UserError: What is wrong with them.
            ServerBusy: Others' previews take all the time.
        """
        return self._preview(edits, None)

    # --- what is in it

    def view(self) -> ProjectView:
        """Name, owner, state, revision, members, and elements by state."""
        return self._transport.get(self._base, ProjectView)

    def instances(self) -> list[InstanceView]:
        """All instances with their states."""
        return self._transport.get(f"{self._base}/instances", list[InstanceView])

    def status(self) -> tuple[ProjectView, list[InstanceView]]:
        """The project and its instances."""
        return self.view(), self.instances()

    def __getitem__(self, path: str) -> Instance:
        return Instance(self, path)

    def _ipython_key_completions_(self) -> list[str]:
        return [view.path for view in self.instances()]

    def _repr_html_(self) -> str:
        from copernicus.client.display import project_html

        return project_html(self)

    def instance(self, path: str) -> Instance:
        """A handle on an instance.

        Raises:
            NotFound: There is none.
        """
        self.instance_detail(path, 0, 1)
        return Instance(self, path)

    def instance_detail(self, path: str, start: int = 0, count: int = 100) -> InstanceDetail:
        """Everything about an instance, with elements ``start`` to ``start + count``."""
        return self._transport.get(
            f"{self._base}/instance", InstanceDetail, path=path, start=start, count=count
        )

    def value(self, path: str) -> ValueView:
        """The value at a path, with its type and state; files as plain data.

        A long list is fetched in pages, so that the server does not stop for it.

        Raises:
            ServerBusy: The list changes faster than it can be fetched.
        """
        for _ in range(_PAGE_TRIES):
            first = self._page(path, 0)
            values, left_out, seen = first.value, list(first.left_out), first
            while seen.total and len(values) < seen.total:
                seen = self._page(path, len(values))
                if (seen.edition, seen.total) != (first.edition, first.total):
                    break
                values += seen.value
                left_out += seen.left_out
            else:
                whole = {"value": values, "left_out": tuple(dict.fromkeys(left_out))}
                return msgspec.structs.replace(first, **whole, total=0, edition="")
        raise ServerBusy(f"{path} changes faster than it can be fetched: try again later")

    def _page(self, path: str, start: int) -> ValueView:
        return self._transport.get(
            f"{self._base}/value", ValueView, path=path, start=start, count=_PAGE
        )

    def get(self, path: str) -> Any:
        """The value at a path as a Python object.

        Numbers are plain numbers (``value(path).unit`` is their unit), records are ``Record``,
        files are ``RemoteFile``: fetched when they are opened.

        Raises:
            NotFound: There is no such path, or no value yet.
        """
        return revive(self._valued(path).value, self.files)

    def _valued(self, path: str) -> ValueView:
        view = self.value(path)
        if view.state in ("unset", "waiting"):
            reason = f"; it waits for {'; '.join(view.left_out)}" if view.left_out else ""
            raise NotFound(f"{path} has no value yet (it is {view.state}{reason})")
        return view

    def table(self, path: str) -> pd.DataFrame:
        """The value at a path as a pandas ``DataFrame`` (``pip install 'copernicus[pandas]'``).

        A list of records has a row for each element and a column for each member; a list of
        anything else has the column ``value``; a ``.csv`` or ``.tsv`` file is read. The units of
        the numbers, if they have one, are in ``frame.attrs["unit"]``.

        Raises:
            BadValue: It is no table.
            NotFound: There is no such path, or no value yet.
        """
        from copernicus.client.tables import table_of

        view = self._valued(path)
        made = table_of(revive(view.value, self.files), path)
        made.attrs["unit"] = view.unit
        return made

    def trace(self, path: str, depth: int = 0) -> Trace:
        """Where a value comes from, or what an instance, element or activation did.

        Args:
            path: as ``run.out.xtc[0]``, ``run``, ``run[3]``, or an activation: ``a12``.
            depth: how many steps back; 0 goes to the end.
        """
        return self._transport.get(f"{self._base}/trace", Trace, path=path, depth=depth)

    def why(self, path: str = "") -> WhyView:
        """Why an instance or an element (``run[3]``; default: anything) is not done.

        Returns:
            The causes at their roots, the worst first, with commands that may help.
        """
        return self._transport.get(f"{self._base}/why", WhyView, path=path)

    def decisions(self, path: str) -> list[DecisionView]:
        """What a workflow instance has decided once, and what that left out."""
        return self._transport.get(f"{self._base}/decisions", list[DecisionView], path=path)

    def pins(self) -> list[PinView]:
        """Inputs inside workflows that somebody has set by hand."""
        return self._transport.get(f"{self._base}/pins", list[PinView])

    def reproduce(self, path: str, *, elsewhere: bool = False) -> ReproductionView:
        """Run what made a value again, beside the project; nothing in the project changes.

        Args:
            path: of the value, or what else names an activation.
            elsewhere: not on the worker, nor at the peer, that made it.
        """
        wanted = ReproduceRequest(path, elsewhere)
        return self._transport.post(f"{self._base}/reproductions", wanted, ReproductionView)

    def reproduction(self, job: str) -> ReproductionView:
        """How far a repeated run is, and what it gave."""
        where = f"{self._base}/reproductions/{quote(job, safe='')}"
        return self._transport.get(where, ReproductionView)

    def history(self) -> list[RevisionView]:
        """The revisions: who changed what, when."""
        return self._transport.get(f"{self._base}/history", list[RevisionView])

    def network(self, revision: int | None = None) -> NetworkDocument:
        """The top network as a document: of now, or as it was at a revision.

        Raises:
            NotFound: There is no such revision (yet).
        """
        place = f"{self._base}/network"
        if revision is None:
            return self._transport.get(place, NetworkDocument)
        return self._transport.get(place, NetworkDocument, revision=revision)

    def diff(self, first: int, second: int | None = None) -> list[Change]:
        """What is different in the network of ``second`` (default: now) from that of ``first``."""
        return differences(self.network(first), self.network(second))

    def jobs(self) -> list[JobView]:
        """The project's jobs."""
        return self._transport.get(f"{self._base}/jobs", list[JobView])

    def job(self, job: str) -> JobView:
        """One job, with why it does not run yet."""
        return self._transport.get(f"{self._base}/jobs/{quote(job, safe='')}", JobView)

    def ended_jobs(self, older: str = "", count: int = 100) -> JobPage:
        """Jobs that have ended, newest first; ``older`` is that of the page before."""
        return self._transport.get(f"{self._base}/ended-jobs", JobPage, older=older, count=count)

    def set_priority(self, job: str, priority: int | None) -> JobView:
        """Change the priority of a job that has not ended; ``None``: its function's own again."""
        path = f"{self._base}/jobs/{quote(job, safe='')}/priority"
        return self._transport.put(path, JobPriority(priority), JobView)

    def set_share(
        self,
        *,
        weight: float | None = None,
        priority: int | None = None,
        pools: Sequence[str] | None = None,
    ) -> ProjectView:
        """Change the project's part of the workers; what is not given stays.

        Args:
            weight: Projects with work get cores in proportion to it (administrators only).
            priority: Added to the priority of each of its jobs.
            pools: The only pools whose workers it uses; an empty list means all.
        """
        change = ShareChange(weight, priority, None if pools is None else tuple(pools))
        return self._transport.put(f"{self._base}/share", change, ProjectView)

    def set_retention(
        self, days: float | None = None, of: Mapping[str, float | None] | None = None
    ) -> ProjectView:
        """Set for how long files of results stay that nothing uses; ``None`` is for ever.

        Args:
            days: for all functions.
            of: for a function, or for one of its outputs (``gromacs.mdrun.out.trajectory``).
        """
        rules = Retention(days, dict(of or {}))
        return self._transport.put(f"{self._base}/retention", rules, ProjectView)

    def set_verification(
        self, fraction: float, *, tolerance: float = 0.0, of: Sequence[str] = ()
    ) -> ProjectView:
        """Set how much of what peers gave is run again elsewhere (administrators only).

        Args:
            fraction: 0 (nothing) to 1 (everything).
            tolerance: how far numbers may be apart, relative to the larger one.
            of: the only functions; an empty list means all. One that is stochastic never is.
        """
        rule = Verification(fraction, tolerance, tuple(of))
        return self._transport.put(f"{self._base}/verification", rule, ProjectView)

    def collect(self, *, dry_run: bool = True) -> CollectReply:
        """Remove the files that go by the rules of retention, or only tell which."""
        return self._transport.post(
            f"{self._base}/collect", CollectRequest(dry_run=dry_run), CollectReply
        )

    # --- what happens

    def journal(self, since: int = 0, limit: int = 1000) -> list[FeedEntry]:
        """What happened after a position, at most ``limit`` entries."""
        return self._transport.get(
            f"{self._base}/journal", list[FeedEntry], since=since, limit=limit
        )

    def events(
        self,
        since: int | None = None,
        *,
        lost: Callable[[str], None] | None = None,
        patience_s: float | None = None,
    ) -> Iterator[FeedEntry]:
        """What happens, as it happens; goes on by itself after a broken line, missing nothing.

        Args:
            since: begin after this position; default: from now on.
            lost: told why, each time that the line breaks (``""`` when it is back).
            patience_s: give up when there was no answer for so long; default: never.

        Raises:
            ServerUnreachable: Its patience is over.
        """
        position = self.view().position if since is None else since
        silent_since, failures = time.monotonic(), 0
        while True:
            try:
                with self._transport.events_from(f"{self._base}/events", position) as stream:
                    for data in stream:
                        if failures and lost is not None:
                            lost("")
                        failures = 0
                        entry = msgspec.json.decode(data, type=FeedEntry)
                        position = max(position, entry.position)
                        yield entry
                        silent_since = time.monotonic()
            except (ServerUnreachable, ServerBusy) as error:
                if patience_s is not None and time.monotonic() - silent_since > patience_s:
                    raise
                if lost is not None:
                    lost(error.message)
                failures += 1
            time.sleep(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])

    def wait(
        self, path: str = "", timeout: float | None = None, *, show: bool | None = None
    ) -> None:
        """Wait until an instance is done; without a path, all active ones.

        Args:
            path: of the instance.
            timeout: seconds.
            show: progress on the terminal or in the notebook; default: if there is one.

        Raises:
            WorkFailed: It failed, or waits for something that failed or is held.
            TimeoutError: The time is over; the project goes on.
        """
        from copernicus.client.waiting import waits

        for pause in waits(self, path, timeout, show):
            time.sleep(pause)

    # --- who may do what

    def share(self, user: str, role: str = "editor") -> ProjectView:
        """Let a user in as ``owner``, ``editor`` or ``viewer``."""
        member = msgspec.convert({"user": user, "role": role}, Member)
        return self._transport.put(f"{self._base}/members", member, ProjectView)

    def unshare(self, user: str) -> None:
        """Let a user in no more."""
        self._transport.send("DELETE", f"{self._base}/members/{quote(user, safe='')}")

    def save(self, file: Path | str) -> Manifest:
        """Write the whole project to a file, for another server; it goes on here meanwhile.

        Raises:
            Conflict: There is such a file.
            BadValue: It cannot be written.
            NotAllowed: Only its owners may.
        """
        from copernicus.client.moving import save

        return save(self._transport, self._base, Path(file), self.progress)

    def delete(self) -> None:
        """Delete the project with all its values, for ever."""
        self._transport.send("DELETE", self._base)
