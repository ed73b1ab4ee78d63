"""What is installed: Python modules that offer functions through ``copernicus.modules``.

An entry point of that group names a Python module; its attribute ``module`` is a ``Module``. A
module that cannot be imported is reported with the reason, and harms nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import msgspec

from copernicus.errors import BadDefinition
from copernicus.model.functions import FunctionSpec, check_spec

GROUP = "copernicus.modules"


class Registered(Protocol):
    """A function as its author's decorator leaves it: data and code."""

    spec: FunctionSpec

    @property
    def body(self) -> Callable[..., Any]:
        """The author's own Python function."""

    def bind(self, module: str, version: str) -> None:
        """Take the full name ``module.name`` and the module's version."""


class Module:
    """Functions under one name and version: ``module = Module("gromacs", "1.2", [mdrun, ...])``."""

    def __init__(
        self, name: str, version: str, functions: Iterable[Registered], doc: str = ""
    ) -> None:
        self.name = name
        self.version = version
        self.doc = doc
        self.functions: dict[str, Registered] = {}
        if not name.isidentifier():
            raise BadDefinition(f"{name!r} is no name for a module: use letters, digits and _")
        for function in functions:
            self._add(function)

    def __repr__(self) -> str:
        return f"Module({self.name!r}, {self.version!r}, {len(self.functions)} functions)"

    def _add(self, function: Registered) -> None:
        if not isinstance(getattr(function, "spec", None), FunctionSpec):
            raise BadDefinition(
                f"module {self.name}: {function!r} is no function of Copernicus: "
                "decorate it with @program, @task or @workflow"
            )
        function.bind(self.name, self.version)
        check_spec(function.spec)
        if function.spec.name in self.functions:
            raise BadDefinition(f"module {self.name} has {function.spec.name} twice")
        self.functions[function.spec.name] = function


class Discovery(msgspec.Struct, frozen=True):
    """The modules that are there, those that are broken with the reason, and whence they come."""

    modules: dict[str, Module]
    broken: dict[str, str]
    distributions: dict[str, str] = {}

    def functions(self) -> dict[str, Registered]:
        """All functions by their full name."""
        return {
            name: function
            for module in self.modules.values()
            for name, function in module.functions.items()
        }

    def catalog(self) -> dict[str, FunctionSpec]:
        """The descriptions of all functions by their full name."""
        return {name: function.spec for name, function in self.functions().items()}


def discover() -> Discovery:
    """Import every installed module; never fails as a whole."""
    modules: dict[str, Module] = {}
    broken: dict[str, str] = {}
    distributions: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            module = _load(point)
            if module.name in modules:
                raise BadDefinition(  # noqa: TRY301 - one place reports all that can be wrong
                    f"another installed module is called {module.name!r} too"
                )
        except (Exception, SystemExit) as error:  # noqa: BLE001 - strangers' code, reported below
            broken[point.name] = _reason(error)
        else:
            modules[module.name] = module
            if point.dist is not None:
                distributions[module.name] = f"{point.dist.name} {point.dist.version}"
    return Discovery(modules, broken, distributions)


def _load(point: EntryPoint) -> Module:
    loaded = point.load()
    module = loaded if isinstance(loaded, Module) else getattr(loaded, "module", None)
    if not isinstance(module, Module):
        raise BadDefinition(
            f"{point.value} has no attribute 'module' that is a copernicus.sdk.Module"
        )
    return module


def _reason(error: BaseException) -> str:
    if isinstance(error, BadDefinition):
        return error.message
    return f"{type(error).__name__}: {error}"


def catalog() -> dict[str, FunctionSpec]:
    """The functions of all installed modules by their full name."""
    return discover().catalog()
