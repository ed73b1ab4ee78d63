"""What will run by itself: elements whose inputs come, because something under way brings them.

An upper bound: a run that ends with the values of before changes nothing for those after it. The
questions go up the network one after another on a stack of their own, as chains are long.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Literal

from copernicus.engine.firing import wants_to_fire
from copernicus.engine.instances import Element, Instance
from copernicus.engine.resolve import part_of, resolve, taken_by
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import frozen_before
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, OutRef, Source
from copernicus.model.network import Literal as Plain

Standing = Literal["current", "coming", "never", "hole"]
Key = tuple[Literal["element", "inputs", "whole", "gate"], str, str]
Asking = Generator[Key, Standing, Standing]


class Coming:
    """The answers about one state, which must not change meanwhile."""

    def __init__(self, state: ProjectState) -> None:
        self._state = state
        self._known: dict[Key, Standing] = {}

    def runs(self, instance: Instance, element: Element) -> bool:
        """Whether the element runs now, or may run without anybody doing anything more."""
        return self._ask(("element", instance.path, element.eid)) == "coming"

    def inputs_come(self, instance: Instance, element: Element) -> bool:
        """Whether an input of the element is still to come, and none is missing for good."""
        return self._ask(("inputs", instance.path, element.eid)) == "coming"

    def elements_come(self, instance: Instance) -> bool:
        """Whether it will be known which elements a mapped instance has."""
        return self._ask(("whole", instance.path, "")) == "coming"

    def _ask(self, wanted: Key) -> Standing:
        known = self._known
        if wanted in known:
            return known[wanted]
        stack = [(wanted, self._rule(wanted))]
        begun = {wanted}
        answer: Standing | None = None
        while stack:
            key, rule = stack[-1]
            try:
                above = rule.send(answer) if answer is not None else next(rule)
            except StopIteration as end:
                known[key] = answer = end.value
                begun.discard(key)
                stack.pop()
                continue
            answer = known.get(above)
            if answer is None and above in begun:
                answer = "never"
            if answer is None:
                begun.add(above)
                stack.append((above, self._rule(above)))
        return known[wanted]

    def _rule(self, key: Key) -> Asking:
        kind, path, eid = key
        instance = self._state.instances[path]
        match kind:
            case "gate":
                return self._gate(instance)
            case "whole":
                return self._whole(instance)
            case "inputs":
                return self._inputs(instance, eid)
        return self._element(instance, eid)

    def _element(self, instance: Instance, eid: str) -> Asking:
        element = instance.elements.get(eid)
        if element is None or not element.wanted or instance.retired:
            return "never"
        works = element.open is not None and self._state.activations[element.open].works
        if works:
            return "coming"
        gate = yield ("gate", instance.path, "")
        if gate == "never":
            return "hole" if element.hole else "current" if element.current else "never"
        if element.open is not None or gate == "coming":
            return "coming"
        if element.hole:
            # A skip ends when the inputs change.
            standing = yield ("inputs", instance.path, eid)
            return "coming" if standing == "coming" else "hole"
        ports = self._state.spec(instance).inputs
        if not element.ready or any(taken_by(port) != "current" for port in ports):
            standing = yield ("inputs", instance.path, eid)
            if standing == "coming" or not element.ready:
                return standing
        if element.current:
            return "current"
        evaluation = element.evaluation
        if evaluation is not None and evaluation.failure is None:
            bound = [b.declared for b in evaluation.outputs.values() if b.declared is not None]
            seen = [
                s
                for b in evaluation.branches.values()
                for a in b.answers.values()
                for s in a.waits.sources
            ]
            return (yield from self._any([*bound, *seen]))
        return "coming" if wants_to_fire(self._state, element) else "never"

    def _gate(self, instance: Instance) -> Asking:
        """``current``: what fires, fires; ``coming``: an evaluation has still to get there."""
        if instance.retired or instance.held:
            return "never"
        if instance.owner is None:
            return "current"
        owner = self._state.instances[instance.owner.path]
        element = owner.elements[instance.owner.eid]
        evaluation = element.evaluation
        if evaluation is None or evaluation.failure or not element.wanted or element.hole:
            return "never"
        above = yield ("gate", owner.path, "")
        if above != "current":
            return above
        if not element.ready:
            return (yield ("inputs", owner.path, element.eid))
        if instance.declared_in != evaluation.number:
            return "coming"
        behind = frozen_before(element, instance.owner.branch, instance.owner.segment)
        return "coming" if behind else "current"

    def _whole(self, instance: Instance) -> Asking:
        if instance.eids is None:
            mapped = [instance.inputs.get(port) for port in instance.mapped]
            return (yield from self._all([s for s in mapped if s], complete=all(mapped)))
        coming = False
        for eid in instance.eids:
            standing = yield ("element", instance.path, eid)
            if standing == "never":
                return "never"
            coming = coming or standing == "coming"
        return "coming" if coming else "current"

    def _inputs(self, instance: Instance, eid: str) -> Asking:
        coming = False
        for port in self._state.spec(instance).inputs:
            standing = yield from self._port(instance, port, eid)
            if standing == "never" or (standing == "hole" and port.required):
                return "never"
            coming = coming or standing == "coming"
        return "coming" if coming else "current"

    def _port(self, instance: Instance, port: Port, eid: str) -> Asking:
        source = instance.inputs.get(port.name)
        if source is None:
            return "never" if port.required else "current"
        part = part_of(instance, port.name, eid) if port.name in instance.mapped else None
        standing = yield from self._source(source, part)
        take = taken_by(port)
        if take == "current" or standing in ("current", "coming"):
            return standing
        known = resolve(self._state, source, take=take).status != "waiting"
        return "current" if known else standing

    def _source(self, source: Source, part: str | None = None) -> Asking:
        """The standing of a source, or of the element ``part`` of the list that it is."""
        state = self._state
        match source:
            case Plain():
                return "current"
            case Collect():
                one = state.indexed(source).sources.get(part) if part is not None else None
                if one is not None:
                    return (yield from self._source(one))
                inside = [item.source for item in source.items]
                if source.at_least is not None:
                    return (yield from self._any(inside))
                return (yield from self._all(inside))
            case OutRef(path=path, element=element):
                upstream = state.instances.get(path)
                if upstream is None:
                    return "never"
                eid = element if element is not None else part
                if eid is not None and eid in upstream.elements:
                    return (yield ("element", path, eid))
                if upstream.mapped:
                    return (yield ("whole", path, ""))
                return (yield ("element", path, ""))
            case InRef():
                return (yield from self._border(source, part))

    def _border(self, source: InRef, part: str | None) -> Asking:
        owner = self._state.instances[source.path]
        inner = owner.inputs.get(source.port)
        if inner is None:
            port = self._state.spec(owner).input(source.port)
            return "never" if port.required else "current"
        if source.port in owner.mapped:
            part = part_of(owner, source.port, source.eid)
        return (yield from self._source(inner, part))

    def _all(self, sources: Iterable[Source], *, complete: bool = True) -> Asking:
        coming = False
        for source in sources:
            standing = yield from self._source(source)
            if standing == "never":
                return "never"
            coming = coming or standing == "coming"
        return "coming" if coming else "current" if complete else "never"

    def _any(self, sources: Iterable[Source]) -> Asking:
        for source in sources:
            standing = yield from self._source(source)
            if standing == "coming":
                return "coming"
        return "never"
