"""Commands that show what happens."""

from __future__ import annotations

from copernicus.cli.entries import LOOK, Entry

_VALUES = "copernicus.cli.values"
_WORKFLOWS = "copernicus.cli.workflows"
_LOOKING = "copernicus.cli.looking"
_REVISIONS = "copernicus.cli.revisions"
_LIVE = "copernicus.cli.live"
_JOBS = "copernicus.cli.jobs"

COMMANDS: tuple[Entry, ...] = (
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
        ("cpc reproduce 'run.out.energy[2]' --tolerance 1e-6", "cpc reproduce a12 --elsewhere"),
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
        "decisions",
        f"{_WORKFLOWS}:decisions",
        "What a workflow has decided once, and what that left out.",
        ("cpc decisions fe",),
        LOOK,
    ),
    Entry("pins", f"{_WORKFLOWS}:pins", "Inputs set by hand in workflows.", ("cpc pins",), LOOK),
    Entry("job why", f"{_JOBS}:why", "Why a job does not run yet.", ("cpc job why a12",)),
    Entry("job show", f"{_JOBS}:show", "One job with its log.", ("cpc job show a12",)),
)
