"""Measures us and the peers side by side, in interleaved rounds; prints a table, writes JSON.

``python -m benchmarks`` (``make bench``); ``--quick`` for a minute's look; at last, how we fare as
loops, lists and the queue grow (``loop.py``, ``elements.py``, ``matching.py``), with a plot each.
Where the peers are not installed, they get an environment of their own at the first run. A wall
time says something only beside another of the same round: the load of the machine is printed with
each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import elements, loop, matching, ours

ROOT = Path(__file__).parents[1]
HERE = ROOT / "benchmarks"
PEERS_HOME = ROOT / ".venv-bench"
PEERS = ("dask", "parsl")
NEEDS = ("distributed==2026.8.0", "parsl==2026.10.26", "psutil")
WHAT = {
    "noop": "functions that do nothing",
    "true": "/bin/true with an output file",
    "chain": "a chain of dependent functions",
    "latency": "submit, wait, submit again",
}
SCALING = {"loop": loop, "elements": elements, "matching": matching}
LARGE = {
    "loop": (1000,),
    "elements": (1_000, 10_000, 100_000),
    "matching": (10_000, 100_000, 1_000_000),
}
SMALL = {"loop": (50,), "elements": (300, 1_000), "matching": (1_000, 10_000)}
FULL = (("noop", 2000), ("noop", 10_000), ("true", 2000), ("chain", 200), ("latency", 200))
QUICK = (("noop", 500), ("true", 200), ("chain", 30), ("latency", 30))
PATIENCE_S = 600.0


def main(arguments: list[str]) -> int:
    """Run everything; 1 if a measurement failed."""
    chosen = _parser().parse_args(arguments)
    sizes = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    systems = ["copernicus", *(() if chosen.no_peers else _ready_peers())]
    found: list[dict[str, Any]] = []
    for number in range(rounds):
        for phase, n in sizes:
            if chosen.only and phase not in chosen.only:
                continue
            for system in systems:
                one = {"system": system, "phase": phase, "n": n, "round": number}
                one |= {"load": round(os.getloadavg()[0], 2)} | _measured(system, phase, n)
                found.append(one)
                print(_line(one), flush=True)
    if found:
        print(f"\n{table(found, systems)}")
    grown = _scale(chosen)
    found += grown
    print(f"\nwritten to {_write(found, chosen.output)}")
    return int(any("error" in one for one in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3)")
    names = [*WHAT, *SCALING]
    parser.add_argument("--only", nargs="*", choices=names, help="these measurements only")
    parser.add_argument("--no-peers", action="store_true", help="measure this system only")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-out", help="folder for JSON")
    return parser


def _scale(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """How this system alone fares as things grow: measured once, with a plot each."""
    found: list[dict[str, Any]] = []
    for phase, part in SCALING.items():
        if chosen.only and phase not in chosen.only:
            continue
        mine: list[dict[str, Any]] = []
        for n in (SMALL if chosen.quick else LARGE)[phase]:
            mine += _grown(part, phase, n)
            print(*(line for one in mine if (line := _grown_line(part, one, n))), sep="\n")
        whole = [one for one in mine if "error" not in one]
        if whole and find_spec("matplotlib"):
            chosen.output.mkdir(parents=True, exist_ok=True)
            picture = chosen.output / f"{phase}-{time.strftime('%Y%m%d-%H%M%S')}.png"
            part.plot(whole, picture)
            print(f"plotted in {picture}")
        found += mine
    return found


def _grown(part: Any, phase: str, n: int) -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{phase}-"))
    load = {"load": round(os.getloadavg()[0], 2)}
    try:
        found: list[dict[str, Any]] = part.measure(folder, n)
    except Exception as error:  # noqa: BLE001 - the others are measured all the same
        wrong = f"{type(error).__name__}: {error}"
        return [load | {"system": "copernicus", "phase": phase, "n": n, "error": wrong}]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [load | one for one in found]


def _grown_line(part: Any, one: dict[str, Any], n: int) -> str:
    if one["n"] != n:
        return ""
    failed = f"{one['phase']} of {n:,} FAILED: {one.get('error')}"
    return failed if "error" in one else str(part.line(one))


def _peers_python() -> str:
    """The Python that has the peers: this one, or that of their own environment."""
    here = all(find_spec(name) for name in ("distributed", "parsl"))
    return sys.executable if here else str(PEERS_HOME / "bin" / "python")


def _ready_peers() -> list[str]:
    """The peers that are installed, if need be now; none without a network."""
    python = _peers_python()
    if python == sys.executable:
        return list(PEERS)
    stamp = PEERS_HOME / "installed.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(NEEDS):
        print(f"installing {', '.join(NEEDS)} into {PEERS_HOME.name} ...", flush=True)
        venv.create(PEERS_HOME, with_pip=True)
        done = subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS])
        if done.returncode:
            print("the peers cannot be installed: measuring this system only", file=sys.stderr)
            return []
        stamp.write_text("\n".join(NEEDS))
    return list(PEERS)


def _measured(system: str, phase: str, n: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{system}-"))
    try:
        if system == "copernicus":
            return ours.measure(folder, phase, n)
        return _peer(system, phase, n, folder)
    except Exception as error:  # noqa: BLE001 - one that fails must not take the others with it
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _peer(system: str, phase: str, n: int, folder: Path) -> dict[str, Any]:
    out = folder / "out"
    out.mkdir()
    script = HERE / "peers" / f"peer_{system}.py"
    done = subprocess.run(
        [_peers_python(), str(script), phase, str(n), str(out)],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout)[-500:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _line(one: dict[str, Any]) -> str:
    head = f"{one['system']:<11} {one['phase']:<8} n={one['n']:<6} load {one['load']:>5}"
    if "error" in one:
        return f"{head}  FAILED: {one['error']}"
    seconds, n = one["seconds"], one["n"]
    each = f"{n / seconds:>7.0f}/s {seconds / n * 1e3:>8.2f} ms each"
    return f"{head}  {seconds:>7.2f} s {each}  CPU {one['cpu_ms']:>6.2f} ms each"


def table(found: list[dict[str, Any]], systems: list[str]) -> str:
    """Medians over the rounds; the ratio is that of the rates: above 1, we are faster."""
    lines = [
        "| work | n | system | per second | ms each | CPU ms each | our rate / theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    for phase, n in dict.fromkeys((one["phase"], one["n"]) for one in found):
        mine = _median(found, "copernicus", phase, n, "seconds")
        for system in systems:
            seconds = _median(found, system, phase, n, "seconds")
            cpu = _median(found, system, phase, n, "cpu_ms")
            cells = [WHAT[phase], f"{n:,}", system, "failed", "", "", ""]
            if seconds is not None and cpu is not None:
                ratio = f"{seconds / mine:.2f}" if mine and system != "copernicus" else ""
                numbers = [f"{n / seconds:.0f}", f"{seconds / n * 1e3:.2f}", f"{cpu:.2f}", ratio]
                cells[3:] = numbers
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _median(
    found: list[dict[str, Any]], system: str, phase: str, n: int, what: str
) -> float | None:
    values = [
        one[what]
        for one in found
        if (one["system"], one["phase"], one["n"]) == (system, phase, n) and what in one
    ]
    return statistics.median(values) if values else None


def _write(found: list[dict[str, Any]], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    machine |= {"system": platform.platform()}
    path.write_text(json.dumps({"machine": machine, "needs": NEEDS, "found": found}, indent=1))
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
