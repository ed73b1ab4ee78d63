"""What is different between two networks, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal as Word

import msgspec

from copernicus.engine.showing import shorten
from copernicus.model.document import InstanceDocument, NetworkDocument, readable
from copernicus.model.network import Collect, InRef, Literal, OutRef, Source


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference: ``+`` there now, ``-`` there no more, ``~`` something else than before."""

    kind: Word["+", "-", "~"]
    path: str
    before: str = ""
    after: str = ""


def differences(before: NetworkDocument, after: NetworkDocument) -> list[Change]:
    """What leads from one network to another: functions, instances, inputs, held parts, pins."""
    found = [*_functions(before, after)]
    was = {i.incarnation: path for path, i in before.instances.items() if i.incarnation}
    kept: set[str] = set()
    for path, now in after.instances.items():
        old = was.get(now.incarnation, path)
        known = before.instances.get(old)
        if known is None or known.incarnation != now.incarnation:
            found += _whole("+", path, now, after)
        else:
            kept.add(old)
            found += _changed(old, known, before, path, now, after)
    for path, gone in before.instances.items():
        if path not in kept:
            found += _whole("-", path, gone, before)
    return [*found, *_inside(before, after)]


def _functions(before: NetworkDocument, after: NetworkDocument) -> Iterator[Change]:
    old = {spec.name: spec for spec in before.functions}
    new = {spec.name: spec for spec in after.functions}
    for name in sorted({*old, *new}):
        if name not in old:
            yield Change("+", f"function {name}", after=new[name].version)
        elif name not in new:
            yield Change("-", f"function {name}", before=old[name].version)
        elif old[name] != new[name]:
            yield Change("~", f"function {name}", old[name].version, new[name].version)


def _whole(
    kind: Word["+", "-"], path: str, one: InstanceDocument, network: NetworkDocument
) -> Iterator[Change]:
    yield _told(kind, path, _facts(one))
    for port, source in one.inputs.items():
        yield _told(kind, f"{path}.in.{port}", _shown(source, network))


def _told(kind: Word["+", "-"], path: str, text: str) -> Change:
    return Change(kind, path, after=text) if kind == "+" else Change(kind, path, before=text)


def _facts(one: InstanceDocument) -> str:
    mapped = f", mapped over {', '.join(one.mapped)}" if one.mapped else ""
    version = f" {one.version}" if one.version else ""
    return f"{one.function}{version}{mapped}, {'held' if one.held else 'active'}{_asked(one)}"


def _asked(one: InstanceDocument) -> str:
    if one.resources is None:
        return ""
    asked = msgspec.to_builtins(one.resources) or {"cores": one.resources.cores}
    return "".join(f", {name} {value}" for name, value in asked.items())


def _changed(
    old_path: str,
    old: InstanceDocument,
    before: NetworkDocument,
    path: str,
    new: InstanceDocument,
    after: NetworkDocument,
) -> Iterator[Change]:
    if old_path != path:
        yield Change("~", path, old_path, f"{path} (renamed)")
    if _facts(old) != _facts(new):
        yield Change("~", path, _facts(old), _facts(new))
    for port in sorted({*old.inputs, *new.inputs}):
        where = f"{path}.in.{port}"
        was, now = old.inputs.get(port), new.inputs.get(port)
        if was is not None and now is not None:
            yield from _input(where, was, before, now, after)
        elif now is not None:
            yield Change("+", where, after=_shown(now, after))
        elif was is not None:
            yield Change("-", where, before=_shown(was, before))


def _input(
    where: str, was: Source, before: NetworkDocument, now: Source, after: NetworkDocument
) -> Iterator[Change]:
    if isinstance(was, Collect) and isinstance(now, Collect):
        yield from _elements(where, was, before, now, after)
    elif was != now and _shown(was, before) == _shown(now, after):
        yield Change("~", where, _shown(was, before), "the same text, another value")
    elif was != now:
        yield Change("~", where, _shown(was, before), _shown(now, after))


def _elements(
    where: str, was: Collect, before: NetworkDocument, now: Collect, after: NetworkDocument
) -> Iterator[Change]:
    old = {item.eid: (place, item.source) for place, item in enumerate(was.items)}
    new = {item.eid: (place, item.source) for place, item in enumerate(now.items)}
    for eid, (place, source) in old.items():
        if eid not in new:
            yield Change("-", f"{where}[{place}]", before=_shown(source, before))
    for eid, (place, source) in new.items():
        name = f"{where}[{place}]"
        if eid not in old:
            yield Change("+", name, after=_shown(source, after))
        elif old[eid][1] != source:
            yield Change("~", name, _shown(old[eid][1], before), _shown(source, after))
    order = [eid for eid in old if eid in new]
    if order != [eid for eid in new if eid in old]:
        yield Change("~", where, "the elements in one order", "in another")


def _inside(before: NetworkDocument, after: NetworkDocument) -> Iterator[Change]:
    for path in sorted({*before.held_inside, *after.held_inside}):
        if path not in before.held_inside:
            yield Change("~", path, "active", "held")
        elif path not in after.held_inside:
            yield Change("~", path, "held", "active")
    for target in sorted({*before.pins, *after.pins}):
        was, now = before.pins.get(target), after.pins.get(target)
        if was is None and now is not None:
            yield Change("+", target, after=f"{_shown(now, after)} (pinned)")
        elif now is None and was is not None:
            yield Change("-", target, before=f"{_shown(was, before)} (pinned)")
        elif was is not None and now is not None and was != now:
            yield Change("~", target, _shown(was, before), f"{_shown(now, after)} (pinned)")


def _shown(source: Source, network: NetworkDocument) -> str:
    found = readable(source, network.elements)
    match found:
        case Literal(value=value):
            return shorten(value)
        case Collect(items=items):
            told = [_shown(item.source, network) for item in items[:3]]
            return f"[{', '.join(told)}{', ...' if len(items) > 3 else ''}]"
        case OutRef() | InRef():
            return f"<- {path_of(found)}"


def path_of(reference: OutRef | InRef) -> str:
    """A reference as people write it: ``prep.out.tpr[2]``."""
    side = "out" if isinstance(reference, OutRef) else "in"
    element = getattr(reference, "element", None)
    text = f"{reference.path}.{side}.{reference.port}" + (f"[{element}]" if element else "")
    return text + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in reference.steps)
