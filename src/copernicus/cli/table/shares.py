"""Commands about who works for whom."""

from __future__ import annotations

from copernicus.cli.entries import Entry

_SHARES = "copernicus.cli.shares"
_POOLS = "copernicus.cli.pools"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "job priority",
        f"{_SHARES}:job_priority",
        "Let a queued job run before others, or after them.",
        ("cpc job priority a12 5", "cpc job priority 'run[3]' --reset"),
    ),
    Entry(
        "project priority",
        f"{_SHARES}:project_priority",
        "Let all jobs of a project run before those of others, or after them.",
        ("cpc project priority", "cpc project priority 10"),
    ),
    Entry(
        "project weight",
        f"{_SHARES}:project_weight",
        "A project's part of the workers, beside other projects.",
        ("cpc project weight", "cpc project weight 2.5"),
    ),
    Entry(
        "project pools",
        f"{_SHARES}:project_pools",
        "The pools whose workers a project uses.",
        ("cpc project pools gpu cluster", "cpc project pools --all"),
    ),
    Entry(
        "pool list",
        f"{_POOLS}:list_all",
        "The pools: their workers, and whom they serve.",
        ("cpc pool list",),
    ),
    Entry(
        "pool serve",
        f"{_POOLS}:serve",
        "Say which projects the workers of a pool serve.",
        ("cpc pool serve gpu ala fes", "cpc pool serve gpu --all"),
    ),
    Entry(
        "pool add",
        f"{_POOLS}:add",
        "Let a pool start and end its workers by demand, through a batch system.",
        (
            "cpc pool add cluster --provision slurm --cores 16 --walltime 4h --max 9",
            "cpc pool add cluster --provision slurm --file cluster.toml",
        ),
    ),
    Entry(
        "pool show",
        f"{_POOLS}:show",
        "How a pool starts its workers, and how each of its batch jobs stands.",
        ("cpc pool show cluster",),
    ),
    Entry(
        "pool set",
        f"{_POOLS}:change",
        "Change how many workers a pool starts, and how.",
        ("cpc pool set cluster --max 20", "cpc pool set cluster --max-core-hours 50000"),
    ),
    Entry(
        "pool remove",
        f"{_POOLS}:remove",
        "Let a pool start no more workers; those that run finish.",
        ("cpc pool remove cluster --dry-run", "cpc pool remove cluster --now --yes"),
    ),
)
