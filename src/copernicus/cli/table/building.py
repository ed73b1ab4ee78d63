"""Commands that build a network."""

from __future__ import annotations

from copernicus.cli.entries import BUILD, Entry

_NETWORK = "copernicus.cli.network"
_VALUES = "copernicus.cli.values"
_DRAFTS = "copernicus.cli.drafts"
_REVISIONS = "copernicus.cli.revisions"

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
        BUILD,
    ),
    Entry(
        "network import",
        f"{_REVISIONS}:import_network",
        "Make the network of a file.",
        ("cpc network import ala.toml --dry-run", "cpc network import ala.toml --files files"),
        BUILD,
    ),
    Entry(
        "define",
        f"{_NETWORK}:define",
        "Add a function described by a TOML file, or a script, to the project.",
        ("cpc define wordcount.toml", "cpc define analyse.py"),
        BUILD,
    ),
)
