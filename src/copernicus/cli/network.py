"""Commands that change what is in a project's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import editing_project
from copernicus.protocol import EditReply


def _report(options: InProject, reply: EditReply | None, text: str) -> None:
    data = {"revision": reply.revision, "position": reply.position} if reply else {}
    same = reply is not None and not reply.changed
    emit(options.json, data, f"{text} (as it was already)" if same else text)


def add(
    path: str,
    function: str,
    /,
    *,
    map: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),  # noqa: A002
    active: Annotated[bool, Parameter(show_default=False)] = False,
    cores: int | None = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Place a function.

    Args:
        path: Name of the new instance.
        function: What to place, as module.name (cpc functions list).
        map: List inputs to map over: one run per element.
        active: Let it fire at once, without cpc activate.
        cores: Cores that each of its jobs asks for, if not what the function says.
        options: Common ones.
    """
    from copernicus.model.resources import Resources

    project = editing_project(options)
    resources = Resources(cores=cores) if cores is not None else None
    with project.transaction() as transaction:
        project.add(path, function, map, active=active, resources=resources)
    mapped = f", mapped over {', '.join(map)}" if map else ""
    state = "active" if active else f"held until: cpc activate {path}"
    _report(options, transaction.reply, f"{path} is {function}{mapped} ({state})")


def remove(path: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Remove an instance.

    Args:
        path: The instance.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        project.remove(path)
    _report(options, transaction.reply, f"{path} is removed")


def rename(path: str, name: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Rename an instance.

    Args:
        path: The instance.
        name: Its new name.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        project.rename(path, name)
    _report(options, transaction.reply, f"{path} is now {name}")


def connect(source: str, target: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Connect two ports.

    Args:
        source: An output, or a part of it: prep.out.tpr
        target: An input, an element of it, or [+]: run.in.tpr
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        project.connect(source, target)
    _report(options, transaction.reply, f"{source} -> {target}")


def activate(path: str = "", /, *, options: InProject = IN_PROJECT) -> None:
    """Activate.

    Args:
        path: The instance; default: all of the top level.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        project.activate(path)
    _report(options, transaction.reply, f"{path or 'everything'} is active")


def hold(path: str = "", /, *, options: InProject = IN_PROJECT) -> None:
    """Hold.

    Args:
        path: The instance; default: all of the top level.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        project.hold(path)
    _report(options, transaction.reply, f"{path or 'everything'} is held")


def define(file: Path, /, *, options: InProject = IN_PROJECT) -> None:
    """Define a function.

    Args:
        file: What describes it: a TOML file, or a script (.py, .sh) with its description in it.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction() as transaction:
        spec = project.define(file)
    _report(options, transaction.reply, f"{spec.name} can be placed: cpc add NAME {spec.name}")
