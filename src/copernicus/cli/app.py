"""The table of all commands. Nothing here imports what a command needs: ``cpc --help`` is quick."""

from __future__ import annotations

from typing import NamedTuple

from cyclopts import App, Group, Parameter

from copernicus.version import __version__

_ABOUT = (
    "Copernicus runs ensembles of simulations as live workflows over every machine you have.\n\n"
    "First steps: cpc demo. By hand: cpc server init, cpc server start, cpc login, "
    "cpc worker bundle, cpc worker start, cpc project create."
)

BUILD, LOOK, STEER, PROJECTS, MACHINES, ACCOUNT = (
    "Build a project",
    "See what happens",
    "Steer",
    "Projects and functions",
    "Servers and workers",
    "Logins and this program",
)


class Entry(NamedTuple):
    """A command: where its code is, what it does in a line, and examples (at least one)."""

    name: str
    target: str
    summary: str
    examples: tuple[str, ...]
    group: str = ""


GROUPS: dict[str, tuple[str, str]] = {
    "project": ("Make, choose, share and delete projects.", PROJECTS),
    "module": ("Make modules, and see those that are installed.", PROJECTS),
    "network": ("A project's network as a file.", BUILD),
    "functions": ("What can be placed in a project.", PROJECTS),
    "job": ("One job: what it does, or why it does not run.", LOOK),
    "server": ("Make and run a server.", MACHINES),
    "worker": ("Make and run workers, and see those of a server.", MACHINES),
    "user": ("The users of a server.", ACCOUNT),
    "profile": ("Logins at several servers.", ACCOUNT),
}

