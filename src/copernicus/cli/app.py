"""All commands as one application. Nothing here imports what one needs: ``cpc --help`` is quick."""

from __future__ import annotations

from cyclopts import App, Group, Parameter

from copernicus.cli.entries import ACCOUNT, LOOK, MACHINES, PROJECTS, TITLES, Entry
from copernicus.cli.table import accounts, building, look, machines, peers, projects, shares, steer
from copernicus.version import __version__

_ABOUT = (
    "Copernicus runs ensembles of simulations as live workflows over every machine you have.\n\n"
    "First steps: cpc demo. By hand: cpc server init, cpc server start, cpc login, "
    "cpc worker bundle, cpc worker start, cpc project create."
)

GROUPS: dict[str, tuple[str, str]] = {
    "project": ("Make, choose, share and delete projects.", PROJECTS),
    "module": ("Make modules, and see those that are installed.", PROJECTS),
    "network": ("Also: a project's network as a file.", MACHINES),
    "functions": ("What can be placed in a project.", PROJECTS),
    "job": ("One job: what it does, or why it does not run.", LOOK),
    "server": ("Make and run a server.", MACHINES),
    "worker": ("Make and run workers, and see those of a server.", MACHINES),
    "worker token": ("What lets new workers in: the tokens in bundles.", ""),
    "peer": ("Other servers that lend workers, or borrow them.", MACHINES),
    "pool": ("Groups of workers, and the projects that they serve.", MACHINES),
    "user": ("The users of a server.", ACCOUNT),
    "user token": ("Logins, and tokens for programs.", ""),
    "profile": ("Logins at several servers.", ACCOUNT),
}

COMMANDS: tuple[Entry, ...] = (
    *building.COMMANDS,
    *look.COMMANDS,
    *steer.COMMANDS,
    *projects.COMMANDS,
    *shares.COMMANDS,
    *machines.COMMANDS,
    *peers.COMMANDS,
    *accounts.COMMANDS,
)


def build() -> App:
    """The application with all its commands, none of them loaded."""
    panels = {title: Group.create_ordered(title) for title in TITLES}
    app = App(
        name="cpc",
        help=_ABOUT,
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(negative=()),
    )
    for flag in ("--help", "--version"):
        app[flag].show = False
    groups: dict[str, App] = {}
    for full, (summary, title) in GROUPS.items():
        owner, _, name = full.rpartition(" ")
        groups[full] = App(name=name, help=summary, group=panels.get(title))
        (groups[owner] if owner else app).command(groups[full])
    for entry in COMMANDS:
        owner, _, name = entry.name.rpartition(" ")
        word = "Examples" if len(entry.examples) > 1 else "Example"
        epilogue = f"{word}:\n" + "\n".join(f"  {line}" for line in entry.examples)
        if entry.name in GROUPS:
            # A group that is a command as well: cyclopts cannot load such a one when it is wanted.
            groups[entry.name].default(entry.load())
            groups[entry.name].help = f"{entry.summary} {GROUPS[entry.name][0]}"
            groups[entry.name].help_epilogue = epilogue
            continue
        (groups[owner] if owner else app).command(
            entry.target,
            name=name,
            help=entry.summary,
            group=panels.get(entry.group),
            help_epilogue=epilogue,
            help_format="plaintext",
        )
    return app
