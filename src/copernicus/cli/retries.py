"""``cpc project retries``: how failed jobs of a project are tried again."""

from __future__ import annotations

import re
from typing import Annotated, Any

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import client_for
from copernicus.errors import BadValue
from copernicus.model import edits
from copernicus.model.retries import NAMES, FailurePattern, ProjectRetries

Number = Annotated[str | None, Parameter(show_default=False)]
Patterns = Annotated[tuple[str, ...], Parameter(show_default=False)]
_AS_FUNCTIONS = "as each function says"
_EXIT = re.compile(r"exit:(\d+(?:,\d+)*)(?::(.*))?", re.DOTALL)


def retries(
    *,
    job_errors: Number = None,
    worker_losses: Number = None,
    memory_growths: Number = None,
    troubles: Number = None,
    backoff: Number = None,
    backoff_max: Number = None,
    permanent: Patterns = (),
    transient: Patterns = (),
    options: InProject = IN_PROJECT,
) -> None:
    """Show or change how failed jobs of the project are tried again.

    What is not set is as each function says. ``none`` takes a setting back. Jobs in the queue
    follow the new rules, too.

    Args:
        job_errors: How often a job is tried again that failed by itself.
        worker_losses: How often after its worker was lost; one more is the end.
        memory_growths: How often with more memory after it ran out of it.
        troubles: How often after failures of the machine, or transient ones.
        backoff: Seconds before the second try; twice as long each time.
        backoff_max: The longest wait, in seconds.
        permanent: What no further try would mend: a regular expression over what was printed,
            exit:2 (an exit code), or exit:2:REGEX (both). May stand several times.
        transient: What will pass: it does not count as the job's own error. Written alike.
        options: Common ones.
    """
    from copernicus.cli.render.tables import facts

    given = {
        "job_errors": _number("job-errors", job_errors),
        "worker_losses": _number("worker-losses", worker_losses),
        "memory_growths": _number("memory-growths", memory_growths),
        "troubles": _number("troubles", troubles),
        "backoff_s": _number("backoff", backoff),
        "backoff_max_s": _number("backoff-max", backoff_max),
        "permanent": _patterns(permanent),
        "transient": _patterns(transient),
    }
    fields = {name: value for name, (value, is_given) in given.items() if is_given}
    project = client_for(options).project(options.project, check=False)
    if fields:
        project.edit(edits.SetRetries(fields))
    found = project.view().retries
    emit(options.json, found, lambda: facts(rows_of(found)))


def rows_of(found: ProjectRetries) -> list[tuple[str, str]]:
    """Every setting with its value, as it is shown."""
    rows = []
    for name in NAMES:
        value = getattr(found, name)
        if isinstance(value, tuple):
            shown = "  ".join(map(pattern_text, value)) or _AS_FUNCTIONS
        else:
            shown = _AS_FUNCTIONS if value is None else f"{value:g}"
        rows.append((name.removesuffix("_s").replace("_", "-"), shown))
    return rows


def pattern_text(pattern: FailurePattern) -> str:
    """A pattern as it is written on the command line."""
    if not pattern.exit_codes:
        return pattern.log
    codes = "exit:" + ",".join(map(str, pattern.exit_codes))
    return f"{codes}:{pattern.log}" if pattern.log else codes


def _patterns(given: tuple[str, ...]) -> tuple[Any, bool]:
    if given == ("none",):
        return [], True
    return [_pattern(text) for text in given], bool(given)


def _pattern(text: str) -> dict[str, Any]:
    found = _EXIT.fullmatch(text)
    if found is None:
        return {"log": text}
    return {"exit_codes": [int(code) for code in found[1].split(",")], "log": found[2] or ""}


def _number(option: str, text: str | None) -> tuple[float | None, bool]:
    if text is None:
        return None, False
    if text.lower() == "none":
        return None, True
    try:
        number = float(text)
    except ValueError:
        raise BadValue(f"--{option} is {text!r}: write a number, or none") from None
    return (int(number) if number == int(number) else number), True