_NETWORK = "copernicus.cli.network"
_VALUES = "copernicus.cli.values"
_STEERING = "copernicus.cli.steering"
_WORKFLOWS = "copernicus.cli.workflows"
_LOOKING = "copernicus.cli.looking"
_DRAFTS = "copernicus.cli.drafts"
_REVISIONS = "copernicus.cli.revisions"
_LIVE = "copernicus.cli.live"
_LOGINS = "copernicus.cli.logins"
_MOVING = "copernicus.cli.moving"
_PROJECTS = "copernicus.cli.projects"
_MODULES = "copernicus.cli.modules"
_JOBS = "copernicus.cli.jobs"
_SERVER = "copernicus.cli.server"
_WORKERS = "copernicus.cli.workers"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "add",
        f"{_NETWORK}:add",
        "Place a function in the project under a name.",
        ("cpc add prep gromacs.grompp --map conf", "cpc add run gromacs.mdrun --map tpr"),
        BUILD,
    ),
    Entry(
        "connect",
        f"{_NETWORK}:connect",
        "Connect an output to an input.",
        ("cpc connect prep.out.tpr run.in.tpr",),
        BUILD,
    ),
    Entry(
        "set",
        f"{_VALUES}:set_value",
        "Set an input to a value (text, JSON or a number with a unit, by the input's type).",
        (
            "cpc set run.in.nsteps 5000",
            "cpc set md.in.temperature '25 degC'",
            "cpc set fe.in.lambdas '[0, 0.5, 1]'",
            "cpc set prep.in.settings --toml settings.toml",
        ),
        BUILD,
    ),
    Entry(
        "set-file",
        f"{_VALUES}:set_file",
        "Set an input to a file, or a list input to several.",
        ("cpc set-file prep.in.mdp md.mdp", "cpc set-file prep.in.conf start*.gro"),
        BUILD,
    ),
    Entry(
        "append",
        f"{_VALUES}:append",
        "Append files or values to a list input; only what is new runs.",
        ("cpc append prep.in.conf start2.gro", "cpc append fe.in.lambdas 0.75"),
        BUILD,
    ),
    Entry(
        "unset",
        f"{_VALUES}:unset",
        "Unset or disconnect an input, or remove an element of a list or a member.",
        ("cpc unset run.in.nsteps", "cpc unset 'prep.in.conf[2]'"),
        BUILD,
    ),
    Entry(
        "activate",
        f"{_NETWORK}:activate",
        "Let an instance (or all) fire.",
        ("cpc activate", "cpc activate run"),
        BUILD,
    ),
    Entry(
        "hold",
        f"{_NETWORK}:hold",
        "Let an instance (or all) fire no more; what runs finishes.",
        ("cpc hold run",),
        BUILD,
    ),
    Entry(
        "rename",
        f"{_NETWORK}:rename",
        "Give an instance another name.",
        ("cpc rename run production",),
        BUILD,
    ),
    Entry(
        "rm",
        f"{_NETWORK}:remove",
        "Take an instance out of the project.",
        ("cpc rm run",),
        BUILD,
    ),
    Entry(
        "copy",
        f"{_REVISIONS}:copy",
        "Place instances again under other names, with their inputs and connections.",
        ("cpc copy run run2", "cpc copy prep run --suffix _hot"),
        BUILD,
    ),
    Entry(
        "begin",
        f"{_DRAFTS}:begin",
        "Collect the edits of the next commands in a draft.",
        ("cpc begin",),
        BUILD,
    ),
    Entry(
        "draft",
        f"{_DRAFTS}:draft",
        "The edits that wait, and what they would change.",
        ("cpc draft",),
        BUILD,
    ),
    Entry(
        "commit",
        f"{_DRAFTS}:commit",
        "Carry out the draft: all of it, or nothing.",
        ("cpc commit", "cpc commit --preview"),
        BUILD,
    ),
    Entry(
        "rollback",
        f"{_DRAFTS}:rollback",
        "Drop the draft; nothing was changed.",
        ("cpc rollback --yes",),
        BUILD,
    ),
    Entry(
        "revert",
        f"{_REVISIONS}:revert",
        "Make the network of a revision again; its results come back.",
        ("cpc revert 3 --dry-run", "cpc revert 3"),
        BUILD,
    ),
    Entry(
        "network export",
        f"{_REVISIONS}:export_network",
        "Write the network as TOML.",
        ("cpc network export ala.toml", "cpc network export ala.toml --with-files files"),
    ),
    Entry(
        "network import",
        f"{_REVISIONS}:import_network",
        "Make the network of a file.",
        ("cpc network import ala.toml --dry-run", "cpc network import ala.toml --files files"),
    ),
    Entry(
        "define",
        f"{_NETWORK}:define",
        "Add a function described by a TOML file, or a script, to the project.",
        ("cpc define wordcount.toml", "cpc define analyse.py"),
        BUILD,
    ),
    Entry(
        "status",
        f"{_LIVE}:status",
        "The project at a glance: states, counts, progress, what is waited for.",
        ("cpc status", "cpc status --watch", "cpc status fe"),
        LOOK,
    ),
    Entry("watch", f"{_LIVE}:watch", "The status, live, until Ctrl-C.", ("cpc watch",), LOOK),
    Entry(
        "show",
        f"{_LOOKING}:show",
        "An instance with its inputs, outputs and elements.",
        ("cpc show run",),
        LOOK,
    ),
    Entry(
        "get",
        f"{_VALUES}:get",
        "Print a value, or fetch the files that it is.",
        (
            "cpc get run.out.energy",
            "cpc get 'run.out.xtc[0]' -o traj.xtc",
            "cpc get prep.in.settings --toml",
            "cpc get 'run[0].out.xtc' --partial -o traj.xtc",
        ),
        LOOK,
    ),
    Entry(
        "wait",
        f"{_LIVE}:wait",
        "Wait until an instance (or everything active) is done.",
        ("cpc wait run", "cpc wait --timeout 600"),
        LOOK,
    ),
    Entry(
        "jobs",
        f"{_JOBS}:jobs",
        "The project's jobs: queued, running and ended.",
        ("cpc jobs", "cpc jobs --ended"),
        LOOK,
    ),
    Entry("queue", f"{_JOBS}:queue", "Jobs of all your projects.", ("cpc queue",), LOOK),
    Entry(
        "log",
        "copernicus.cli.logs:log",
        "The end of the log of a job, while it runs and afterwards.",
        ("cpc log run", "cpc log 'run[3]' --follow", "cpc log 'run[3]' --attempt 1"),
        LOOK,
    ),
    Entry(
        "series",
        "copernicus.cli.peeking:series",
        "Numbers that a job writes as it goes, as a table.",
        (
            "cpc series 'run[0]'",
            "cpc series run -c Potential -c Temperature",
            "cpc series run --csv",
        ),
        LOOK,
    ),
    Entry(
        "why",
        f"{_LOOKING}:why",
        "Why something is not done: what it waits for up to the root, how it failed, what to do.",
        ("cpc why", "cpc why run", "cpc why 'run[3]'"),
        LOOK,
    ),
    Entry(
        "reproduce",
        "copernicus.cli.reproducing:reproduce",
        "Run what made a value again, and compare; the project stays as it is.",
        ("cpc reproduce 'run.out.energy[2]' --tolerance 1e-6", "cpc reproduce a12"),
        LOOK,
    ),
    Entry(
        "trace",
        f"{_LOOKING}:trace",
        "Where a value comes from: inputs, functions, machines.",
        ("cpc trace 'run.out.xtc[0]'",),
        LOOK,
    ),
    Entry("history", f"{_LOOKING}:history", "Who changed what, when.", ("cpc history",), LOOK),
    Entry(
        "diff",
        f"{_REVISIONS}:diff",
        "What is different in the network of a revision from another, or from now.",
        ("cpc diff 3", "cpc diff 3 5"),
        LOOK,
    ),
    Entry(
        "retry",
        f"{_STEERING}:retry",
        "Run again what failed (or an instance or element).",
        ("cpc retry 'run[3]' --memory 8GB", "cpc retry --failed", "cpc retry run --dry-run"),
        STEER,
    ),
    Entry(
        "skip",
        f"{_STEERING}:skip",
        "Accept that an instance or element has no value.",
        ("cpc skip 'run[3]'",),
        STEER,
    ),
    Entry(
        "cancel",
        f"{_STEERING}:cancel",
        "Stop the work of an instance or element.",
        ("cpc cancel run",),
        STEER,
    ),
    Entry(
        "pause",
        f"{_STEERING}:pause",
        "Start nothing more; what runs finishes.",
        ("cpc pause",),
        STEER,
    ),
    Entry("resume", f"{_STEERING}:resume", "End a pause.", ("cpc resume",), STEER),
    Entry(
        "decisions",
        f"{_WORKFLOWS}:decisions",
        "What a workflow has decided once, and what that left out.",
        ("cpc decisions fe",),
        LOOK,
    ),
    Entry(
        "reopen",
        f"{_WORKFLOWS}:reopen",
        "Have a workflow decide anew.",
        ("cpc reopen fe", "cpc reopen fe --decision root:c0"),
        STEER,
    ),
    Entry("pins", f"{_WORKFLOWS}:pins", "Inputs set by hand in workflows.", ("cpc pins",), LOOK),
    Entry(
        "upgrade",
        f"{_WORKFLOWS}:upgrade",
        "Take the installed version of a function.",
        ("cpc upgrade fe",),
        STEER,
    ),
    Entry(
        "login",
        f"{_LOGINS}:login",
        "Log in at a server.",
        ("cpc login client.cpc --user alice", "cpc login https://lab.example.org:14807"),
        ACCOUNT,
    ),
    Entry("logout", f"{_LOGINS}:logout", "End the login.", ("cpc logout",), ACCOUNT),
    Entry("whoami", f"{_LOGINS}:whoami", "Who is logged in, where.", ("cpc whoami",), ACCOUNT),
    Entry(
        "demo",
        "copernicus.cli.demo:demo",
        "Run a demo with a server and a worker of its own.",
        ("cpc demo", "cpc demo --list"),
        ACCOUNT,
    ),
    Entry(
        "completion",
        "copernicus.cli.completion:completion",
        "Print the completion script of a shell.",
        ("cpc completion bash > ~/.local/share/bash-completion/completions/cpc",),
        ACCOUNT,
    ),
    Entry(
        "project create",
        f"{_PROJECTS}:create",
        "Make a project, and make it the current one.",
        ("cpc project create ala",),
    ),
    Entry("project list", f"{_PROJECTS}:list_all", "Your projects.", ("cpc project list",)),
    Entry(
        "project use", f"{_PROJECTS}:use", "Choose the current project.", ("cpc project use ala",)
    ),
    Entry(
        "project info",
        f"{_PROJECTS}:info",
        "One project: owner, members, states.",
        ("cpc project info",),
    ),
    Entry(
        "project share",
        f"{_PROJECTS}:share",
        "Let a user in (or, with --remove, in no more).",
        ("cpc project share bob --role viewer",),
    ),
    Entry(
        "project pause",
        f"{_STEERING}:pause",
        "Start nothing more; what runs finishes.",
        ("cpc project pause",),
    ),
    Entry("project resume", f"{_STEERING}:resume", "End a pause.", ("cpc project resume",)),
    Entry(
        "project budget",
        f"{_PROJECTS}:budget",
        "Show or change what a project may use.",
        ("cpc project budget", "cpc project budget --core-hours 5000 --queued none"),
    ),
    Entry(
        "project save",
        f"{_MOVING}:save",
        "Write a whole project to a file, for another server.",
        ("cpc project save ala.cpcproject",),
    ),
    Entry(
        "project export",
        f"{_MOVING}:export",
        "Write all that a project did as a research object (RO-Crate).",
        (
            "cpc project export --ro-crate ala.zip",
            "cpc project export --ro-crate ala --with-files --license CC-BY-4.0",
        ),
    ),
    Entry(
        "project load",
        f"{_MOVING}:load",
        "Make a project of such a file; you own it, and it is paused.",
        ("cpc project load ala.cpcproject", "cpc project load ala.cpcproject --name copy --resume"),
    ),
    Entry(
        "project delete",
        f"{_PROJECTS}:delete",
        "Delete a project with all its values, for ever.",
        ("cpc project delete ala --dry-run", "cpc project delete ala --yes"),
    ),
    Entry(
        "module new",
        f"{_MODULES}:new",
        "Make a new module: a package that works, with its test.",
        ("cpc module new mysim", "cpc module new mysim ~/src/mysim"),
    ),
    Entry("module list", f"{_MODULES}:list_all", "The server's modules.", ("cpc module list",)),
    Entry(
        "module info",
        f"{_MODULES}:info",
        "A module with its functions, their inputs and outputs.",
        ("cpc module info gromacs", "cpc module info gromacs.mdrun"),
    ),
    Entry(
        "functions list",
        f"{_PROJECTS}:functions",
        "All functions of the server's modules.",
        ("cpc functions list",),
    ),
    Entry(
        "functions info",
        f"{_PROJECTS}:function_info",
        "A function with its inputs and outputs.",
        ("cpc functions info gromacs.mdrun",),
    ),
    Entry("job why", f"{_JOBS}:why", "Why a job does not run yet.", ("cpc job why a12",)),
    Entry("job show", f"{_JOBS}:show", "One job with its log.", ("cpc job show a12",)),
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
        "server check",
        f"{_SERVER}:check",
        "Check a stopped server's folder: database, journals, files.",
        ("cpc server check /srv/cpc",),
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
        ("cpc worker start --bundle lab.cpc", "cpc worker start --bundle lab.cpc --cores 4"),
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
        "worker revoke",
        f"{_WORKERS}:revoke",
        "Trust a worker no more, at once.",
        ("cpc worker revoke w-3f9a",),
    ),
    Entry("user add", f"{_LOGINS}:user_add", "Make a user.", ("cpc user add alice",)),
    Entry("user list", f"{_LOGINS}:user_list", "All users.", ("cpc user list",)),
    Entry(
        "user passwd",
        f"{_LOGINS}:user_passwd",
        "Change a password; ends that user's logins.",
        ("cpc user passwd", "cpc user passwd alice"),
    ),
    Entry(
        "user remove", f"{_LOGINS}:user_remove", "Remove a user.", ("cpc user remove alice --yes",)
    ),
    Entry(
        "profile list",
        f"{_LOGINS}:profile_list",
        "Your logins on this machine.",
        ("cpc profile list",),
    ),
    Entry(
        "profile use",
        f"{_LOGINS}:profile_use",
        "Choose the current login.",
        ("cpc profile use alice@lab.example.org",),
    ),
)


def build() -> App:
    """The application with all its commands, none of them loaded."""
    titles = (BUILD, LOOK, STEER, PROJECTS, MACHINES, ACCOUNT)
    panels = {title: Group.create_ordered(title) for title in titles}
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
    for name, (summary, title) in GROUPS.items():
        groups[name] = App(name=name, help=summary, group=panels[title])
        app.command(groups[name])
    for entry in COMMANDS:
        owner, _, name = entry.name.rpartition(" ")
        word = "Examples" if len(entry.examples) > 1 else "Example"
        (groups[owner] if owner else app).command(
            entry.target,
            name=name,
            help=entry.summary,
            group=panels.get(entry.group),
            help_epilogue=f"{word}:\n" + "\n".join(f"  {line}" for line in entry.examples),
            help_format="plaintext",
        )
    return app
