"""``cpc demo``: what the demos are, and running one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from copernicus.cli.options import LOCAL, Local
from copernicus.cli.output import emit
from copernicus.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def demo(
    name: str | None = None,
    /,
    *,
    list: Annotated[bool, Parameter(show_default=False)] = False,  # noqa: A002
    folder: Path | None = None,
    minutes: float | None = None,
    options: Local = LOCAL,
) -> int:
    """Run a demo.

    Args:
        name: Which one; default: the first.
        list: Only say which there are.
        folder: Where its results go; default: copernicus-demo-DATE here.
        minutes: About how long it may take.
        options: Common ones.
    """
    demos = _demos()
    if list:
        from copernicus.cli.render.tables import table

        rows = [(known, description) for known, (description, _) in demos.items()]
        data = [{"name": known, "description": description} for known, description in rows]
        emit(options.json, data, lambda: table(("demo", "what"), rows, wide="what"))
        return 0
    wanted = name or next(iter(demos))
    if wanted not in demos:
        raise NotFound(f"There is no demo {wanted!r}; there are: {', '.join(demos)}")
    result = demos[wanted][1](folder=folder, minutes=minutes)
    return result if isinstance(result, int) else 0


def _demos() -> Mapping[str, tuple[str, Callable[..., Any]]]:
    try:
        module = import_module("copernicus.demo")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("copernicus.demo"):
            raise NotFound("This installation has no demos: install Copernicus anew") from None
        raise UserError(
            f"The demos need the package {error.name}: pip install 'copernicus[openmm]'"
        ) from None
    found: Mapping[str, tuple[str, Callable[..., Any]]] = module.DEMOS
    return found
