"""Commands about peers: other servers that lend workers, or borrow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, AtServer
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, confirm
from copernicus.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from copernicus.client import Client
    from copernicus.protocol.peers import PeerUsage, PeerView

Flag = Annotated[bool, Parameter(show_default=False)]
_LIST = (
    *("peer", "name", "state", "works for", "lent", "borrowed"),
    *("verified", "last contact", "trouble"),
)


def list_all(*, options: AtServer = AT_SERVER) -> None:
    """List the peers.

    Args:
        options: Common ones.
    """
    found = client_for(options).peers()
    if not found and not options.json:
        note("No peers yet: cpc peer invite, or cpc peer add URL INVITATION")
        return
    emit(options.json, found, lambda: peers_table(found))


def peers_table(found: Sequence[PeerView]) -> Table:
    """``cpc peer list``."""
    from copernicus.cli.render.tables import moment, table

    rows = [
        (
            peer.id,
            peer.name,
            peer.state,
            _works(peer),
            _held(peer.lent, peer.lent_cores),
            _held(peer.borrowed, peer.borrowed_cores),
            f"{peer.verified} ({peer.differed} differed)" if peer.verified else "0",
            moment(peer.last_contact) if peer.last_contact else "never",
            peer.trouble,
        )
        for peer in found
    ]
    return table(_LIST, rows, wide="trouble")


def _works(peer: PeerView) -> str:
    both = ("it" if peer.lends else "", "us" if peer.borrows else "")
    return " and ".join(filter(None, both))


def _held(jobs: int, cores: int) -> str:
    return f"{jobs} ({cores} cores)" if jobs else "0"


def show(peer: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Show one peer.

    Args:
        peer: Its id, or the beginning of it.
        options: Common ones.
    """
    _show(options, _found(client_for(options), peer))


def _show(options: AtServer, peer: PeerView) -> None:
    from copernicus.cli.render.tables import counted, facts, moment

    rows = [
        ("peer", f"{peer.name} (id {peer.id})"),
        ("state", peer.state),
        ("addresses", ", ".join(peer.urls)),
        ("works for", _works(peer) or "nobody yet"),
        ("last contact", moment(peer.last_contact) if peer.last_contact else "never"),
        ("priority", str(peer.priority)),
        ("cores", str(peer.cores or "no limit")),
        ("core-hours", f"{peer.hours:g}" if peer.hours else "no limit"),
        ("may run", ", ".join(peer.projects) or "all projects"),
        ("people let through", str(peer.clients or "nobody")),
        ("lent now", _held(peer.lent, peer.lent_cores)),
        ("borrowed now", _held(peer.borrowed, peer.borrowed_cores)),
        *(("lent", _told(usage)) for usage in peer.lent_usage),
        *(("borrowed", _told(usage)) for usage in peer.borrowed_usage),
    ]
    if peer.verified:
        rows.append(("verified", f"{counted(peer.verified, 'result')}, {peer.differed} differed"))
    if peer.trouble:
        rows.append(("trouble", peer.trouble))
    emit(options.json, peer, lambda: facts(rows))


def _told(usage: PeerUsage) -> str:
    from copernicus.cli.render.tables import counted

    return f"{usage.core_hours:.3f} core-hours, {counted(usage.jobs, 'job')} of {usage.project}"


def invite(*, days: float = 7.0, options: AtServer = AT_SERVER) -> None:
    """Make an invitation: with it, one other server may work for this one.

    Args:
        days: For how long it is good.
        options: Common ones.
    """
    from copernicus.cli.render.tables import moment

    made = client_for(options).invite_peer(days)
    emit(
        options.json,
        made,
        f"The other server's administrator works for this one with (once, until "
        f"{moment(made.expires)}):\n  cpc peer add {made.url} {made.token}",
    )


