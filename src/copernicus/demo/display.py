"""What a demo shows while it runs: a live picture on a terminal, else a line for every change."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from copernicus.demo.progress import Generation, Known, Picture, Running
from copernicus.demo.site import Site, look_yourself
from copernicus.demo.sizing import TEMPERATURE_K, Plan

_BAR = 24
_MOST_RUNNING = 8


def clock(seconds: float) -> str:
    """Minutes and seconds: 1:05."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


class Display:
    """Shows on standard output what happens, with the time since ``began``."""

    def __init__(self, began: float, console: Console | None = None) -> None:
        self._began = began
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._told = ""
        self._told_of = 0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(f"{clock(time.monotonic() - self._began):>5}  {text}"))

    def add(self, text: str, style: str = "") -> None:
        """More to the line before; never broken, so that it can be copied."""
        self._console.print(Text(f"{'':7}{text}", style=style), soft_wrap=True)

    def introduce(self, plan: Plan, site: Site, cores: int) -> None:
        """Say what is about to be done, and where it can be looked at."""
        self.say(f"Each core makes {plan.rate:,.0f} ns/day. There is time for")
        self.add(
            f"{plan.generations} generations of {plan.runs} simulations of "
            f"{plan.length_ns:.2g} ns each, at {TEMPERATURE_K:g} K in vacuum."
        )
        self.say(f"Server at {site.url} and a worker with {cores} cores are running.")
        self.add("Look at it from another terminal:", "dim")
        self.add(f"{look_yourself(site)}\n", "dim")

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """While this lasts, ``update`` changes the picture; at its end the last one stays."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def update(self, seen: Picture, left_s: float, known: Known | None) -> None:
        """Show the present state."""
        if self._live is not None:
            self._live.update(_drawn(seen, left_s, known), refresh=True)
            return
        if known is not None and known.generations != self._told_of:
            self._told_of = known.generations
            self.say(found(known))
        line = _line(seen)
        if line != self._told:
            self._told = line
            self.say(f"{line}, about {clock(left_s)} left" if seen.share < 1.0 else line)


def _line(seen: Picture) -> str:
    number = seen.current
    now = seen.generations[number]
    text = f"generation {number + 1} of {len(seen.generations)}: {now.done} of {now.total} done"
    if now.running:
        text += f", {now.running} running"
    if now.analysis and now.done == now.total:
        text += ", analysed" if now.is_over else ", being analysed"
    return text


def found(known: Known) -> str:
    """What is known so far, in a few words."""
    error = "" if known.error is None else f" ± {known.error:.3f}"
    return (
        f"{known.frames:,} frames, {known.visited:.0%} of the plane visited, "
        f"phi > 0: {known.positive_phi:.3f}{error}"
    )


def _drawn(seen: Picture, left_s: float, known: Known | None) -> Group:
    rows = Table(box=None, pad_edge=False, show_header=False)
    for number, generation in enumerate(seen.generations):
        running = [each for each in seen.running if each.generation == number]
        rows.add_row(f"  generation {number + 1}", _bar(generation, running), _state(generation))
    parts: list[Table | Text] = [rows, Text()]
    parts += [_running(each) for each in seen.running[:_MOST_RUNNING]]
    if known is not None:
        parts.append(Text(f"  so far  {found(known)}"))
    ahead = f", about {clock(left_s)} left" if seen.share < 1.0 else ""
    parts.append(Text(f"  time    {clock(seen.seconds)}{ahead}", style="bold"))
    return Group(*parts)


def _bar(generation: Generation, running: list[Running]) -> Text:
    done = generation.done + sum(each.share for each in running)
    share = min(done / generation.total, 1.0) if generation.total else 0.0
    filled = round(_BAR * share)
    bar = Text("━" * filled, style="green" if generation.is_over else "blue")
    return bar.append("━" * (_BAR - filled), style="bright_black")


def _state(generation: Generation) -> Text:
    total = generation.total
    if generation.is_over:
        return Text(f"✓ {total} simulations, analysed", style="green")
    if not total:
        return Text("waits for the one before", style="bright_black")
    if generation.done == total:
        return Text(f"▶ {total} simulations, being analysed", style="blue")
    words = [f"{generation.done} of {total} done"]
    words += [f"{generation.running} running"] if generation.running else []
    words += [f"{generation.queued} queued"] if generation.queued else []
    return Text(f"▶ {', '.join(words)}", style="blue")


def _running(each: Running) -> Text:
    text = Text(f"  ▶ simulation {each.generation + 1}.{each.run + 1}", style="blue")
    text.append(f"  {each.share:>4.0%}", style="default")
    if each.rate is not None:
        text.append(f"  {each.rate:>7,.0f} ns/day", style="default")
    if each.left_s is not None:
        text.append(f"  {clock(each.left_s)} left", style="default")
    return text
