"""What was measured, held against what is to be reached: pure, from measurements to a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Found = list[dict[str, Any]]
# The goals are for so many workers, and for runs that last; less can be measured, not judged.
FLEET = 5376
LONG_S = 30.0
MINUTE_MS = 60_000.0


@dataclass(frozen=True)
class Row:
    """One line of the table. ``met`` is None where something to compare with was not measured."""

    measure: str
    ours: str
    theirs: str
    ratio: str
    goal: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "met", False: "missed", None: "not judged"}[self.met]


def rows(found: Found) -> list[Row]:
    """Every row that something was measured for, in the order of the goals."""
    judged = (
        *_rates(found, "noop", "no-op tasks/s", {"ray": 1.5, "parsl": 2.5, "dask": 4.0}),
        *_cpu(found),
        *_rates(found, "true", "programs (`/bin/true`, output kept)/s", {"ray": 1.4, "pool": 0.7}),
        *_chain(found),
        *_rates(found, "files", "one small file in and out, tasks/s", {"ray": 1.0}),
        *_bulk(found),
        *_queued(found),
        *_fleet(found),
        *_hops(found),
        *_ensemble(found),
    )
    return list(judged)


def measured(found: Found, phase: str) -> Found:
    """The measurements of a kind that did not fail."""
    return [one for one in found if one["phase"] == phase and "error" not in one]


def _median(some: Found, system: str, what: Callable[[dict[str, Any]], float]) -> float | None:
    values = [what(one) for one in some if one["system"] == system]
    return statistics.median(values) if values else None


def _largest(found: Found, phase: str) -> Found:
    """Its measurements at the largest size only."""
    some = measured(found, phase)
    most = max((one["n"] for one in some), default=0)
    return [one for one in some if one["n"] == most]


def _peers(some: Found) -> list[str]:
    return [name for name in dict.fromkeys(one["system"] for one in some) if name != "copernicus"]


def _rate(one: dict[str, Any]) -> float:
    return float(one["n"] / one["seconds"])


def _named(values: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values)


def _rates(found: Found, phase: str, measure: str, least: dict[str, float]) -> list[Row]:
    """Higher is better; the goal is a multiple of each peer."""
    made = []
    for n in dict.fromkeys(one["n"] for one in measured(found, phase)):
        some = [one for one in measured(found, phase) if one["n"] == n]
        ours = _median(some, "copernicus", _rate)
        if ours is None:
            continue
        theirs = {name: _median(some, name, _rate) or 0.0 for name in _peers(some)}
        ratios = {name: ours / rate for name, rate in theirs.items()}
        judged = [ratios[name] >= wanted for name, wanted in least.items() if name in ratios]
        made.append(
            Row(
                f"{measure}, {n:,}",
                f"{ours:,.0f}",
                _named((name, f"{rate:,.0f}") for name, rate in theirs.items()),
                _named((name, f"{ratio:.2f}") for name, ratio in ratios.items()),
                _named((name, f">= {wanted:g}") for name, wanted in least.items()),
                all(judged) if len(judged) == len(least) else False if False in judged else None,
            )
        )
    return made


def _cpu(found: Found) -> list[Row]:
    made = []
    limits = {"noop": 0.6, "true": None, "files": None, "chain": None}
    for phase, most in limits.items():
        some = _largest(found, phase)
        ours = _median(some, "copernicus", lambda one: one["cpu_ms"])
        if ours is None:
            continue
        theirs = [(name, _median(some, name, lambda one: one["cpu_ms"])) for name in _peers(some)]
        made.append(
            Row(
                f"CPU-ms per task, all processes: {phase}",
                f"{ours:.2f}",
                _named((name, f"{spent:.2f}") for name, spent in theirs),
                _named((name, f"{ours / spent:.2f}") for name, spent in theirs if spent),
                f"<= {most:g}" if most else "none",
                ours <= most if most else None,
            )
        )
    return made


def _chain(found: Found) -> list[Row]:
    made = []
    for phase, name in (("chain", "result -> dependent job"), ("latency", "submit, wait, again")):
        some = measured(found, phase)
        ours = _median(some, "copernicus", _each_ms)
        if ours is None:
            continue
        sync = _median(some, "copernicus", lambda one: one.get("fsync_ms", 0.0)) or 0.0
        theirs = [(peer, _median(some, peer, _each_ms)) for peer in _peers(some)]
        goal = phase == "chain"
        made.append(
            Row(
                f"{name}, ms",
                f"{ours:.2f}" + (f" (fsync {sync:.2f})" if goal else ""),
                _named((peer, f"{ms:.2f}") for peer, ms in theirs),
                _named((peer, f"{ours / ms:.2f}") for peer, ms in theirs if ms),
                "<= 2 above the fsync" if goal else "none",
                ours <= 2 + sync if goal else None,
            )
        )
    return made


def _each_ms(one: dict[str, Any]) -> float:
    return float(one["seconds"] / one["n"] * 1e3)


def _bulk(found: Found) -> list[Row]:
    return [
        Row(
            f"bulk file of {one['n']:,} MiB, {leg}, MB/s",
            f"{one[f'{key}_mb_s']:.0f}",
            f"plain upload {one['plain_mb_s']:.0f}",
            f"{one[f'{key}_mb_s'] / one['plain_mb_s']:.2f}",
            ">= 0.7",
            one[f"{key}_mb_s"] >= 0.7 * one["plain_mb_s"],
        )
        for one in _largest(found, "bulk")
        for key, leg in (("up", "worker -> server"), ("down", "server -> worker"))
    ]


def _queued(found: Found) -> list[Row]:
    made = []
    for one in measured(found, "queued"):
        if one["system"] != "copernicus":
            continue
        n, many, few = one["n"], one["n"] >= 1_000_000, one["n"] < 100_000
        peers = [
            p for p in measured(found, "queued") if p["system"] != "copernicus" and p["n"] == n
        ]
        theirs = {p["system"]: p for p in peers}
        made += [
            _least(f"{n:,} queued: submit, s", one["seconds"], None if many else 5.0, ".1f")
            | {"theirs": _named((name, f"{p['seconds']:.1f}") for name, p in theirs.items())},
            _least(f"{n:,} queued: server, MB", one["memory_mb"], 2048.0 if many else 200.0, ".0f")
            | {"theirs": _named((name, f"{p['memory_mb']:.0f}") for name, p in theirs.items())},
            _least(f"{n:,} queued: ready after kill -9, s", one["restart_s"], 30.0, ".1f"),
            _least(f"{n:,} queued: list page p95, ms", one["list_p95_ms"], 300.0, ".0f"),
        ]
        if few:
            made[-4:] = [row | {"most": None} for row in made[-4:]]
    return [_row(one) for one in made]


def _least(measure: str, ours: float, most: float | None, form: str) -> dict[str, Any]:
    return {"measure": measure, "value": ours, "most": most, "form": form, "theirs": ""}


def _row(one: dict[str, Any]) -> Row:
    value, most = one["value"], one["most"]
    met = None if most is None else value <= most
    goal = "none" if most is None else f"<= {most:g}"
    ratios = [
        (name, value / float(told))
        for name, _, told in (part.rpartition(" ") for part in one["theirs"].split(", ") if part)
        if float(told)
    ]
    ratio = _named((name, f"{found:.2f}") for name, found in ratios)
    return Row(one["measure"], format(value, one["form"]), one["theirs"], ratio, goal, met)


def _fleet(found: Found) -> list[Row]:
    return [
        Row(
            f"{one['n']:,} model workers, jobs of {one['job_s']:g} s: time at work",
            f"{one['busy']:.2%} (server {one['server_cores']:.2f} cores)",
            "",
            "",
            ">= 99 %",
            False if one["busy"] < 0.99 else True if one["n"] >= FLEET else None,
        )
        for one in measured(found, "fleet")
    ]


def _hops(found: Found) -> list[Row]:
    """What a relay adds to one job after another, against a job of a minute."""
    some = {one["relays"]: one for one in _largest(found, "hops")}
    made = []
    for relays, one in some.items():
        before = some.get(relays - 1)
        added = one["hop_ms"] - before["hop_ms"] if before else 0.0
        told = f", {added / MINUTE_MS:.3%} of a job of a minute more" if before else ""
        made.append(
            Row(
                f"{relays} relays: result -> dependent job, ms",
                f"{one['hop_ms']:.1f}{told} ({one['cpu_ms']:.1f} CPU-ms per job)",
                "",
                "",
                "< 0.5 % more" if before else "none",
                added < 0.005 * MINUTE_MS if before else None,
            )
        )
    return made


def _ensemble(found: Found) -> list[Row]:
    return [
        Row(
            f"overhead on {one['n']} GROMACS runs of {one['run_s']:.0f} s over a shell loop",
            f"{one['overhead']:.2%}",
            "",
            "",
            "< 1 %",
            one["overhead"] < 0.01 if one["run_s"] >= LONG_S else None,
        )
        for one in measured(found, "ensemble")
    ]


def table(found: Found) -> str:
    """All rows, as Markdown."""
    lines = [
        "| measure | ours | peers | ours / theirs | goal | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows(found):
        cells = (row.measure, row.ours, row.theirs, row.ratio, row.goal, row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
