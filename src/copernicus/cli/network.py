"""Commands that change what is in a project's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.committing import report
from copernicus.cli.options import IN_EDIT, InEdit
from copernicus.cli.session import editing_project


def add(
    path: str,
    function: str,
    /,
    *,
    map: Annotated[tuple[str, ...], Parameter(consume_multiple=True, show_default=False)] = (),  # noqa: A002
    active: Annotated[bool, Parameter(show_default=False)] = False,
    cores: int | None = None,
    options: InEdit = IN_EDIT,
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
    with project.transaction(preview=options.preview) as transaction:
        project.add(path, function, map, active=active, resources=resources)
    mapped = f", mapped over {', '.join(map)}" if map else ""
    state = "active" if active else f"held until: cpc activate {path}"
    report(options, transaction, f"{path} is {function}{mapped} ({state})")


def remove(path: str, /, *, options: InEdit = IN_EDIT) -> None:
    """Remove an instance.

    Args:
        path: The instance.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.remove(path)
    report(options, transaction, f"{path} is removed")


def rename(path: str, name: str, /, *, options: InEdit = IN_EDIT) -> None:
    """Rename an instance.

    Args:
        path: The instance.
        name: Its new name.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.rename(path, name)
    report(options, transaction, f"{path} is now {name}")


def connect(source: str, target: str, /, *, options: InEdit = IN_EDIT) -> None:
    """Connect two ports.

    Args:
        source: An output, or a part of it: prep.out.tpr
        target: An input, an element of it, or [+]: run.in.tpr
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.connect(source, target)
    report(options, transaction, f"{source} -> {target}")


def activate(path: str = "", /, *, options: InEdit = IN_EDIT) -> None:
    """Activate.

    Args:
        path: The instance; default: all of the top level.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.activate(path)
    report(options, transaction, f"{path or 'everything'} is active")


def hold(path: str = "", /, *, options: InEdit = IN_EDIT) -> None:
    """Hold.

    Args:
        path: The instance; default: all of the top level.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.hold(path)
    report(options, transaction, f"{path or 'everything'} is held")


def define(file: Path, /, *, options: InEdit = IN_EDIT) -> None:
    """Define a function.

    Args:
        file: What describes it: a TOML file, or a script (.py, .sh) with its description in it.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        spec = project.define(file)
    report(options, transaction, f"{spec.name} can be placed: cpc add NAME {spec.name}")
