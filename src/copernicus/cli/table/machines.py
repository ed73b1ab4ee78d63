"""Commands about servers and workers."""

from __future__ import annotations

from copernicus.cli.entries import Entry

_SERVER = "copernicus.cli.server"
_WORKERS = "copernicus.cli.workers"
_TOKENS = "copernicus.cli.tokens"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "server init",
        f"{_SERVER}:init",
        "Make a server's folder: its identity, its settings, its first user.",
        ("cpc server init", "cpc server init /srv/cpc --name lab.example.org"),
    ),
    Entry(
        "server start",
        f"{_SERVER}:start",
        "Run a server, here or in the background.",
        ("cpc server start", "cpc server start /srv/cpc --background"),
    ),
    Entry("server stop", f"{_SERVER}:stop", "Stop a server gently.", ("cpc server stop",)),
    Entry(
        "server status",
        f"{_SERVER}:status",
        "Whether a server runs, where, and who it is.",
        ("cpc server status",),
    ),
    Entry(
        "server backup",
        f"{_SERVER}:backup",
        "Copy a server's folder safely, also while it runs.",
        ("cpc server backup /srv/cpc /backup/cpc",),
    ),
    Entry(
        "server migrate-to",
        f"{_SERVER}:migrate_to",
        "Move a stopped server's database to PostgreSQL, or back to SQLite.",
        (
            "cpc server migrate-to postgresql://cpc@db.example.org/cpc /srv/cpc --dry-run",
            "cpc server migrate-to sqlite /srv/cpc",
        ),
    ),
    Entry(
        "server check",
        f"{_SERVER}:check",
        "Check a stopped server's folder, and mend it: database, journals, files.",
        ("cpc server check /srv/cpc", "cpc server check /srv/cpc --repair --backup /backup/cpc"),
    ),
    Entry(
        "worker bundle",
        f"{_WORKERS}:bundle",
        "Make the file with which new workers join the server.",
        ("cpc worker bundle -o lab.cpc", "cpc worker bundle --pool cluster --uses 10 --days 2"),
    ),
    Entry(
        "worker start",
        f"{_WORKERS}:start",
        "Run a worker on this machine.",
        (
            "cpc worker start --bundle lab.cpc",
            "cpc worker start --bundle lab.cpc --cores 4",
            "cpc worker start --bundle lab.cpc --nice 10 --hours 20:00-07:00",
        ),
    ),
    Entry(
        "worker machine",
        f"{_WORKERS}:machine",
        "What a worker would find on this machine: cores, memory, GPUs.",
        ("cpc worker machine",),
    ),
    Entry(
        "worker programs",
        f"{_WORKERS}:programs",
        "What a worker on this machine could run.",
        ("cpc worker programs",),
    ),
    Entry("worker list", f"{_WORKERS}:list_all", "The server's workers.", ("cpc worker list",)),
    Entry(
        "worker drain",
        f"{_WORKERS}:drain",
        "Let a worker finish what it has, and end.",
        ("cpc worker drain w-3f9a",),
    ),
    Entry(
        "worker resume",
        f"{_WORKERS}:resume",
        "Give a drained or quarantined worker work again.",
        ("cpc worker resume w-3f9a",),
    ),
    Entry(
        "worker remove",
        f"{_WORKERS}:remove",
        "Take an idle worker off the list, for good.",
        ("cpc worker remove w-3f9a", "cpc worker remove w-3f9a --now"),
    ),
    Entry(
        "worker revoke",
        f"{_WORKERS}:revoke",
        "Trust a worker no more, at once.",
        ("cpc worker revoke w-3f9a",),
    ),
    Entry(
        "worker token list",
        f"{_TOKENS}:list_joining",
        "Which bundles let workers in, how often they did, until when.",
        ("cpc worker token list",),
    ),
    Entry(
        "worker token revoke",
        f"{_TOKENS}:revoke_joining",
        "Let nobody in with a bundle any more.",
        (
            "cpc worker token revoke 5f0c2a9e81b3d647",
            "cpc worker token revoke 5f0c2a9e81b3d647 --workers --dry-run",
        ),
    ),
)
