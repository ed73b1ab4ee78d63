"""A network as data that can be compared, kept in a file, and made again elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from copernicus.model.functions import FunctionSpec
from copernicus.model.network import Collect, Item, Literal, OutRef, Single, Source
from copernicus.model.resources import Resources


class InstanceDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instance of the top level as it was placed, with where its inputs come from.

    ``incarnation`` tells it from others of the same name in the same project; 0 is not known.
    """

    function: str
    version: str = ""
    mapped: tuple[str, ...] = ()
    held: bool = False
    resources: Resources | None = None
    inputs: dict[str, Source] = {}
    incarnation: int = 0


class NetworkDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The top network of a project: instances by name, those above before those that take of them.

    ``functions`` are those that were defined in the project. ``held_inside`` and ``pins`` are what
    a user's hand holds inside workflows. ``elements`` has the identities of those lists of which a
    connection takes single elements, so that these can be told by position.
    """

    revision: int = 0
    instances: dict[str, InstanceDocument] = {}
    functions: tuple[FunctionSpec, ...] = ()
    held_inside: tuple[str, ...] = ()
    pins: dict[str, Source] = {}
    elements: dict[str, tuple[str, ...]] = {}


def readable(source: Source, elements: Mapping[str, tuple[str, ...]]) -> Source:
    """``source`` without identities, as a text has it: elements by position, plain lists as values.

    ``elements`` are those of the document. What is in no list any more has no position and stays.
    """
    if isinstance(source, OutRef) and source.element is not None:
        known = elements.get(source.path, ())
        if source.element not in known:
            return source
        place = known.index(source.element)
        return OutRef(source.path, source.port, steps=(place, *source.steps))
    if isinstance(source, Collect):
        items = tuple(Item("", _single(item.source, elements)) for item in source.items)
        if all(isinstance(item.source, Literal) for item in items):
            return Literal([i.source.value for i in items if isinstance(i.source, Literal)])
        return Collect(items)
    return source


def _single(source: Single, elements: Mapping[str, tuple[str, ...]]) -> Single:
    found = readable(source, elements)
    assert not isinstance(found, Collect)
    return found
