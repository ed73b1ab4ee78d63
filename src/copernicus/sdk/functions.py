"""The decorators ``@program``, ``@task`` and ``@workflow``: Python functions become functions."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec
from packaging.version import InvalidVersion, Version

from copernicus.errors import BadDefinition
from copernicus.model.docstrings import read_doc
from copernicus.model.functions import FunctionSpec, Kind, OnChange
from copernicus.model.resources import ProgramNeed, Resources, specifiers
from copernicus.model.retries import RetryPolicy
from copernicus.sdk.hints import Outputs, hints_of, input_ports, output_hints, output_ports

P = ParamSpec("P")
R = TypeVar("R")


class Function(Generic[P, R]):
    """An author's function with its description; calling it calls the Python function."""

    def __init__(self, body: Callable[P, R], spec: FunctionSpec, hints: Mapping[str, Any]) -> None:
        self.body = body
        self.spec = spec
        self.output_hints = dict(hints)
        functools.update_wrapper(self, body)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the Python function itself."""
        return self.body(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.spec.kind} {self.spec.name}>"

    def bind(self, module: str, version: str) -> None:
        """Take the full name ``module.name`` and the module's version.

        Raises:
            BadDefinition: Another module has it already, or the version is none.
        """
        spec = self.spec
        if spec.module and spec.module != module:
            raise BadDefinition(f"{spec.name} belongs to module {spec.module}, not to {module}")
        try:
            Version(version)
        except InvalidVersion:
            raise BadDefinition(
                f"module {module}: {version!r} is no version: write for example '1.2'"
            ) from None
        program = spec.program
        if spec.kind == "task":
            program = ProgramNeed(f"module/{module}", f"=={version}")
        self.spec = msgspec.structs.replace(
            spec,
            name=f"{module}.{self.body.__name__}",
            version=version,
            module=module,
            program=program,
        )


def _spec(
    body: Callable[..., Any],
    kind: Kind,
    hints: Mapping[str, Any],
    output_docs: Mapping[str, str],
    on_change: Mapping[str, OnChange] | None = None,
) -> FunctionSpec:
    name = body.__name__
    if "<locals>" in body.__qualname__ and kind != "workflow":
        raise BadDefinition(f"{name}: define it at the top level of its Python module")
    doc = read_doc(body.__doc__)
    return FunctionSpec(
        name=name,
        version="",
        kind=kind,
        inputs=input_ports(body, name, 1 if kind == "workflow" else 0, on_change or {}),
        outputs=output_ports(hints, name, {**output_docs, **doc.outputs}),
        doc=doc.text,
        entry=f"{body.__module__}:{body.__qualname__}",
    )


def program(
    name: str,
    versions: str = "",
    *,
    outputs: Outputs,
    on_change: Mapping[str, OnChange] | None = None,
    resources: Resources | None = None,
    retry: RetryPolicy | None = None,
    cache: bool = False,
    stochastic: bool = False,
) -> Callable[[Callable[P, R]], Function[P, R]]:
    """A function that describes, from its inputs, how to run a program: it returns a ``Command``.

    Args:
        name: The program, as workers offer it.
        versions: Its versions (PEP 440 specifiers), all by default.
        outputs: Output ports: names to types, or a dataclass.
        on_change: Per input, what a change does to work under way: finish, cancel, extend.
        resources: What a job asks for unless the ``Command`` says otherwise.
        retry: How often a job is tried again.
        cache: Whether a result is used again for equal inputs.
        stochastic: Whether equal inputs give different results (without a port ``seed``).
    """
    specifiers(versions)

    def decorate(body: Callable[P, R]) -> Function[P, R]:
        hints = output_hints(outputs, body.__name__)
        docs = read_doc(outputs.__doc__).outputs if isinstance(outputs, type) else {}
        spec = msgspec.structs.replace(
            _spec(body, "program", hints, docs, on_change),
            program=ProgramNeed(name, versions),
            resources=resources or Resources(),
            retry=retry or RetryPolicy(),
            cache=cache,
            stochastic=stochastic,
        )
        return Function(body, spec, hints)

    return decorate


def _returned(body: Callable[..., Any], outputs: Outputs | None) -> dict[str, Any]:
    """Output hints from ``outputs`` or else from the return annotation."""
    name = body.__name__
    if outputs is not None:
        return output_hints(outputs, name)
    hint = hints_of(body, name).get("return", type(None))
    if hint is type(None) or hint is None:
        return {}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return output_hints(hint, name)
    return {"result": hint}


def _returned_docs(body: Callable[..., Any], outputs: Outputs | None) -> dict[str, str]:
    source = outputs if outputs is not None else inspect.signature(body).return_annotation
    if isinstance(source, str):
        source = hints_of(body, body.__name__).get("return")
    is_record = isinstance(source, type) and dataclasses.is_dataclass(source)
    return read_doc(source.__doc__).outputs if is_record else {}


@overload
def task(body: Callable[P, R], /) -> Function[P, R]: ...
@overload
def task(
    *,
    outputs: Outputs | None = None,
    on_change: Mapping[str, OnChange] | None = None,
    resources: Resources | None = None,
    retry: RetryPolicy | None = None,
    cache: bool = False,
    stochastic: bool = False,
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def task(
    body: Callable[P, R] | None = None,
    /,
    *,
    outputs: Outputs | None = None,
    on_change: Mapping[str, OnChange] | None = None,
    resources: Resources | None = None,
    retry: RetryPolicy | None = None,
    cache: bool = False,
    stochastic: bool = False,
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """A Python function that a worker runs which has its module.

    The return annotation gives the outputs: one for every field of a dataclass, else ``result``.

    Args:
        body: The function, where the decorator is used without parentheses.
        outputs: Output ports, where the annotation does not say it; the function returns a dict.
        on_change: Per input, what a change does to work under way: finish or cancel.
        resources: What a job asks for.
        retry: How often a job is tried again.
        cache: Whether a result is used again for equal inputs.
        stochastic: Whether equal inputs give different results (without a port ``seed``).
    """

    def decorate(body: Callable[P, R]) -> Function[P, R]:
        hints = _returned(body, outputs)
        spec = msgspec.structs.replace(
            _spec(body, "task", hints, _returned_docs(body, outputs), on_change),
            resources=resources or Resources(),
            retry=retry or RetryPolicy(),
            cache=cache,
            stochastic=stochastic,
        )
        return Function(body, spec, hints)

    return decorate(body) if body is not None else decorate


@overload
def workflow(body: Callable[P, R], /) -> Function[P, R]: ...
@overload
def workflow(*, outputs: Outputs | None = None) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def workflow(
    body: Callable[P, R] | None = None, /, *, outputs: Outputs | None = None
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """A coroutine function that declares a network; its first parameter is the ``Net``.

    Args:
        body: The function, where the decorator is used without parentheses.
        outputs: Output ports: names to types, or a dataclass; else the return annotation.
    """

    def decorate(body: Callable[P, R]) -> Function[P, R]:
        is_coroutine = inspect.iscoroutinefunction(body)
        if not is_coroutine:
            raise BadDefinition(f"{body.__name__}: a workflow function is written with async def")
        if not inspect.signature(body).parameters:
            raise BadDefinition(f"{body.__name__}: its first parameter must be the net")
        hints = _returned(body, outputs)
        spec = _spec(body, "workflow", hints, _returned_docs(body, outputs))
        return Function(body, spec, hints)

    return decorate(body) if body is not None else decorate
