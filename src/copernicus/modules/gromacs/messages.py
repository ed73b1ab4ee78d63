"""What GROMACS prints when it fails, and what it means.

Regular expressions over all that the lines of a job have printed; an empty meaning stands for
the matching text itself. They are tried in order, also when a job has succeeded, so none may match
what a good run can print.
"""

from __future__ import annotations

_BLEW_UP = (
    "the simulation blew up: {what}. Use a smaller time step, minimise the start longer, or look "
    "for overlapping atoms"
)
_UNLESS_FINISHED = r"(?![\s\S]*^Writing final coordinates)"

_NOT_FINITE = (
    r"\b(?:energy|coordinates?|forces?)\b[\s\S]{0,60}"
    r"\b(?:nan|inf|not\s+finite|extremely\s+high)\b"
)

# Every fatal message of GROMACS is a heading ("Fatal error:"), the text, and an empty line.
_HEADING = "|".join(
    rf"(?<={ending}:\n)" for ending in ("error", "input", "failed", r"\(bug\)", "implemented")
)
ANY: dict[str, str] = {rf"(?:{_HEADING})(?=\S)[\s\S]*?(?=\n\n|\Z)": ""}

GROMPP: dict[str, str] = {
    r"^ERROR \d+ \[[^\n]*(?:\n[ \t]+[^\n]+)*": "",
    r"^WARNING \d+ \[[^\n]*(?:\n[ \t]+[^\n]+)*(?=[\s\S]*^Too many warnings)": "",
    **ANY,
}

BLOW_UPS: dict[str, str] = {
    r"^Too many (?:LINCS|SHAKE) warnings": _BLEW_UP.format(what="bonds were torn"),
    _NOT_FINITE: _BLEW_UP.format(what="energies or forces are not finite"),
    r"can not be settled" + _UNLESS_FINISHED: _BLEW_UP.format(what="a water molecule was torn"),
    r"LINCS WARNING" + _UNLESS_FINISHED: _BLEW_UP.format(what="bonds rotated too fast"),
    r"^(?:The largest distance between excluded atoms|\d+ of the \d+ bonded interactions could)": (
        _BLEW_UP.format(what="bonded atoms are too far apart")
    ),
}

DAMAGED = (
    r"Checkpoint file corrupted/truncated",
    r"checkpoint file is corrupted or not a checkpoint file",
    r"Attempting to read a checkpoint file of version",
    r"Checkpoint file is for a system of|does not match the current simulation",
)
"""What mdrun says of a checkpoint that it cannot go on from, although another might do."""

MDRUN: dict[str, str] = {
    r"Checkpoint file corrupted/truncated|checkpoint file is corrupted or not a checkpoint": (
        "the checkpoint that the run was to go on from is damaged"
    ),
    r"checkpoint file has already\s+reached step": (
        "the run was to go on from a checkpoint that lies beyond nsteps"
    ),
    r"Checkpoint file is for a system of|does not match the current simulation": (
        "the run was to go on from a checkpoint of another system"
    ),
    **BLOW_UPS,
    **ANY,
}

ENERGY: dict[str, str] = {r"^String '[^\n]*' does not match anything": "", **ANY}

TRJCONV: dict[str, str] = {r"No such group '[^\n]*'": "", **ANY}
