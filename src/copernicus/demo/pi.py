"""The small demo: pi by throwing darts, more and more of them until the error is small enough."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from copernicus.client.network import Instance
from copernicus.demo.children import DemoFailed, available_cores, ended_by_signals
from copernicus.demo.display import Display
from copernicus.demo.folder import LOGS, results_folder
from copernicus.demo.site import Site, own_site

WANTED_ERROR = 0.0002
DARTS = 2_000_000
FIRST = 8
MINUTES = 2.0
RESULT = "pi.json"
_LOOK_S = 0.2
_PAGE = 1000


def run(folder: Path | None = None, minutes: float | None = None) -> int:
    """Run the demo; the exit code is 0 when the error is small enough.

    Args:
        folder: for the result; default: a new one in the present folder.
        minutes: after which it ends with what it has.

    Raises:
        BadSettings, Conflict: The folder cannot be used.
        DemoFailed: Something did not work; the message says what.
    """
    began = time.monotonic()
    display = Display(began)
    with ended_by_signals(), results_folder(folder) as results:
        display.say("Starting a server and a worker ...")
        cores = available_cores()
        with own_site(results / LOGS, cores) as site:
            display.say(f"Server at {site.url} and a worker with {cores} cores are running.")
            throw = _place(site)
            hits = _until_known(site, throw, display, began + 60.0 * (minutes or MINUTES))
        value, error = estimate(hits)
        (results / RESULT).write_bytes(
            msgspec.json.encode({"pi": value, "error": error, "jobs": len(hits), "darts": DARTS})
        )
        display.say(
            f"pi = {value:.5f} ± {error:.5f} from {len(hits) * DARTS:,} darts; off by "
            f"{value - math.pi:+.5f}"
        )
        display.say("Server and worker have been stopped. The result is in")
        display.add(str(results / RESULT))
    return 0 if error <= WANTED_ERROR else 1


def _place(site: Site) -> Instance:
    """The project: one function described by a file, mapped over a list of seeds."""
    project = site.client.create_project("pi")
    site.client.use_project("pi")
    with as_file(files("copernicus.demo") / "darts.toml") as file, project.transaction():
        project.define(file)
        throw = project.add("throw", "pi.darts", map=["seed"])
        throw["seed"] = list(range(1, FIRST + 1))
        throw["darts"] = DARTS
        throw.activate()
    return throw


def _until_known(site: Site, throw: Instance, display: Display, end: float) -> list[int]:
    """Make the list of seeds longer while it runs, until enough is known; the hits of each."""
    asked, hits = FIRST, dict[int, int]()
    while time.monotonic() < end or len(hits) < FIRST:
        time.sleep(_LOOK_S)
        site.check()
        _take_new(throw, hits)
        if len(hits) < asked:
            continue
        value, error = estimate(list(hits.values()))
        more = how_many_more(len(hits), error)
        display.say(f"{len(hits):>3} jobs: pi = {value:.5f} ± {error:.5f}; {more or 'no'} more")
        if not more:
            break
        throw["seed"].extend(list(range(asked + 1, asked + more + 1)))
        asked += more
    return list(hits.values())


def _take_new(throw: Instance, hits: dict[int, int]) -> None:
    for element in throw.detail(count=_PAGE).elements:
        if element.failure is not None:
            raise DemoFailed(f"throw[{element.index}] failed: {element.failure.reason}")
        if element.state == "done" and element.index not in hits:
            hits[element.index] = throw.out["hits"][element.index].value


def estimate(hits: Sequence[int]) -> tuple[float, float]:
    """Pi and its standard error from the hits of several jobs."""
    values = [4.0 * count / DARTS for count in hits]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return statistics.fmean(values), error


def how_many_more(jobs: int, error: float) -> int:
    """Jobs that are still needed; never more than there have been, since the error is uncertain."""
    if error <= WANTED_ERROR:
        return 0
    needed = jobs * (error / WANTED_ERROR) ** 2
    return math.ceil(min(max(needed - jobs, 1), jobs))
