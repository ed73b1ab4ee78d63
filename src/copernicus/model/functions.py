"""What a function is: ports, kind, where its code or its template is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.errors import BadDefinition, BadValue, NotFound
from copernicus.model.jobs import Command
from copernicus.model.resources import ProgramNeed, Resources, check_resources
from copernicus.model.retries import RetryPolicy, check_retries
from copernicus.model.types import PortType

OnChange = Literal["finish", "cancel", "extend"]
Kind = Literal["program", "task", "workflow"]


class Port(msgspec.Struct, frozen=True, omit_defaults=True):
    """A typed input or output.

    ``on_change`` says what a changed value does to work under way (SEMANTICS 7.1). ``latest``
    takes values that move without waiting (2.1); ``streaming`` takes what running jobs have so
    far (2.2). A ``final`` output is set only at the end.
    """

    name: str
    type: PortType
    required: bool = True
    default: Any = None
    doc: str = ""
    on_change: OnChange = "finish"
    latest: bool = False
    streaming: bool = False
    final: bool = False


class FunctionSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function as data.

    ``entry`` (``module:qualified_name``) is where the code is, ``module`` the distribution that
    has it; a function described by a template (TOML) has ``template`` and no code at all.
    ``cache``: within a project, an equal call takes the result of an earlier one. ``stochastic``:
    the same inputs give different results, other than by a ``seed`` among them.
    """

    name: str
    version: str
    kind: Kind
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    doc: str = ""
    module: str = ""
    entry: str = ""
    program: ProgramNeed | None = None
    template: Command | None = None
    resources: Resources = Resources()
    retry: RetryPolicy = RetryPolicy()
    cache: bool = False
    stochastic: bool = False

    def input(self, name: str) -> Port:
        """The input port of this name.

        Raises:
            NotFound: There is none; the message lists those there are.
        """
        return _port(self, "input", name, self.inputs)

    def output(self, name: str) -> Port:
        """The output port of this name.

        Raises:
            NotFound: There is none; the message lists those there are.
        """
        return _port(self, "output", name, self.outputs)

    @property
    def extends(self) -> frozenset[str]:
        """The input ports whose change continues the work instead of starting it again."""
        return frozenset(port.name for port in self.inputs if port.on_change == "extend")


def _port(spec: FunctionSpec, side: str, name: str, ports: tuple[Port, ...]) -> Port:
    for port in ports:
        if port.name == name:
            return port
    known = ", ".join(port.name for port in ports) or "none"
    raise NotFound(f"{spec.name} has no {side} {name!r}; it has: {known}")


def departure(old: FunctionSpec, new: FunctionSpec) -> str:
    """Why ``new`` cannot be called as ``old`` is; empty if it can.

    It can if it has the same ports of the same types, and what it has beside them need not be set.
    """
    if old.kind != new.kind:
        return f"it is a {new.kind} function now, and was a {old.kind} function"
    for side, before, after in (
        ("input", old.inputs, new.inputs),
        ("output", old.outputs, new.outputs),
    ):
        known = {port.name: port for port in after}
        for port in before:
            now = known.get(port.name)
            if now is None:
                return f"it has no {side} {port.name} any more"
            if _taken(now) != _taken(port):
                return f"its {side} {port.name} is another now"
    added = {port.name for port in new.inputs if port.required}
    missing = added - {port.name for port in old.inputs}
    return f"it needs {', '.join(sorted(missing))}" if missing else ""


def _check_cache(spec: FunctionSpec) -> None:
    if spec.kind == "workflow":
        raise BadDefinition(
            f"{spec.name}: a workflow has no result of its own to be used again: leave out cache"
        )
    if spec.extends:
        ports = ", ".join(sorted(spec.extends))
        raise BadDefinition(
            f"{spec.name}: results that are extended ({ports}) cannot be used again elsewhere: "
            "leave out cache, or on_change = extend"
        )
    seeded = any(port.name == "seed" or port.name.endswith("_seed") for port in spec.inputs)
    if spec.stochastic and not seeded:
        raise BadDefinition(
            f"{spec.name}: it is stochastic and has no input for its seed, so equal inputs are "
            "not equal samples: add an input named seed (or ..._seed), or leave out cache"
        )


def _check_retries(spec: FunctionSpec) -> None:
    try:
        check_retries(spec.retry)
    except BadValue as error:
        raise BadDefinition(f"{spec.name}: retry: {error.message}") from None


def _taken(port: Port) -> tuple[object, ...]:
    return port.type, port.latest, port.streaming, port.required


def check_spec(spec: FunctionSpec) -> FunctionSpec:
    """``spec`` if it is one that can be placed.

    Raises:
        BadDefinition: Names are doubled, a kind lacks what it needs, or a template would run
            something else than its program.
    """
    for side, ports in (("input", spec.inputs), ("output", spec.outputs)):
        names = [port.name for port in ports]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise BadDefinition(f"{spec.name}: {side} {', '.join(sorted(doubled))} stands twice")
    for port in spec.inputs:
        if port.streaming and (port.latest or spec.kind == "workflow"):
            raise BadDefinition(
                f"{spec.name}: input {port.name} cannot stream: that is for inputs of programs and "
                "tasks, and excludes Latest; a workflow reads running jobs with net.peek"
            )
    check_resources(spec.resources, spec.name)
    if spec.kind == "program" and not spec.program:
        raise BadDefinition(f"{spec.name}: a program function must name its program")
    if spec.cache:
        _check_cache(spec)
    _check_retries(spec)
    if not spec.entry and not spec.template:
        raise BadDefinition(f"{spec.name}: it has neither code nor a template")
    for line in spec.template.lines if spec.template else ():
        if line.argv[:1] != ("{program}",):
            raise BadDefinition(
                f"{spec.name}: a line of its template starts {line.argv[:1]}, not '{{program}}': "
                "workers run nothing else"
            )
    return spec
