"""The network of a state as a document, and the edits that lead from one document to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from copernicus.engine.indexes import references, renamed
from copernicus.engine.instances import Instance
from copernicus.engine.state import ProjectState
from copernicus.model import edits as ed
from copernicus.model.document import InstanceDocument, NetworkDocument, readable
from copernicus.model.functions import FunctionSpec
from copernicus.model.network import OutRef, Source
from copernicus.model.paths import parse

Elements = Callable[[Instance], tuple[str, ...]]


def _listed(instance: Instance) -> tuple[str, ...]:
    return instance.eids or ()


def document_of(state: ProjectState, elements: Elements = _listed) -> NetworkDocument:
    """The top network of a project. ``elements`` gives the identities of an instance's elements."""
    tops = {p: i for p, i in state.instances.items() if i.owner is None}
    ordered = _downwards(tops)
    pins = {
        f"{path}.in.{port}": instance.inputs[port]
        for path, instance in state.instances.items()
        for port in instance.pinned
        if port in instance.inputs
    }
    sources = [s for i in tops.values() for s in i.inputs.values()] + list(pins.values())
    named = {r.path for s in sources for r in references(s) if isinstance(r, OutRef) and r.element}
    return NetworkDocument(
        revision=state.revision,
        instances={path: _document(tops[path]) for path in ordered},
        functions=tuple(state.functions[n][v] for n, v in sorted(state.defined.items())),
        held_inside=tuple(sorted(p for p, i in state.instances.items() if i.owner and i.held)),
        pins=dict(sorted(pins.items())),
        elements={
            path: elements(state.instances[path]) for path in sorted(named & set(state.instances))
        },
    )


def _document(instance: Instance) -> InstanceDocument:
    return InstanceDocument(
        function=instance.function,
        version=instance.version,
        mapped=instance.mapped,
        held=instance.held,
        resources=instance.resources,
        inputs=dict(sorted(instance.inputs.items())),
        incarnation=instance.incarnation,
    )


def _downwards(tops: Mapping[str, Instance]) -> list[str]:
    """Those above before those below; by name where that leaves it open."""
    ordered: dict[str, None] = {}
    above = {path: sorted(_above(instance) & set(tops)) for path, instance in tops.items()}
    for start in sorted(tops):
        way = [start]
        while way:
            missing = [p for p in above[way[-1]] if p not in ordered and p not in way]
            if missing:
                way.append(missing[0])
            else:
                ordered[way.pop()] = None
    return list(ordered)


def _above(instance: Instance) -> set[str]:
    found = (r for source in instance.inputs.values() for r in references(source))
    return {r.path.partition("/")[0].partition("@")[0] for r in found}


def edits_between(now: NetworkDocument, then: NetworkDocument) -> list[ed.Edit]:
    """The edits that make of the network ``now`` the network ``then``; none if it is that."""
    kept = dict(_kept(now, then))
    gone = [path for path in now.instances if path not in kept.values()]
    moves = {was: path for path, was in kept.items() if was != path}
    made = [path for path in then.instances if path not in kept]
    edits: list[ed.Edit] = [ed.Define(spec) for spec in _new_functions(now, then)]
    edits += [ed.RemoveInstance(path) for path in gone]
    edits += _renames(moves)
    edits += [_added(path, then.instances[path]) for path in made]
    for path, wanted in then.instances.items():
        found = now.instances[kept[path]] if path in kept else None

        def same(held: Source, source: Source, number: int = wanted.incarnation) -> bool:
            if number:
                return held == source
            return readable(held, now.elements) == readable(source, then.elements)

        edits += _inputs(path, wanted, found, moves, set(gone), same)
    return [*edits, *_holding(now, then, kept), *_pins(now, then, moves)]


def _new_functions(now: NetworkDocument, then: NetworkDocument) -> list[FunctionSpec]:
    known = {spec.name: spec for spec in now.functions}
    return [spec for spec in then.functions if known.get(spec.name) != spec]


def _kept(now: NetworkDocument, then: NetworkDocument) -> Iterator[tuple[str, str]]:
    """What is in both: by the name that it has then, the name that it has now."""
    by_number = {i.incarnation: path for path, i in now.instances.items() if i.incarnation}
    for path, wanted in then.instances.items():
        was = by_number.get(wanted.incarnation) if wanted.incarnation else path
        found = now.instances.get(was) if was else None
        if was and found and _same(found, wanted):
            yield path, was


def _same(found: InstanceDocument, wanted: InstanceDocument) -> bool:
    version = wanted.version in ("", found.version)
    one = (found.function, found.mapped, found.resources)
    return version and one == (wanted.function, wanted.mapped, wanted.resources)


def _renames(moves: Mapping[str, str]) -> Iterator[ed.Edit]:
    """By way of names that nobody has, where one takes the name that another gives up."""
    waiting = {was: name for was, name in moves.items() if name in moves}
    for was in waiting:
        yield ed.RenameInstance(was, f"{was}_on_its_way")
    for was, name in moves.items():
        yield ed.RenameInstance(f"{was}_on_its_way" if was in waiting else was, name)


def _added(path: str, wanted: InstanceDocument) -> ed.Edit:
    return ed.AddInstance(
        path=path,
        function=wanted.function,
        mapped=wanted.mapped,
        held=wanted.held,
        resources=wanted.resources,
        version=wanted.version,
        incarnation=wanted.incarnation,
    )


def _inputs(
    path: str,
    wanted: InstanceDocument,
    found: InstanceDocument | None,
    moves: Mapping[str, str],
    gone: set[str],
    same: Callable[[Source, Source], bool],
) -> Iterator[ed.Edit]:
    present = found.inputs if found else {}
    for port, source in wanted.inputs.items():
        held = present.get(port)
        if held is None or not same(renamed(held, dict(moves)), source) or _takes(held, gone):
            yield ed.SetSource(path, port, source)
    for port in present:
        if port not in wanted.inputs:
            yield ed.SetSource(path, port, None)


def _takes(source: Source, gone: set[str]) -> bool:
    """Whether taking these away has disconnected it."""
    tops = (r.path.partition("/")[0].partition("@")[0] for r in references(source))
    return any(top in gone for top in tops)


def _holding(
    now: NetworkDocument, then: NetworkDocument, kept: Mapping[str, str]
) -> Iterator[ed.Edit]:
    for path, was in kept.items():
        held = then.instances[path].held
        if held != now.instances[was].held:
            yield ed.Hold(path) if held else ed.Activate(path)
    for path in then.held_inside:
        if path not in now.held_inside:
            yield ed.Hold(path)
    for path in now.held_inside:
        if path not in then.held_inside and _top(path) in kept.values():
            yield ed.Activate(path)


def _top(path: str) -> str:
    return path.partition("/")[0].partition("@")[0]


def _pins(
    now: NetworkDocument, then: NetworkDocument, moves: Mapping[str, str]
) -> Iterator[ed.Edit]:
    for target, source in then.pins.items():
        if now.pins.get(target) != source:
            address = parse(target)
            yield ed.SetSource(address.instance, str(address.port), source)
    for target in now.pins:
        address = parse(target)
        if target not in then.pins and _top(address.instance) not in moves:
            still = _top(address.instance) in then.instances
            if still:
                yield ed.SetSource(address.instance, str(address.port), None)
