"""How large the demo may be on this machine: measured first, planned from that."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from copernicus.demo.children import DemoFailed
from copernicus.modules.openmm.system import Settings

TEMPERATURE_K = 600.0
TIMESTEP_FS = 2.0
REPORT_INTERVAL = 500
RUNS = 8
_BENCHMARK_S = 3.0
_PATIENCE_S = 120.0

# Seconds, on a slow machine: a simulation's start (Python, OpenMM, force field) and the analysis
# of a generation. The rest of the time is planned for with some room for other users.
_JOB_START_S = 2.5
_ANALYSIS_S = 4.0
_ROOM = 0.85

_GENERATIONS = (3, 2)
_GOOD_NS = 0.5
_LEAST_NS, _MOST_NS = 0.05, 3.0
_RELAXED_PS = 200.0
_STEPS_APART = 5_000


@dataclass(frozen=True)
class Plan:
    """What the demo does.

    Attributes:
        generations: how many.
        runs: simulations in each.
        steps: of each simulation.
        discard_ps: beginning of each that does not count.
        rate: nanoseconds that one core simulates in a day.
    """

    generations: int
    runs: int
    steps: int
    discard_ps: float
    rate: float

    @property
    def length_ns(self) -> float:
        """Length of one simulation."""
        return self.steps * TIMESTEP_FS * 1e-6


def alanine_starts() -> list[Path]:
    """The start structures of alanine dipeptide that come with Copernicus."""
    folder = Path(str(files("copernicus.modules"))) / "data" / "ala2"
    return sorted(folder.glob("start*.pdb"))


def measure(cores: int) -> float:
    """Nanoseconds per day of one core while all of them are busy.

    Raises:
        DemoFailed: OpenMM does not work here.
    """
    settings = Settings(n_steps=1, temperature_K=TEMPERATURE_K, report_interval=REPORT_INTERVAL)
    with tempfile.TemporaryDirectory(prefix="copernicus-demo-") as folder:
        file = Path(folder) / "settings.json"
        file.write_bytes(msgspec.json.encode(settings))
        command = [sys.executable, "-m", "copernicus.modules.openmm.runner"]
        command += ["--settings", str(file), "--structure", str(alanine_starts()[0])]
        command += ["--work", folder, "--benchmark", str(_BENCHMARK_S)]
        return sum(_benchmarks(command, cores)) / cores


def _benchmarks(command: list[str], cores: int) -> list[float]:
    """Nanoseconds per day of as many processes at once."""
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(cores)
    ]
    try:
        said = [process.communicate(timeout=_PATIENCE_S) for process in started]
    except subprocess.TimeoutExpired:
        raise DemoFailed(f"OpenMM has not shown its speed in {_PATIENCE_S:.0f} s") from None
    finally:
        for process in started:
            process.kill()
            process.wait()
    for process, (_, errors) in zip(started, said, strict=True):
        if process.returncode != 0:
            last = errors.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            raise DemoFailed(f"OpenMM does not work here: {last[0]}")
    return [float(msgspec.json.decode(output)["ns_per_day"]) for output, _ in said]


def make_plan(rate: float, cores: int, seconds: float) -> Plan:
    """As much simulation as fits into so many seconds.

    Args:
        rate: nanoseconds per day of one core.
        cores: that work at once.
        seconds: for all generations, with their analysis.
    """
    rounds = math.ceil(RUNS / cores)
    for generations in _GENERATIONS:
        busy = seconds * _ROOM - generations * (rounds * _JOB_START_S + _ANALYSIS_S)
        length_ns = rate / 86_400 * busy / (generations * rounds)
        if length_ns >= _GOOD_NS:
            break
    length_ns = min(max(length_ns, _LEAST_NS), _MOST_NS)
    steps = int(length_ns * 1e6 / TIMESTEP_FS) // _STEPS_APART * _STEPS_APART
    discard_ps = float(round(min(_RELAXED_PS, 250.0 * length_ns)))
    return Plan(generations, RUNS, steps, discard_ps, rate)
