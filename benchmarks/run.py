"""Measures us and the peers side by side, in interleaved rounds; prints a table, writes it down.

``python -m benchmarks`` (``make bench``): ``--quick`` for a few minutes' look, ``--tiny`` to see
that everything can be measured at all. First the work that peers can do, too, then how we fare
alone as things grow. Peers are measured where they are installed. A wall time says something only
beside another of the same round: the load of the machine is printed with each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import (
    bulk,
    elements,
    ensemble,
    fleet,
    goals,
    hops,
    loop,
    matching,
    ours,
    queued,
    recovery,
    report,
)
from benchmarks.sizes import LASTING, SIZES

ROOT = Path(__file__).parents[1]
HERE = ROOT / "benchmarks"
RESULTS = ROOT / "bench" / "results"
PEERS = {
    "dask": "distributed",
    "parsl": "parsl",
    "ray": "ray",
    "hyperqueue": "hyperqueue",
    "pool": "concurrent.futures",
}
WHAT = {
    "noop": "functions that do nothing",
    "true": "/bin/true with an output file",
    "files": "a small file in, a copy of it out",
    "chain": "a chain of dependent functions",
    "latency": "submit, wait, submit again",
}
# HyperQueue starts a Python for each function; Parsl and HyperQueue move no files.
DOES = {
    "noop": ("dask", "parsl", "ray", "pool"),
    "true": ("dask", "parsl", "ray", "hyperqueue", "pool"),
    "files": ("dask", "ray", "pool"),
    "chain": ("dask", "parsl", "ray", "hyperqueue"),
    "latency": ("dask", "parsl", "ray"),
    "queued": ("dask", "hyperqueue"),
}
SCALING: dict[str, Any] = {
    "queued": queued,
    "bulk": bulk,
    "fleet": fleet,
    "hops": hops,
    "ensemble": ensemble,
    "loop": loop,
    "elements": elements,
    "matching": matching,
    "recovery": recovery,
}
PATIENCE_S = 600.0


def main(arguments: list[str]) -> int:
    """Run everything; 1 if a measurement failed."""
    chosen = _parser().parse_args(arguments)
    size = "tiny" if chosen.tiny else "quick" if chosen.quick else "full"
    wanted = set(chosen.only or (*WHAT, *SCALING))
    peers = () if chosen.no_peers else _installed_peers()
    found: list[dict[str, Any]] = []
    for number in range(chosen.rounds or (3 if size == "full" else 1)):
        for phase in WHAT:
            for n in SIZES[size][phase] if phase in wanted else ():
                found += _round(number, phase, n, ("copernicus", *peers))
    if found:
        print(f"\n{table(found)}\n")
    for phase in SCALING:
        if phase in wanted:
            found += _scale(phase, size, peers, chosen.output)
    print(f"\n{goals.table(found)}\n\nwritten:")
    print(*report.write(found, chosen.output), sep="\n")
    return int(any("error" in one for one in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, one round")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3)")
    names = [*WHAT, *SCALING]
    parser.add_argument("--only", nargs="*", choices=names, help="these measurements only")
    parser.add_argument("--no-peers", action="store_true", help="measure this system only")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
    return parser


def _installed_peers() -> tuple[str, ...]:
    there = {name: bool(find_spec(package)) for name, package in PEERS.items()}
    if missing := [name for name, found in there.items() if not found]:
        print(f"not installed here: {', '.join(missing)} (make bench installs them)")
    return tuple(name for name, found in there.items() if found)


def _round(number: int, phase: str, n: int, systems: tuple[str, ...]) -> list[dict[str, Any]]:
    found = []
    for system in systems:
        if system == "copernicus" or system in DOES[phase]:
            one = {"system": system, "phase": phase, "n": n, "round": number}
            one |= {"load": round(os.getloadavg()[0], 2)} | _measured(system, phase, n)
            found.append(one)
            print(_line(one), flush=True)
    return found


def _scale(phase: str, size: str, peers: tuple[str, ...], output: Path) -> list[dict[str, Any]]:
    """How it goes as things grow: measured once, with a plot where the part draws one."""
    part = SCALING[phase]
    found: list[dict[str, Any]] = []
    lasting = LASTING[size].get(phase)
    for n in SIZES[size][phase]:
        found += (grown := _grown(part, phase, n, lasting))
        print(*(line for one in grown if (line := _grown_line(part, one, n))), sep="\n", flush=True)
        if phase == "queued" and n == min(SIZES[size][phase], key=lambda n: abs(n - 100_000)):
            found += _round(0, phase, n, tuple(peers))
    whole = [one for one in found if "error" not in one]
    if whole and hasattr(part, "plot") and find_spec("matplotlib"):
        output.mkdir(parents=True, exist_ok=True)
        picture = output / f"{phase}-{time.strftime('%Y%m%d-%H%M%S')}.png"
        part.plot(whole, picture)
        print(f"plotted in {picture}")
    return found


def _grown(part: Any, phase: str, n: int, lasting: float | None) -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{phase}-"))
    load = {"load": round(os.getloadavg()[0], 2)}
    try:
        more = () if lasting is None else (lasting,)
        found: list[dict[str, Any]] = part.measure(folder, n, *more)
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
        [sys.executable, str(script), phase, str(n), str(out)],
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


def table(found: list[dict[str, Any]]) -> str:
    """Medians over the rounds; the ratio is that of the rates: above 1, we are faster."""
    lines = [
        "| work | n | system | per second | ms each | CPU ms each | our rate / theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    for phase, n in dict.fromkeys((one["phase"], one["n"]) for one in found):
        mine = _median(found, "copernicus", phase, n, "seconds")
        for system in dict.fromkeys(one["system"] for one in found if one["phase"] == phase):
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
