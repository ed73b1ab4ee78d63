"""Long lists in pages, and how much there is of lists that are not whole yet."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from copernicus.engine import views
from copernicus.engine.pages import page
from copernicus.errors import NotFound
from copernicus.model import edits as ed
from copernicus.model.functions import Port
from copernicus.model.paths import parse
from copernicus.model.types import AnyType, OptionalType
from support.world import World, task_spec

EXTRA = Port("extra", OptionalType(AnyType()), required=False)


def a_world(count: int = 10) -> World:
    spec = task_spec("m.md", "x", "y")
    w = World(msgspec.structs.replace(spec, outputs=(*spec.outputs, EXTRA)))
    w.add("many", "m.md", x=list(range(count)), mapped=["x"])
    return w


def do(w: World, *places: int) -> None:
    for place in places:
        outputs: dict[str, Any] = {"y": place * 10}
        w.done(f"many[{place}]", **outputs, extra=place if place % 2 else None)


def pages(w: World, path: str, count: int) -> list[Any]:
    found, total = [], 1
    while len(found) < total:
        seen = page(w.state, parse(path), len(found), count)
        found, total = found + seen.value, seen.total
    return found


@pytest.mark.parametrize("path", ["many.out.y", "many.out.extra", "many.in.x"])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_pages_are_the_list(path, count):
    w = a_world()
    do(w, *range(10))
    assert pages(w, path, count) == views.value(w.state, parse(path)).value


def test_what_fits_in_a_page_is_as_it_always_was():
    w = a_world(3)
    do(w, 0, 1, 2)
    for path in ("many.out.y", "many.out.y[1]", "many.in.x"):
        assert page(w.state, parse(path), 0, 3) == views.value(w.state, parse(path))


def test_pages_of_another_list_are_of_another_edition():
    w = a_world()
    do(w, *range(10))
    before = page(w.state, parse("many.out.y"), 0, 4)
    assert page(w.state, parse("many.out.y"), 4, 4).edition == before.edition
    w.edit(ed.Retry("many[2]"))
    w.done("many[2]", y=7, extra=None)
    assert page(w.state, parse("many.out.y"), 4, 4).edition != before.edition


def test_lists_that_are_not_whole_have_no_pages():
    w = a_world()
    do(w, 0, 1)
    found = page(w.state, parse("many.out.y"), 0, 4)
    assert (found.state, found.value, found.total) == ("waiting", None, 0)


def test_what_is_no_value_is_refused():
    w = a_world()
    do(w, *range(10))
    with pytest.raises(NotFound):
        page(w.state, parse("many.out.z"), 0, 4)


def test_of_lists_that_are_not_whole_it_is_told_how_much_there_is():
    w = a_world(5)
    do(w, 0, 3)
    w.fails("many[2]", "blew up")
    assert views.how_far(w.state, w.state.instances["many"]) == {
        "y": "2 of 5 there; of the rest 2 queued, 1 failed",
        "extra": "1 of 5 there; of the rest 2 queued, 1 failed",
    }
    do(w, 1, 4)
    w.edit(ed.Retry("many[2]"))
    do(w, 2)
    assert views.how_far(w.state, w.state.instances["many"]) == {}
