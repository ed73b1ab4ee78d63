"""Random queues and fleets for the matcher, and a worker that keeps its own accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from copernicus.model.gpus import Gpu, GpuNeed, choose, emptied, put_on
from copernicus.model.jobs import JobSpec
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import Assignment, LeaseRequest, ResultRequest
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.workers import WorkerInfo
from support.scheduling import spec

GPUS = st.lists(
    st.builds(
        Gpu,
        id=st.just(""),
        vendor=st.sampled_from(["nvidia", "amd"]),
        memory_mb=st.sampled_from([8000, 24000]),
    ),
    max_size=4,
).map(
    lambda found: tuple(
        Gpu(str(place), gpu.vendor, gpu.memory_mb) for place, gpu in enumerate(found)
    )
)

JOBS = st.fixed_dictionaries(
    {
        "cores": st.integers(1, 8),
        "wider": st.integers(0, 4),
        "memory_mb": st.sampled_from([0, 0, 500, 3000]),
        "gpus": st.sampled_from([0, 0, 0, 1, 2]),
        "gpu_memory_mb": st.sampled_from([0, 4000, 16000]),
        "gpu_vendor": st.sampled_from(["", "nvidia"]),
        "gpu_sharing": st.integers(1, 3),
        "disk_mb": st.sampled_from([0, 0, 200]),
        "priority": st.sampled_from([0, 0, 0, 5]),
        "labels": st.sampled_from(["", "", "site == kth", "!preemptible"]),
        "versions": st.sampled_from(["", ">=2023"]),
    }
)

FLEETS = st.lists(
    st.builds(
        lambda cores, memory, gpus, disk, labels, version: Offer(
            (ProgramOffer("md", version),),
            cores,
            memory,
            0,
            disk,
            labels=labels,
            devices=gpus,
        ),
        st.integers(1, 24),
        st.sampled_from([1000, 8000]),
        GPUS,
        st.sampled_from([300, 1000]),
        st.sampled_from([(), ("site=kth",), ("preemptible",)]),
        st.sampled_from(["2022.5", "2024.1"]),
    ),
    min_size=1,
    max_size=3,
)


def job_spec(asked: dict[str, Any]) -> JobSpec:
    """The job of what ``JOBS`` draws."""
    more = dict(asked)
    wider, versions = more.pop("wider"), more.pop("versions")
    return spec(
        checkpoint=False,
        versions=versions,
        max_cores=more["cores"] + wider if wider else None,
        **more,
    )


@dataclass
class Machine:
    """A worker that counts for itself what it has given away."""

    name: str
    whole: Offer
    held: dict[str, Assignment] = field(default_factory=dict)
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)
    asks: int = 0

    def devices(self) -> list[Gpu]:
        gpus = [emptied(gpu) for gpu in self.whole.devices]
        for name, places in self.places.items():
            need = self.held[name].spec.resources.gpu_need
            for place in places:
                gpus[place] = put_on(gpus[place], need)
        return gpus

    def offer(self) -> Offer:
        held = self.held.values()
        return Offer(
            self.whole.programs,
            self.whole.cores - sum(one.cores for one in held),
            self.whole.memory_mb - sum(one.spec.resources.memory_mb for one in held),
            0,
            self.whole.disk_mb - sum(one.spec.resources.disk_mb for one in held),
            labels=self.whole.labels,
            devices=tuple(self.devices()),
        )

    def ask(self, scheduler: Scheduler, now: float) -> list[Assignment]:
        """Lease, and put each job where it belongs: an ``AssertionError`` if it has no place."""
        self.asks += 1
        request = LeaseRequest(f"r{self.asks}", self.offer())
        found = scheduler.lease(WorkerInfo(self.name, self.name), request, now)
        for one in found:
            need = one.spec.resources.gpu_need
            chosen = choose(self.devices(), need)
            assert chosen is not None, f"{self.name} has no GPU for {one.job}"
            self.held[one.attempt], self.places[one.attempt] = one, chosen
        self.check()
        return found

    def check(self) -> None:
        """Nothing was promised twice."""
        offer = self.offer()
        assert offer.cores >= 0, f"{self.name}: {-offer.cores} cores too many"
        assert offer.memory_mb >= 0, f"{self.name}: {-offer.memory_mb} MiB too many"
        assert offer.disk_mb >= 0, f"{self.name}: {-offer.disk_mb} MiB of disk too many"
        for place, gpu in enumerate(self.whole.devices):
            needs = self.on(place)
            assert sum(need.memory_mb for need in needs) <= gpu.memory_mb
            assert all(len(needs) <= need.sharing for need in needs)
            assert all(need.vendor in ("", gpu.vendor) for need in needs)

    def on(self, place: int) -> list[GpuNeed]:
        return [
            self.held[name].spec.resources.gpu_need
            for name, places in self.places.items()
            if place in places
        ]

    def end(self, scheduler: Scheduler, attempt: str, now: float) -> None:
        done = ResultRequest(attempt, 9, "completed", {"out": 1})
        scheduler.result(self.name, done, now)
        del self.held[attempt]
        del self.places[attempt]
