"""Which checkpoints of a line of work are kept, and from which one a job continues."""

from __future__ import annotations

from collections.abc import Sequence

from copernicus.model.jobs import CheckpointRef

KEPT = 2


def choose(refs: Sequence[CheckpointRef], limit: float | None) -> CheckpointRef | None:
    """The one to continue from: the highest step, then the newest, but none beyond ``limit``.

    ``refs`` are oldest first. One whose step is unknown does not count where there is a limit.
    """
    fitting = [
        (_step(ref), age, ref)
        for age, ref in enumerate(refs)
        if limit is None or (ref.step is not None and ref.step <= limit)
    ]
    return max(fitting, key=lambda found: found[:2])[2] if fitting else None


def keep(
    refs: Sequence[CheckpointRef], new: CheckpointRef
) -> tuple[tuple[CheckpointRef, ...], tuple[CheckpointRef, ...]]:
    """Those kept, and those dropped, now that ``new`` has come.

    Kept are the last two and the two that are furthest: a job with a lower limit than its
    predecessor's makes checkpoints that are newer, but not as far.
    """
    every = (*refs, new)
    newest = range(max(0, len(every) - KEPT), len(every))
    furthest = sorted(range(len(every)), key=lambda age: (_step(every[age]), age))[-KEPT:]
    kept = {*newest, *furthest}
    return (
        tuple(ref for age, ref in enumerate(every) if age in kept),
        tuple(ref for age, ref in enumerate(every) if age not in kept),
    )


def _step(ref: CheckpointRef) -> float:
    return float("-inf") if ref.step is None else ref.step
