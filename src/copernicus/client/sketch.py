"""A network as a drawing: boxes from left to right, coloured by state. SVG that needs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from copernicus.protocol import InstanceView

COLOURS = {
    "held": "#8a8f98",
    "waiting": "#8a8f98",
    "queued": "#c98a00",
    "running": "#1f6fd6",
    "done": "#2a8a3e",
    "stale": "#9b4fc0",
    "failed": "#d12f2f",
    "skipped": "#8a8f98",
    "retired": "#b9bdc4",
}
_WIDTH, _HEIGHT = 132, 38
_GAP_X, _GAP_Y = 44, 14
_MOST = 60
_LETTERS = 17


def sketch(views: Sequence[InstanceView]) -> str:
    """The drawing; empty if there is nothing to draw, or too much of it."""
    if not 1 < len(views) <= _MOST:
        return ""
    places = _places(views)
    width = max(x for x, _ in places.values()) + _WIDTH + 2
    height = max(y for _, y in places.values()) + _HEIGHT + 2
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" style="max-width:100%" '
        'font-family="sans-serif">'
    ]
    for view in views:
        drawn += [_edge(places[s], places[view.path]) for s in view.sources if s in places]
    drawn += [_box(view, places[view.path]) for view in views]
    return "".join(drawn) + "</svg>"


def columns(views: Sequence[InstanceView]) -> dict[str, int]:
    """The column of each: one to the right of the last that it takes something from."""
    sources = {view.path: view.sources for view in views}
    found: dict[str, int] = {}
    for path in sources:
        _column(path, sources, found, set())
    return found


def _column(
    path: str, sources: Mapping[str, tuple[str, ...]], found: dict[str, int], above: set[str]
) -> int:
    if path not in found:
        # What takes the newest value of its own successor would be a circle.
        before = [s for s in sources[path] if s in sources and s not in above | {path}]
        deeper = above | {path}
        found[path] = 1 + max((_column(s, sources, found, deeper) for s in before), default=-1)
    return found[path]


def _places(views: Sequence[InstanceView]) -> dict[str, tuple[int, int]]:
    rows: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    by_path = {view.path: view for view in views}
    at = columns(views)

    def height(path: str) -> float:
        above = [places[s][1] for s in by_path[path].sources if s in places]
        return sum(above) / len(above) if above else 0.0

    for column in range(max(at.values()) + 1):
        here = [path for path in by_path if at[path] == column]
        for path in sorted(here, key=height):
            row = rows.get(column, 0)
            rows[column] = row + 1
            places[path] = (column * (_WIDTH + _GAP_X) + 1, row * (_HEIGHT + _GAP_Y) + 1)
    return places


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + _WIDTH, source[1] + _HEIGHT // 2
    x2, y2 = target[0], target[1] + _HEIGHT // 2
    bend = max((x2 - x1) // 2, 12)
    return (
        f'<path d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" fill="none" '
        'stroke="#8a8f98" stroke-width="1.4"/>'
    )


def _box(view: InstanceView, place: tuple[int, int]) -> str:
    x, y = place
    colour = COLOURS.get(view.state, "#8a8f98")
    total = sum(count for state, count in view.counts.items() if state != "retired")
    far = f" {view.counts.get('done', 0)}/{total}" if total > 1 else ""
    name = view.path if len(view.path) <= _LETTERS else f"{view.path[: _LETTERS - 1]}…"
    return (
        f"<g><title>{escape(view.path)}: {escape(view.function)}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{colour}" fill-opacity="0.12" stroke="{colour}"/>'
        f'<text x="{x + 8}" y="{y + 16}" font-size="12" fill="currentColor">{escape(name)}</text>'
        f'<text x="{x + 8}" y="{y + 31}" font-size="11" fill="{colour}">'
        f"{escape(view.state)}{far}</text></g>"
    )
