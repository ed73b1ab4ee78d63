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
    whole.items, whole.dirty, whole.evaluations = {}, {}, {}
    whole.tallies, whole.tallied, whole.behind = {}, {}, {}
    whole.splits = {}
    whole.candidates, whole.backlog, whole.postponed = set(), [], []
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
    for path, instance in state.instances.items():
        recount(instance)
        for eid, element in instance.elements.items():
            element.backlogged = False
            state.candidates.add((path, eid))
    return state


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
