"""The demo of adaptive sampling: alanine dipeptide in vacuum, with OpenMM."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

from copernicus.client.network import Instance
from copernicus.demo.children import available_cores, ended_by_signals
from copernicus.demo.display import Display
from copernicus.demo.folder import LOGS, results_folder
from copernicus.demo.results import fetch, show
from copernicus.demo.site import Site, own_site
from copernicus.demo.sizing import (
    REPORT_INTERVAL,
    RUNS,
    TEMPERATURE_K,
    Plan,
    alanine_starts,
    make_plan,
    measure,
)
from copernicus.demo.watching import Watch
from copernicus.errors import BadSettings

MINUTES = 4.0
SEED = 2026
_ENDING_S = 5.0
_LATE = 1.2
_NEEDED = ("openmm", "numpy", "matplotlib")


def run(folder: Path | None = None, minutes: float | None = None) -> int:
    """Run the demo; the exit code is 0 when it has its result.

    Args:
        folder: for the results; default: a new one in the present folder.
        minutes: about how long it may take, at the speed that this machine has now.

    Raises:
        BadSettings: OpenMM is not installed, or the folder cannot be used.
        DemoFailed: Something did not work; the message says what.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BadSettings(
            f"this demo needs {', '.join(missing)}: pip install 'copernicus[openmm]'; "
            "or run the one that needs nothing: cpc demo pi"
        )
    allowed_s = 60.0 * (minutes or MINUTES)
    began = time.monotonic()
    with ended_by_signals(), results_folder(folder) as results:
        cores = min(available_cores(), RUNS)
        display = Display(began)
        display.say(f"Measuring how fast {cores} cores simulate alanine dipeptide ...")
        rate = measure(cores)
        with own_site(results / LOGS, cores) as site:
            left_s = allowed_s - (time.monotonic() - began) - _ENDING_S
            plan = make_plan(rate, cores, left_s)
            display.introduce(plan, site, cores)
            sampling = _place(site, plan)
            watch = Watch(site, sampling, plan, display, began)
            watch.until_done(_LATE * allowed_s)
            found = fetch(sampling, results)
        show(found, results, time.monotonic() - began)
    return 0


def _place(site: Site, plan: Plan) -> Instance:
    """The project: one instance of the workflow, its inputs, and off it goes."""
    project = site.client.create_project("demo", seed=SEED)
    site.client.use_project("demo")
    with project.transaction():
        sampling = project.add("sampling", "analysis.adaptive_sampling")
        sampling["structures"] = alanine_starts()
        sampling["generations"] = plan.generations
        sampling["steps"] = plan.steps
        sampling["temperature"] = TEMPERATURE_K
        sampling["discard"] = plan.discard_ps
        sampling["report_interval"] = REPORT_INTERVAL
        sampling.activate()
    return sampling
