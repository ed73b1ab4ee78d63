"""Commands about other servers."""

from __future__ import annotations

from copernicus.cli.entries import Entry

_PEERS = "copernicus.cli.peers"
_ID = "srd5cbzgqmk2xnxuhpfwkoz7a4"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "network",
        "copernicus.cli.servers:network",
        "Draw the servers and workers: who works for whom, and how busy they are.",
        ("cpc network", "cpc network --json"),
    ),
    Entry(
        "peer list",
        f"{_PEERS}:list_all",
        "The peers: what is lent to them and by them.",
        ("cpc peer list", "cpc peer list --json"),
    ),
    Entry(
        "peer show",
        f"{_PEERS}:show",
        "One peer, with the core-hours of every project.",
        (f"cpc peer show {_ID}",),
    ),
    Entry(
        "peer invite",
        f"{_PEERS}:invite",
        "Let one other server work for this one.",
        ("cpc peer invite", "cpc peer invite --days 1"),
    ),
    Entry(
        "peer add",
        f"{_PEERS}:add",
        "Work for another server that has invited this one.",
        ("cpc peer add https://there.example.org:14807 INVITATION",),
    ),
    Entry(
        "peer request",
        f"{_PEERS}:request",
        "Ask another server whether this one may work for it.",
        ("cpc peer request https://there.example.org:14807",),
    ),
    Entry(
        "peer trust",
        f"{_PEERS}:trust",
        "Say yes to a server that asked to work for this one.",
        (f"cpc peer trust {_ID}",),
    ),
    Entry(
        "peer suspend",
        f"{_PEERS}:suspend",
        "Lend nothing to a peer, and take nothing from it, for now.",
        (f"cpc peer suspend {_ID}",),
    ),
    Entry(
        "peer resume",
        f"{_PEERS}:resume",
        "End a suspension.",
        (f"cpc peer resume {_ID}",),
    ),
    Entry(
        "peer remove",
        f"{_PEERS}:remove",
        "Trust a peer no more.",
        (f"cpc peer remove {_ID} --dry-run",),
    ),
    Entry(
        "peer priority",
        f"{_PEERS}:priority",
        "Which peer is asked for work first.",
        (f"cpc peer priority {_ID} 10",),
    ),
    Entry(
        "peer limit",
        f"{_PEERS}:limit",
        "How much is lent to a peer and by it, and which projects it may work for.",
        (f"cpc peer limit {_ID} --cores 16 --hours 1000", f"cpc peer limit {_ID} --projects ala"),
    ),
)
