"""A run's results in files: all measurements, the table, the machine, cost against scale."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benchmarks import goals
from benchmarks.goals import Found

PACKAGES = ("copernicus", "distributed", "parsl", "ray", "hyperqueue", "uvicorn", "uvloop")


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that names this machine or its owner."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    for line in information.read_text().splitlines() if information.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def write(found: Found, folder: Path) -> list[Path]:
    """The files of this run."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"bench-{time.strftime('%Y%m%d-%H%M%S')}"
    told, page, picture = (folder / f"{name}.{end}" for end in ("json", "md", "png"))
    told.write_text(json.dumps({"machine": machine(), "found": found}, indent=1) + "\n")
    written = [told, page]
    if find_spec("matplotlib") and plot(found, picture):
        written.append(picture)
    page.write_text(_page(found, picture if picture in written else None))
    return written


def _page(found: Found, picture: Path | None) -> str:
    here = machine()
    loads = [one["load"] for one in found if "load" in one]
    packages = ", ".join(f"{name} {number}" for name, number in here["packages"].items())
    said = [
        "# Measured side by side",
        f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['system']}, "
        f"Python {here['python']}; {packages}. The load average was {min(loads, default=0):g} to "
        f"{max(loads, default=0):g}: trust ratios and CPU time more than rates.",
        goals.table(found),
    ]
    failed = [
        f"* {one['system']}, {one['phase']}: {one['error']}" for one in found if "error" in one
    ]
    if failed:
        said.append("Not measured:\n\n" + "\n".join(failed))
    if picture:
        said.append(f"![Cost against scale]({picture.name})")
    return "\n\n".join(said) + "\n"


def plot(found: Found, path: Path) -> bool:
    """Cost against scale, of what was measured at several sizes; whether there was any."""
    from matplotlib.figure import Figure

    kinds = {
        "noop": ("CPU-ms per no-op task", "tasks", lambda one: one["cpu_ms"]),
        "queued": ("server, MB", "queued jobs", lambda one: one["memory_mb"]),
        "fleet": ("server, cores", "workers", lambda one: one["server_cores"]),
        "matching": ("us per decision", "queued jobs", lambda one: one["decision_us"]),
    }
    there = {phase: goals.measured(found, phase) for phase in kinds}
    there = {phase: some for phase, some in there.items() if some}
    if not there:
        return False
    figure = Figure(figsize=(4.5 * len(there), 4), layout="constrained")
    for axes, (phase, some) in zip(
        figure.subplots(1, len(there), squeeze=False)[0], there.items(), strict=True
    ):
        title, scale, cost = kinds[phase]
        for system in dict.fromkeys(one["system"] for one in some):
            mine = sorted((one["n"], cost(one)) for one in some if one["system"] == system)
            axes.plot(*zip(*mine, strict=True), "o-", label=system)
        top = 1.5 * axes.dataLim.y1  # room for the legend, which must cover no point
        axes.set(title=title, xlabel=scale, xscale="log", ylim=(0, top))
        axes.legend(loc="upper left", ncols=2)
    figure.savefig(path, dpi=110)
    return True
