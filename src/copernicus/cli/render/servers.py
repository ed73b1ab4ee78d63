"""``cpc network``: a server, its workers, its peers and what is behind them, as a tree."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from copernicus.cli.output import one_line
from copernicus.cli.render.states import state_text
from copernicus.cli.render.tables import ago, counted, short_id
from copernicus.protocol import WorkerView
from copernicus.protocol.servers import PeerPicture, ServerCounts, ServersPicture

_SILENT_S = 60.0
_STALE_S = 30.0


def servers_tree(shown: ServersPicture) -> Tree:
    """The whole picture; ``shown.at`` is now, by the server's clock."""
    own = shown.server
    tree = Tree(_line(_named(own.name, own.id), _counts(own)), guide_style="dim")
    for worker in shown.workers:
        tree.add(_worker(worker))
    for one in shown.peers:
        _peer(tree, one, shown.at)
    if not shown.workers and not shown.peers:
        tree.add(Text("no workers and no peers (cpc worker bundle, cpc peer invite)", style="dim"))
    return tree


def _line(*parts: Text | str) -> Text:
    """Parts with a little room between; none for those that are empty."""
    told = [part if isinstance(part, Text) else Text(part) for part in parts]
    return Text("  ").join(part for part in told if part)


def _named(name: str, server_id: str) -> Text:
    text = Text(one_line(name), style="bold")
    return text.append(f" ({short_id(one_line(server_id))})", style="dim")


def _counts(told: ServerCounts) -> str:
    return f"{counted(told.workers, 'worker')}, {_busy(told.busy, told.cores)}"


def _busy(busy: int, cores: int) -> str:
    return f"{counted(cores, 'core')}: {busy} busy, {max(0, cores - busy)} idle"


def _worker(worker: WorkerView) -> Text:
    pool = "" if worker.pool == "default" else f"pool {one_line(worker.pool)}"
    return _line(
        state_text(worker.state),
        one_line(worker.host) or short_id(worker.id),
        pool,
        counted(worker.cores, "core"),
        counted(worker.running, "job"),
    )


def _peer(tree: Tree, shown: PeerPicture, now: float) -> None:
    peer, told = shown.peer, shown.told
    since = f"heard of {ago(now - peer.last_contact)}" if peer.last_contact else "never heard of"
    branch = tree.add(
        _line(
            state_text(_state(shown, now)),
            _named(peer.name, peer.id),
            _works(peer.borrows, peer.lends),
            _held("borrowed", peer.borrowed, peer.borrowed_cores),
            _held("lent", peer.lent, peer.lent_cores),
            Text(since, style="dim"),
        )
    )
    if peer.trouble:
        branch.add(Text(one_line(peer.trouble), style="red"))
    if told is None or not told.servers:
        branch.add(Text("tells nothing of itself", style="dim"))
        return
    old = now - shown.told_at
    branch.add(_line(_counts(told), Text(ago(old), style="dim") if old > _STALE_S else ""))
    _behind(branch, told.peers, one_line(peer.name))


def _behind(tree: Tree, told: Iterable[ServerCounts], name: str) -> None:
    for one in told:
        if one.id:
            works = _works(one.lends, one.borrows, name)
            line = _line(_named(one.name, one.id), works, _counts(one))
            _behind(tree.add(line), one.peers, one_line(one.name))
        else:
            tree.add(_line(f"{counted(one.servers, 'server')} behind it:", _counts(one)))


def _works(for_us: bool, for_it: bool, us: str = "") -> str:
    """Who works for whom; ``us`` is the server above in the tree, if that is not one's own."""
    said = [f"works for {us or 'us'}"] if for_us else []
    if for_it:
        said.append(f"{us} works for it" if us else "we work for it")
    return " and ".join(said)


def _held(way: str, jobs: int, cores: int) -> str:
    return f"{way}: {counted(jobs, 'job')} on {counted(cores, 'core')}" if jobs else ""


def _state(shown: PeerPicture, now: float) -> str:
    peer = shown.peer
    if peer.state != "trusted":
        return peer.state
    if shown.unreachable:
        return "unreachable"
    if peer.trouble:
        return "trouble"
    return "silent" if now - peer.last_contact > _SILENT_S else "connected"
