"""Answers an evaluator's requests; knows nothing of processes and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copernicus.errors import CopernicusError, InternalError
from copernicus.evaluator.failures import failure_of
from copernicus.evaluator.frames import (
    Begin,
    Catalog,
    Continue,
    Describe,
    Description,
    End,
    Gone,
    Hello,
    Refused,
    Reply,
    Request,
    Rested,
)
from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import ROOT, Rest, Segment
from copernicus.model.functions import Kind
from copernicus.model.jobs import Command, Failure
from copernicus.protocol import ModuleView
from copernicus.registry import Discovery
from copernicus.sdk.commands import check_command
from copernicus.sdk.convert import arguments
from copernicus.sdk.functions import Function


class Service:
    """The evaluations of one process, and the functions that it may run: registered ones only."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery
        self._evaluations: dict[tuple[str, str, str], Evaluation] = {}
        self._entries = {
            function.spec.entry: function
            for function in discovery.functions().values()
            if isinstance(function, Function)
        }

    def reply(self, request: Request) -> Reply:
        """The reply to a request."""
        match request:
            case Hello():
                return catalog_of(self._discovery)
            case Describe():
                return self._describe(request)
            case Begin():
                return self._begin(request)
            case Continue():
                return self._continue(request)
            case End(path=path, eid=eid, number=number):
                self._forget((request.project, path, eid), number)
                return Gone(path, eid, number)

    def _function(self, entry: str, kind: Kind) -> Function[..., Any] | Failure:
        function = self._entries.get(entry)
        if function is not None and function.spec.kind == kind:
            return function
        return Failure(
            f"no installed module has the {kind} function {entry}",
            "definition",
            remedy="install the module in the server's environment, then retry",
            log="\n".join(f"{name}: {why}" for name, why in self._discovery.broken.items()),
        )

    def _describe(self, request: Describe) -> Description:
        function = self._function(request.entry, "program")
        if isinstance(function, Failure):
            return Description(request.id, failure=function)
        command, failure = describe(function, request.inputs)
        return Description(request.id, command, failure)

    def _begin(self, request: Begin) -> Reply:
        start = request.start
        key = (request.project, start.path, start.eid)
        present = self._evaluations.get(key)
        if present is not None and present.start.number > start.number:
            return Refused(
                f"{start.path}: evaluation {present.start.number} is here; "
                f"{start.number} came too late"
            )
        self._forget(key, start.number)
        function = self._function(start.entry, "workflow")
        if isinstance(function, Failure):
            segment = Segment(ROOT, 0, failure=function)
            return Rested(Rest(start.path, start.eid, start.number, (segment,)), ended=True)
        evaluation = Evaluation(start, function)
        self._evaluations[key] = evaluation
        return self._rested(key, evaluation, evaluation.run())

    def _continue(self, request: Continue) -> Reply:
        key = (request.project, request.path, request.eid)
        evaluation = self._evaluations.get(key)
        if evaluation is None or evaluation.start.number != request.number:
            return Gone(request.path, request.eid, request.number)
        try:
            return self._rested(key, evaluation, evaluation.answer(request.answer))
        except InternalError:
            raise
        except CopernicusError as error:
            return Refused(error.message)

    def _rested(self, key: tuple[str, str, str], evaluation: Evaluation, rest: Rest) -> Rested:
        if evaluation.ended:
            self._forget(key, rest.number)
        return Rested(rest, evaluation.ended)

    def _forget(self, key: tuple[str, str, str], number: int) -> None:
        evaluation = self._evaluations.get(key)
        if evaluation is not None and evaluation.start.number <= number:
            del self._evaluations[key]
            evaluation.close()


def catalog_of(discovery: Discovery) -> Catalog:
    """What is installed, as the server is told."""
    modules = tuple(
        ModuleView(
            name,
            module.version,
            module.doc,
            discovery.distributions.get(name, ""),
            tuple(module.functions),
        )
        for name, module in discovery.modules.items()
    )
    return Catalog(tuple(discovery.catalog().values()), discovery.broken, modules)


def describe(
    function: Function[..., Any], inputs: Mapping[str, Any]
) -> tuple[Command | None, Failure | None]:
    """The command of a program function for plain inputs, or why there is none."""
    try:
        given = arguments(function.body, function.spec, inputs)
        command = function.body(**given)
        if not isinstance(command, Command):
            raise TypeError(  # noqa: TRY301 - told as the author's failure, like all others
                f"{function.spec.name} must return a Command, not {type(command).__name__}"
            )
        check_command(function.spec, command)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the author's
        return None, failure_of(error, function.body.__code__)
    return command, None
