"""What became of the functions of the old library, and of their inputs and outputs. Data."""

from __future__ import annotations

from typing import NamedTuple

from copernicus.cpcc.words import function_name
from copernicus.errors import NotFound


class Now(NamedTuple):
    """The function that took another's place, and the inputs over which it is mapped."""

    function: str
    mapped: tuple[str, ...] = ()


FUNCTIONS: dict[str, Now] = {
    "gromacs.grompp": Now("gromacs.grompp"),
    "gromacs.grompps": Now("gromacs.grompp", ("conf",)),
    "gromacs.grompp_multi": Now("gromacs.grompp", ("conf",)),
    "gromacs.mdrun": Now("gromacs.mdrun"),
    "gromacs.mdruns": Now("gromacs.mdrun", ("tpr",)),
    "gromacs.mdrun_multi": Now("gromacs.mdrun", ("tpr",)),
    "gromacs.trjconv": Now("gromacs.trjconv"),
    "gromacs.eneconv": Now("gromacs.eneconv"),
    "gromacs.g_energy": Now("gromacs.energy"),
    "gromacs.merge_mdp": Now("gromacs.edit_mdp"),
}

GONE_FUNCTIONS: dict[str, str] = {
    "gromacs.grompp_mdruns": "place gromacs::grompps and gromacs::mdruns, and connect them",
    "gromacs.mdrun_tune": "cores need no tuning: set cores of gromacs.mdrun",
    "gromacs.trjconv_split": "place gromacs.trjconv with dump, once for each frame",
    "gromacs.extract_mdp": "read the parameter in your script",
    "gromacs.pdb2gmx": "run gmx pdb2gmx by hand, or describe it in a file (cpc define)",
    "gromacs.g_bar": "describe gmx bar in a file (cpc define)",
}

PORTS: dict[str, dict[str, str]] = {
    "gromacs.mdrun": {"log": "logs"},
    "gromacs.trjconv": {
        "traj": "trajectory",
        "xtc": "trajectory",
        "output_group": "group",
        "first_frame_ps": "start",
        "last_frame_ps": "end",
        "dt": "every",
    },
    "gromacs.eneconv": {"edr_files": "energies"},
    "gromacs.energy": {"item": "terms", "average": "averages"},
}

_LOG = "what a job printed is its log: cpc log NAME"
_OPTIONS = "options of gmx mdrun are inputs of their own (cpc functions info {function})"

GONE_PORTS: dict[str, dict[str, str]] = {
    "gromacs.grompp": {"stdout": "it is the output log now"},
    "gromacs.mdrun": {
        "stdout": _LOG,
        "stderr": _LOG,
        "priority": "jobs of a project run in the order of their coming",
        "cmdline_options": _OPTIONS,
        "resources": "set cores: mdrun.in.cores",
    },
    "gromacs.trjconv": {
        "cmdline_options": _OPTIONS,
        "skip": "use every (ps)",
        "ur": "use pbc",
        "fit": "describe your own gmx trjconv in a file (cpc define)",
        "fit_type": "describe your own gmx trjconv in a file (cpc define)",
    },
    "gromacs.energy": dict.fromkeys(
        ("error", "drift", "rmsd", "unit"), "it stands in the output averages"
    ),
}

SETTINGS = frozenset({"gromacs.grompp", "gromacs.edit_mdp"})
"""Functions that took lists of settings: pairs of a name and a value."""

EDITOR = "gromacs.edit_mdp"


def function_now(old: str) -> Now:
    """What an old function's name stands for; names that it did not have stay what they are.

    Raises:
        NotFound: Nothing took its place; the message says what to do.
    """
    name = function_name(old)
    if name in GONE_FUNCTIONS:
        raise NotFound(f"{old} is no function any more: {GONE_FUNCTIONS[name]}")
    return FUNCTIONS.get(name, Now(name))


def port_now(function: str, port: str) -> str:
    """What a port of an old function is called now.

    Raises:
        NotFound: It is gone; the message says what to do.
    """
    gone = GONE_PORTS.get(function, {}).get(port)
    if gone is not None:
        said = gone.format(function=function)
        raise NotFound(f"{function} has no {port!r} any more: {said}")
    return PORTS.get(function, {}).get(port, port)
