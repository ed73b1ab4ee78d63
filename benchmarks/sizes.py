"""How much of each is measured, and how long what lasts does."""

from __future__ import annotations

from benchmarks import ensemble, fleet

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "full": {
        "noop": (2000, 10_000),
        "true": (2000,),
        "files": (1000,),
        "chain": (200,),
        "latency": (200,),
        "queued": (100_000, 1_000_000),
        "bulk": (512,),
        "fleet": (500, 1500, 5376),
        "hops": (500,),
        "ensemble": (6,),
        "loop": (1000,),
        "elements": (1_000, 10_000, 100_000),
        "matching": (10_000, 100_000, 1_000_000),
        "recovery": (100_000,),
    },
    "quick": {
        "noop": (500,),
        "true": (200,),
        "files": (100,),
        "chain": (30,),
        "latency": (30,),
        "queued": (1_000, 10_000),
        "bulk": (64,),
        "fleet": (20,),
        "hops": (100,),
        "ensemble": (2,),
        "loop": (50,),
        "elements": (300, 1_000),
        "matching": (1_000, 10_000),
        "recovery": (1_000,),
    },
    "tiny": {
        "noop": (20,),
        "true": (10,),
        "files": (5,),
        "chain": (5,),
        "latency": (3,),
        "queued": (100,),
        "bulk": (3,),
        "fleet": (2,),
        "hops": (10,),
        "ensemble": (2,),
        "loop": (10,),
        "elements": (30,),
        "matching": (200,),
        "recovery": (),
    },
}
# Where a job or a run lasts: seconds.
LASTING: dict[str, dict[str, float]] = {
    "full": {"fleet": fleet.JOB_S, "ensemble": ensemble.MINUTE_S},
    "quick": {"fleet": 10.0, "ensemble": 10.0},
    "tiny": {"fleet": 0.5, "ensemble": 1.0},
}
