"""Commands about projects, functions and modules."""

from __future__ import annotations

from copernicus.cli.entries import Entry

_STEERING = "copernicus.cli.steering"
_MOVING = "copernicus.cli.moving"
_PROJECTS = "copernicus.cli.projects"
_MODULES = "copernicus.cli.modules"

COMMANDS: tuple[Entry, ...] = (
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
        "project grant",
        f"{_PROJECTS}:grant",
        "Let a user in, or give them another role.",
        ("cpc project grant bob viewer", "cpc project grant bob owner --project ala"),
    ),
    Entry(
        "project revoke",
        f"{_PROJECTS}:revoke",
        "Let a user in no more, at once.",
        ("cpc project revoke bob",),
    ),
    Entry(
        "project share",
        f"{_PROJECTS}:share",
        "The same as grant (and, with --remove, as revoke).",
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
        "project retries",
        "copernicus.cli.retries:retries",
        "Show or change how failed jobs are tried again.",
        (
            "cpc project retries",
            "cpc project retries --job-errors 5 --transient 'CUDA error' --permanent exit:2",
        ),
    ),
    Entry(
        "project retention",
        "copernicus.cli.retention:retention",
        "Show or change for how long unused files stay.",
        (
            "cpc project retention",
            "cpc project retention 30",
            "cpc project retention 7 --of gromacs.mdrun.out.trajectory",
        ),
    ),
    Entry(
        "project verify",
        "copernicus.cli.verifying:verify",
        "Show or change how much of what peers gave is run again elsewhere.",
        (
            "cpc project verify",
            "cpc project verify 0.05 --tolerance 1e-6 --of gromacs.grompp",
            "cpc project verify 0",
        ),
    ),
    Entry(
        "project gc",
        "copernicus.cli.retention:collect",
        "Remove files that nothing uses, by the rules of retention.",
        ("cpc project gc --dry-run", "cpc project gc --yes"),
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
)
