"""Commands about who works for whom."""

from __future__ import annotations

from copernicus.cli.entries import Entry

_SHARES = "copernicus.cli.shares"

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
        f"{_SHARES}:pool_list",
        "The pools: their workers, and whom they serve.",
        ("cpc pool list",),
    ),
    Entry(
        "pool serve",
        f"{_SHARES}:pool_serve",
        "Say which projects the workers of a pool serve.",
        ("cpc pool serve gpu ala fes", "cpc pool serve gpu --all"),
    ),
)
