"""Why a job does not run, for every kind of worker: those that are alike are told as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from copernicus.model.gpus import Gpu
from copernicus.protocol import JobView, KindView, RateView
from copernicus.scheduling.core import Core
from copernicus.scheduling.fitting import obstacles
from copernicus.scheduling.queue import Needs, needs_of
from copernicus.scheduling.rates import RateKey
from copernicus.scheduling.room import Room
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.workers import Seen

_MOST_NAMED = 3


def why_not(core: Core, row: JobRow) -> tuple[KindView, ...]:
    """Each kind of worker that is connected, and what keeps a queued job from running there."""
    if row.state != "queued" or row.spec is None:
        return ()
    needs = needs_of(row)
    hosts: dict[tuple[str, str], list[str]] = {}
    for seen in core.workers.recent(core.now - core.settings.worker_recent_s):
        total = core.total_of(seen.worker.id, seen.offer)
        said = (_kind(seen, total), _reason(core, row, needs, seen, total))
        hosts.setdefault(said, []).append(seen.worker.host or seen.worker.id)
    return tuple(
        KindView(kind, len(names), tuple(sorted(set(names))[:_MOST_NAMED]), reason)
        for (kind, reason), names in sorted(hosts.items())
    )


def closely(core: Core, shown: JobView) -> JobView:
    """The job with what is shown of one alone: kinds of workers, measured rates."""
    row = core.book.job(shown.id)
    return msgspec.structs.replace(shown, kinds=why_not(core, row), rates=rates_of(core, row))


def rates_of(core: Core, row: JobRow) -> tuple[RateView, ...]:
    """What was measured of jobs like this one, on the kind of machine that it ran on last."""
    last = core.book.last(row)
    if row.spec is None or not row.spec.resources.max_cores or last is None:
        return ()
    asked = row.spec.resources
    key = RateKey(row.project, row.spec.function, last.program_version, last.kind)
    most = asked.max_cores or asked.cores
    chosen = core.rates.choose(key, asked.cores, most, core.settings.efficient)
    return tuple(
        RateView(cores, rate.mean, rate.unit, rate.runs, bool(chosen and cores == chosen.cores))
        for cores, rate in sorted(core.rates.of(key).items())
    )


def _reason(core: Core, row: JobRow, needs: Needs, seen: Seen, total: Room) -> str:
    worker, offer = core.shares.known(seen.worker), seen.offer
    share = core.shares.get(row.project)
    always = list(obstacles(needs, worker, offer, total, share))
    if always:
        return "; ".join(always)
    if worker.id in needs.barred:
        return "made it first: it is to run elsewhere"
    if worker.id in needs.avoid and core.market.must_avoid(needs, row, worker.id, core.now):
        return "the job failed there: another worker is tried first"
    kept_for = core.reservations.job_for(worker.id)
    if kept_for == row.id:
        return "is being kept free for it"
    if not Room(offer).fits(needs, needs.cores):
        return "could run it, but is busy"
    if kept_for is not None:
        return f"could run it, but is being kept free for job {kept_for}"
    if offer.max_jobs is not None and offer.max_jobs < 1:
        return "could run it, but has as many jobs as it may"
    return "could run it: when it next asks for work"


def _kind(seen: Seen, total: Room) -> str:
    offer = seen.offer
    said = [f"{total.cores} {'core' if total.cores == 1 else 'cores'}", f"{total.memory_mb} MiB"]
    said += _gpus(total.gpus)
    if offer.labels:
        said.append(f"labels {' '.join(offer.labels)}")
    said.append(f"pool {seen.worker.pool}")
    return ", ".join(said)


def _gpus(gpus: Sequence[Gpu]) -> Iterable[str]:
    names = Counter(gpu.name or gpu.vendor or "GPU" for gpu in gpus)
    return [f"{count} x {name}" for name, count in sorted(names.items())]
