"""A project's state as bytes, so that a long journal need not be folded at every start.

A snapshot only saves time: the journal is the truth. One that another version wrote, or that is
damaged, is no snapshot, and everything is folded.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import zlib

import msgspec

from copernicus.engine import instances as kept
from copernicus.engine.instances import Instance
from copernicus.engine.sharing import alike, as_kept, share_empty
from copernicus.engine.standing import recount
from copernicus.engine.state import ProjectState, field_types
from copernicus.version import __version__

# Counts the meanings of derived fields, where a change of them leaves their names as they are.
MEANING = 1
_LEVEL = 1
_DIGEST_BYTES = 32


def dump(state: ProjectState) -> bytes:
    """The state as bytes. What waits to be looked at is left out: it is looked at after loading."""
    whole = copy.copy(state)
    whole.items, whole.dirty, whole.opened, whole.evaluations = {}, {}, {}, {}
    whole.tallies, whole.tallied, whole.behind = {}, {}, {}
    whole.splits, whole.jobs_like = {}, {}
    whole.candidates, whole.backlog, whole.postponed = {}, [], []
    whole.instances = {path: _bare(instance) for path, instance in state.instances.items()}
    body = zlib.compress(msgspec.msgpack.encode(whole), _LEVEL)
    return _seal(body) + body


def load(data: bytes) -> ProjectState | None:
    """The state that was dumped; ``None`` if it cannot be used, whatever the reason."""
    seal, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if seal != _seal(body):
        return None
    try:
        state = msgspec.msgpack.decode(zlib.decompress(body), type=ProjectState)
    except (msgspec.MsgspecError, zlib.error):
        return None
    _share(state)
    for path, instance in state.instances.items():
        recount(instance)
        state.consider(path, instance.elements)
        for element in instance.elements.values():
            element.backlogged = False
    return state


def _share(state: ProjectState) -> None:
    """Keep once what is equal, as where the journal is read."""
    texts: dict[str, str] = {}
    for made in state.activations.values():
        share_empty(made)
        made.path = texts.setdefault(made.path, made.path)
        made.version = texts.setdefault(made.version, made.version)
        for name in ("base_digest", "strict_digest"):
            if getattr(made, name) == made.digest:
                setattr(made, name, made.digest)
        if made.job is not None:
            like = state.jobs_like.get(made.job.function)
            made.job = alike(made.job, like, made.inputs, made.digest)
            state.jobs_like[made.job.function] = made.job
    for instance in state.instances.values():
        for element in instance.elements.values():
            share_empty(element)
            element.digest = as_kept(state, element, element.digest)


def _bare(instance: Instance) -> Instance:
    return dataclasses.replace(instance, places=((), {}), taken={}, standing={})


def _seal(body: bytes) -> bytes:
    """Of this version, of these fields, of this body."""
    return hashlib.sha256(_FORM.encode() + body).digest()


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
