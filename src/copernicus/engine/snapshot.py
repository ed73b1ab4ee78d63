"""A project's state as bytes, so that a long journal need not be folded at every start.

A snapshot only saves time: the journal is the truth. One that another version wrote, or that is
damaged, is no snapshot, and everything is folded.

What there are many of comes in parts, behind all else: to read it needs hardly more memory than
the state itself.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from copernicus.engine import instances as kept
from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.sharing import alike, as_kept, same, share_empty
from copernicus.engine.standing import recount
from copernicus.engine.state import ProjectState, field_types
from copernicus.model.network import Collect
from copernicus.version import __version__

# Counts the meanings of derived fields and the forms of the whole, where a change of them leaves
# the names of the fields as they are.
MEANING = 2
_LEVEL = 1
_DIGEST_BYTES = 32
_EACH = 2_000

_One = TypeVar("_One")


class _Part(msgspec.Struct, array_like=True):
    """Some of what there are many of: activations, or elements of an instance."""

    activations: tuple[Activation, ...] = ()
    path: str = ""
    elements: tuple[Element, ...] = ()


def dump(state: ProjectState) -> bytes:
    """The state as bytes. What waits to be looked at is left out: it is looked at after loading."""
    whole = copy.copy(state)
    whole.items, whole.dirty, whole.opened, whole.evaluations = {}, {}, {}, {}
    whole.tallies, whole.tallied, whole.behind = {}, {}, {}
    whole.splits, whole.jobs_like = {}, {}
    whole.candidates, whole.backlog, whole.postponed = {}, [], []
    whole.instances = {path: _bare(instance) for path, instance in state.instances.items()}
    whole.activations = {}
    body = msgspec.msgpack.encode([_packed(whole), *map(_packed, _parts(state))])
    return _seal(body) + body


def load(data: bytes) -> ProjectState | None:
    """The state that was dumped; ``None`` if it cannot be used, whatever the reason."""
    seal, body = data[:_DIGEST_BYTES], memoryview(data)[_DIGEST_BYTES:]
    if seal != _seal(body):
        return None
    try:
        state = _read(body)
    except (msgspec.MsgspecError, zlib.error):
        return None
    for path, instance in state.instances.items():
        recount(instance)
        state.consider(path, instance.elements)
    return state


def _parts(state: ProjectState) -> Iterator[_Part]:
    for activations in _some(state.activations.values()):
        yield _Part(activations=activations)
    for path, instance in state.instances.items():
        for elements in _some(instance.elements.values()):
            yield _Part(path=path, elements=elements)


def _some(many: Iterable[_One]) -> Iterator[tuple[_One, ...]]:
    rest = iter(many)
    while some := tuple(islice(rest, _EACH)):
        yield some


def _read(body: memoryview) -> ProjectState:
    """Part by part, each of which keeps once what is equal: never all of it as it was written."""
    head, *parts = msgspec.msgpack.decode(body, type=list[memoryview])
    state = msgspec.msgpack.decode(zlib.decompress(head), type=ProjectState)
    texts = {eid: eid for eid in _identities(state)}
    for packed in parts:
        part = msgspec.msgpack.decode(zlib.decompress(packed), type=_Part)
        for made in part.activations:
            _share_activation(state, texts, made)
            state.activations[made.id] = made
        for element in part.elements:
            _share_element(state, texts, element)
            state.instances[part.path].elements[element.eid] = element
    return state


def _identities(state: ProjectState) -> Iterator[str]:
    """Those of elements, as the lists that were set by hand have them."""
    for instance in state.instances.values():
        for source in instance.inputs.values():
            if isinstance(source, Collect):
                yield from (item.eid for item in source.items)


def _share_activation(state: ProjectState, texts: dict[str, str], made: Activation) -> None:
    """Keep once what is equal, as where the journal is read."""
    share_empty(made)
    made.path = texts.setdefault(made.path, made.path)
    made.eid = texts.get(made.eid, made.eid)
    made.version = texts.setdefault(made.version, made.version)
    made.lineage = same(made.lineage, made.id)
    made.base_digest = same(made.base_digest, made.digest)
    made.strict_digest = same(made.strict_digest, made.digest)
    if made.job is not None:
        like = state.jobs_like.get(made.job.function)
        made.job = alike(made.job, like, made.inputs, made.digest)
        state.jobs_like[made.job.function] = made.job


def _share_element(state: ProjectState, texts: dict[str, str], element: Element) -> None:
    share_empty(element)
    element.eid = texts.get(element.eid, element.eid)
    for name in ("open", "success"):
        if (last := getattr(element, name)) is not None:
            made = state.activations[last]
            setattr(element, name, made.id)
            element.eid = same(element.eid, made.eid)
    element.standing = texts.setdefault(element.standing, element.standing)
    element.digest = as_kept(state, element, element.digest)
    element.strict_digest = same(element.strict_digest, element.digest)
    element.shown_digest = same(element.shown_digest, element.digest)
    element.backlogged = False


def _bare(instance: Instance) -> Instance:
    return dataclasses.replace(instance, elements={}, places=((), {}), taken={}, standing={})


def _packed(part: ProjectState | _Part) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(part), _LEVEL)


def _seal(body: bytes | memoryview) -> bytes:
    """Of this version, of these fields, of this body."""
    seal = hashlib.sha256(_FORM.encode())
    seal.update(body)
    return seal.digest()


_KEPT = (
    kept.Activation,
    kept.Answered,
    kept.Branch,
    kept.Decision,
    kept.Binding,
    kept.Evaluation,
    kept.Element,
    kept.Instance,
    ProjectState,
)
_FORM = repr(
    [
        (__version__, MEANING),
        *((kind.__name__, *field) for kind in _KEPT for field in field_types(kind).items()),
    ]
)