def add(url: str, token: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Work for another server: its jobs run here when there are none of one's own.

    Args:
        url: The other server's address for people.
        token: Its invitation (cpc peer invite).
        options: Common ones.
    """
    made = client_for(options).add_peer(url, token)
    emit(options.json, made, f"This server works for {made.name} (id {made.id})")


def request(url: str, /, *, server_id: str = "", options: AtServer = AT_SERVER) -> None:
    """Ask another server whether this one may work for it.

    Args:
        url: The other server's address for people.
        server_id: The id that it must have; its administrator knows it (cpc server status).
        options: Common ones.
    """
    client = client_for(options)
    made = client.add_peer(url, server_id=server_id)
    own = client.profile.server_id
    said = (
        f"{made.name} has been asked. Its id is {made.id}: compare it with cpc server status there"
    )
    if made.state == "trusted":
        said = f"This server works for {made.name} (id {made.id})"
    else:
        said += f". Its administrator says yes with:\n  cpc peer trust {own}"
    emit(options.json, made, said)


def _one_peer(
    does: str, change: Callable[[Client, str], PeerView], said: str
) -> Callable[..., None]:
    """A command that does one thing to one peer; what it prints has {name} and {id}."""

    def command(peer: str, /, *, options: AtServer = AT_SERVER) -> None:
        client = client_for(options)
        made = change(client, _found(client, peer).id)
        emit(options.json, made, said.format(name=made.name, id=made.id))

    command.__doc__ = f"""{does}

    Args:
        peer: Its id, or the beginning of it.
        options: Common ones.
    """
    return command


trust = _one_peer(
    "Say yes to a server that asked to work for this one.",
    lambda client, peer: client.trust_peer(peer),
    "{name} (id {id}) may work for this server",
)
suspend = _one_peer(
    "Lend nothing to a peer and take nothing from it; what is lent goes back at once.",
    lambda client, peer: client.suspend_peer(peer),
    "{name} is suspended (cpc peer resume {id})",
)
resume = _one_peer(
    "End the suspension of a peer, or the doubt in its results: it gets work again.",
    lambda client, peer: client.resume_peer(peer),
    "{name} is trusted again",
)


def remove(
    peer: str, /, *, dry_run: Flag = False, yes: Flag = False, options: AtServer = AT_SERVER
) -> None:
    """Trust a peer no more: its connections are cut, and what it holds goes back at once.

    Args:
        peer: Its id, or the beginning of it.
        dry_run: Only say what would happen.
        yes: Do not ask.
        options: Common ones.
    """
    client = client_for(options)
    found = _found(client, peer)
    what = f"{found.name} ({found.borrowed} jobs go back to the queue, {found.lent} back to it)"
    if dry_run:
        emit(options.json, found, f"Would remove {what}")
        return
    confirm(f"Remove {what}?", yes=yes, otherwise=f"To remove {what}, add --yes")
    client.remove_peer(found.id)
    emit(options.json, {"removed": found.id}, f"Removed {what}")


def priority(peer: str, priority: int, /, *, options: AtServer = AT_SERVER) -> None:
    """Let a peer be asked for work before others, or after them.

    Args:
        peer: Its id, or the beginning of it.
        priority: 0 is usual; the higher is asked first.
        options: Common ones.
    """
    client = client_for(options)
    made = client.change_peer(_found(client, peer).id, priority=priority)
    emit(options.json, made, f"{made.name} has priority {made.priority}")


def limit(
    peer: str,
    /,
    *,
    cores: int | None = None,
    hours: float | None = None,
    projects: Annotated[str | None, Parameter(show_default=False)] = None,
    clients: int | None = None,
    options: AtServer = AT_SERVER,
) -> None:
    """Limit what is lent to a peer, and by it.

    Args:
        peer: Its id, or the beginning of it.
        cores: The most at a time, in each direction; 0: no limit.
        hours: Core-hours in all, in each direction, after which nothing more is lent; 0: no limit.
        projects: The only ones of this server whose jobs it may run, with commas; all: any.
        clients: The most connections of people let through at a time, either way; 0: none.
        options: Common ones.
    """
    if all(one is None for one in (cores, hours, projects, clients)):
        raise BadValue("say what to limit: --cores, --hours, --projects or --clients")
    named = None if projects is None else [one.strip() for one in projects.split(",")]
    client = client_for(options)
    made = client.change_peer(
        _found(client, peer).id,
        cores=cores,
        hours=hours,
        projects=[] if named == ["all"] else named,
        clients=clients,
    )
    _show(options, made)


def _found(client: Client, wanted: str) -> PeerView:
    from copernicus.cli.render.tables import find_id

    known = {peer.id: peer for peer in client.peers()}
    return known[find_id(wanted, known, "peer")]
