"""The functions that are installed, and those that could not be."""

from __future__ import annotations

from litestar import Router, get
from litestar.params import FromPath

from copernicus.errors import NotFound
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.types import describe
from copernicus.protocol import FunctionView, ModuleView
from copernicus.security.policy import Action
from copernicus.server.http.access import AnyRequest, does, site_of


@get("/functions", opt=does(Action.SEE_FUNCTIONS))
async def list_functions(request: AnyRequest) -> list[FunctionView]:
    """All installed functions by name; modules that are broken stand last, with the reason."""
    holdings = site_of(request).runtime.holdings
    found = [function_view(holdings.catalog[name]) for name in sorted(holdings.catalog)]
    return found + [_broken(name, holdings.broken[name]) for name in sorted(holdings.broken)]


@get("/modules", opt=does(Action.SEE_FUNCTIONS))
async def list_modules(request: AnyRequest) -> list[ModuleView]:
    """All installed modules by name; those that are broken stand last, with the reason."""
    holdings = site_of(request).runtime.holdings
    found = sorted(holdings.modules, key=lambda module: module.name)
    return found + [ModuleView(name, problem=why) for name, why in sorted(holdings.broken.items())]


@get("/functions/{name:str}", opt=does(Action.SEE_FUNCTIONS))
async def show_function(request: AnyRequest, name: FromPath[str]) -> FunctionView:
    """One function: its ports, what it needs, what it does."""
    holdings = site_of(request).runtime.holdings
    spec = holdings.catalog.get(name)
    if spec is None:
        module = name.partition(".")[0]
        why = holdings.broken.get(module)
        reason = f" Module {module!r} cannot be used: {why}" if why else ""
        raise NotFound(f"There is no function {name!r} on this server.{reason}")
    return function_view(spec)


def function_view(spec: FunctionSpec) -> FunctionView:
    """A function as it is shown."""
    given = ", ".join(_port(port) for port in spec.inputs)
    made = ", ".join(_port(port) for port in spec.outputs)
    return FunctionView(spec, f"{spec.name}({given}) -> {made or 'nothing'}")


def _port(port: Port) -> str:
    text = f"{port.name}: {describe(port.type)}"
    return text if port.required else f"{text} = {port.default!r}"


def _broken(module: str, problem: str) -> FunctionView:
    return FunctionView(FunctionSpec(module, "", "task", (), (), module=module), problem=problem)


FUNCTION_ROUTES = Router(
    "/v1", route_handlers=[list_functions, show_function, list_modules], tags=["functions"]
)
