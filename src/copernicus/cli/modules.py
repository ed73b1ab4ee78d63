"""Commands about modules: make one, and see those that a server has."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.cli.options import AT_SERVER, LOCAL, AtServer, Local
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for
from copernicus.errors import NotFound

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.model.functions import FunctionSpec
    from copernicus.protocol import ModuleView

_KINDS = ("program", "task", "workflow")


def new(name: str, folder: Path | None = None, /, *, options: Local = LOCAL) -> None:
    """Make a new module: a package that works, with its test.

    Args:
        name: Its name, as in NAME.function.
        folder: Where; default: a new folder of that name here.
        options: Common ones.
    """
    from copernicus.skeleton.making import new_module

    place = folder or Path(name)
    written = new_module(name, place)
    data = {"module": name, "folder": str(place), "files": [str(path) for path in written]}
    listed = "\n".join(f"  {path.relative_to(place)}" for path in written)
    emit(
        options.json,
        data,
        f"{place} is the module {name}:\n{listed}\n"
        f"Try it: cd {place}, pip install -e '.[test]', pytest",
    )


def list_all(*, options: AtServer = AT_SERVER) -> None:
    """List modules."""
    from copernicus.cli.render.details import paragraphs
    from copernicus.cli.render.tables import table

    client = client_for(options)
    found = client.modules()
    kinds = _kinds([view.spec for view in client.functions()])
    rows = [
        (m.name, m.version, kinds.get(m.name, "none"), paragraphs(m.doc)[0])
        for m in found
        if not m.problem
    ]
    headers = ("module", "version", "functions", "does")
    emit(options.json, found, lambda: table(headers, rows, wide="does"))
    if not options.json:
        for broken in (m for m in found if m.problem):
            note(f"cpc: module {broken.name} cannot be used: {broken.problem}")


def _kinds(specs: list[FunctionSpec]) -> dict[str, str]:
    """How many functions of each kind the modules have."""
    counts: dict[str, Counter[str]] = {}
    for spec in specs:
        counts.setdefault(spec.module, Counter())[spec.kind] += 1
    return {
        module: ", ".join(f"{n[kind]} {kind}{'s' * (n[kind] > 1)}" for kind in _KINDS if n[kind])
        for module, n in counts.items()
    }


def info(name: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Show a module with all its functions, or one function.

    Args:
        name: The module, or module.function.
        options: Common ones.
    """
    from copernicus.cli.render.details import function_text

    client = client_for(options)
    if "." in name:
        view = client.function(name)
        emit(options.json, view, lambda: function_text(view.spec))
        return
    module = next((m for m in client.modules() if m.name == name), None)
    if module is None:
        raise NotFound(f"There is no module {name!r} on this server: cpc module list")
    if module.problem:
        raise NotFound(f"Module {name!r} cannot be used: {module.problem}")
    functions = [view for view in client.functions() if view.spec.module == name]
    data = {"module": module, "functions": functions}
    emit(options.json, data, lambda: module_text(module, [view.spec for view in functions]))


def module_text(module: ModuleView, specs: list[FunctionSpec]) -> RenderableType:
    """``cpc module info``."""
    from rich.console import Group
    from rich.text import Text

    from copernicus.cli.render.details import function_text, paragraphs

    head = Text().append(module.name, style="bold").append(f"  {module.version}", style="dim")
    parts: list[RenderableType] = [head]
    if module.doc:
        parts.append(Text("\n\n".join(paragraphs(module.doc))))
    parts.append(Text(f"installed by {module.distribution}", style="dim"))
    for spec in specs:
        parts += [Text(""), function_text(spec)]
    return Group(*parts)
