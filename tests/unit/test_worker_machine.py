"""What a worker finds on a machine, how it shares it out, and when its owner lets it work."""

from __future__ import annotations

import datetime
import os

import pytest

from copernicus.errors import BadSettings
from copernicus.model.gpus import Gpu, GpuNeed
from copernicus.worker.cpus import (
    allowed_cpus,
    cpu_quota,
    memory_mb,
    numbers,
    one_per_core,
    whole_cpus,
)
from copernicus.worker.gpus import find_gpus, read_rocm, told_to_programs, visible
from copernicus.worker.owner import OwnerRules, Sight, read_hours, why_not
from copernicus.worker.probe import Machine, Share, probe_machine
from copernicus.worker.settings import WorkerSettings

CPUS = sorted(os.sched_getaffinity(0))


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# --- CPUs and memory


@pytest.mark.parametrize(
    ("files", "own", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, "", 1.5),
        ({"cpu.max": "max 100000\n"}, "", None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, "", 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", None),
        ({"user/me/cpu.max": "300000 100000"}, "0::/user/me", 3.0),
        ({"user/cpu.max": "200000 100000", "user/me/cpu.max": "max 100000"}, "0::/user/me", 2.0),
        (
            {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"},
            "3:cpu,cpuacct:/job\n0::/",
            4.0,
        ),
        ({}, "0::/gone", None),
    ],
)
def test_cgroups_limit_the_cores_also_those_above_ones_own(tmp_path, files, own, quota):
    groups = written(tmp_path, {"own": own, **{f"groups/{name}": t for name, t in files.items()}})
    assert cpu_quota(groups / "groups", tmp_path / "own") == quota


def test_cgroups_limit_the_memory(tmp_path):
    written(tmp_path, {"own": "0::/job", "groups/job/memory.max": str(512 << 20)})
    assert memory_mb(tmp_path / "groups", tmp_path / "own") == 512
    written(tmp_path, {"groups/job/memory.max": "max"})
    assert memory_mb(tmp_path / "groups", tmp_path / "own") > 512


def test_hyper_threads_of_a_core_are_told_apart(tmp_path):
    pairs = {f"cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}" for n in range(8)}
    written(tmp_path, pairs)
    assert one_per_core(range(8), tmp_path) == [0, 1, 2, 3]
    assert one_per_core([2, 5, 6], tmp_path) == [2, 5]
    assert one_per_core([0, 1], tmp_path / "nothing") == [0, 1]


def test_numbers_and_quotas_are_read():
    assert list(numbers("0-2,7")) == [0, 1, 2, 7]
    assert (whole_cpus(8, None), whole_cpus(8, 2.9), whole_cpus(8, 0.5)) == (8, 2, 1)


def test_the_affinity_of_the_process_is_respected():
    try:
        os.sched_setaffinity(0, CPUS[:1])
        assert allowed_cpus() == CPUS[:1]
        assert probe_machine(WorkerSettings(os.devnull, _nowhere())).core_ids == tuple(CPUS[:1])
    finally:
        os.sched_setaffinity(0, CPUS)


def _nowhere():
    from pathlib import Path

    return Path(os.devnull)


def test_more_cores_than_there_are_are_refused(tmp_path):
    with pytest.raises(BadSettings, match="cores = 100000"):
        probe_machine(WorkerSettings(tmp_path, tmp_path, cores=100_000))


# --- GPUs


ROCM = {
    "card1": {"VRAM Total Memory (B)": "68702699520", "Card series": "Instinct MI250X"},
    "card0": {"VRAM Total Memory (B)": "17163091968", "Card Series": "Radeon VII"},
    "system": {"Driver version": "6.7.0"},
}


def test_amd_gpus_are_read_from_what_their_tool_says():
    assert read_rocm(ROCM) == (
        Gpu("0", "amd", 16368, "Radeon VII"),
        Gpu("1", "amd", 65520, "Instinct MI250X"),
    )
    assert read_rocm({}) == ()


def test_only_visible_gpus_are_used():
    found = (Gpu("0", "nvidia", 8000), Gpu("1", "nvidia", 16000))
    assert visible(found, None, "nvidia") == found
    assert visible(found, "1", "nvidia") == found[1:]
    assert visible(found, "-1", "nvidia") == visible(found, "", "nvidia") == ()
    assert visible((), "0, 2", "nvidia") == (Gpu("0", "nvidia"), Gpu("2", "nvidia"))
    assert [gpu.id for gpu in find_gpus({"CUDA_VISIBLE_DEVICES": "3", "PATH": ""})] == ["3"]


def test_programs_are_told_their_own_gpus_and_no_other():
    owned = (Gpu("0", "nvidia"), Gpu("1", "nvidia"), Gpu("0", "amd"))
    told = told_to_programs(owned, owned[1:2])
    assert told["CUDA_VISIBLE_DEVICES"] == "1"
    assert told["ROCR_VISIBLE_DEVICES"] == ""
    assert told_to_programs((), ()) == {}


def test_no_two_attempts_share_a_core_or_a_gpu_that_is_not_to_be_shared():
    share = Share(Machine((0, 1, 2, 3), 1000, (Gpu("0"), Gpu("1"))))
    first, second = share.take(2, GpuNeed(1), 300), share.take(2, GpuNeed(1), 300)
    assert set(first.cores).isdisjoint(second.cores)
    assert first.gpus != second.gpus
    assert (share.cores, share.gpus, share.memory_mb) == (0, 0, 400)
    assert not share.has_gpus(GpuNeed(1))
    share.give_back(first)
    assert (share.cores, share.gpus, share.memory_mb) == (2, 1, 700)


def test_jobs_that_allow_it_share_a_gpu():
    share = Share(Machine((0, 1, 2, 3), 1000, (Gpu("0"), Gpu("1"))))
    pair = GpuNeed(1, sharing=2)
    first, second, third = (share.take(1, pair, 0) for _ in range(3))
    assert [gpu.id for one in (first, second, third) for gpu in one.gpus] == ["0", "0", "1"]
    share.give_back(first)
    assert [gpu.jobs for gpu in share.devices] == [1, 1]


# --- the owner's rules


def at(hour: int, **more) -> Sight:
    return Sight(datetime.time(hour), **more)


def test_a_worker_keeps_to_its_hours_also_over_midnight():
    rules = OwnerRules(hours=read_hours("20:00-07:00, 12:00-13:00"))
    assert [why_not(rules, at(hour)) == "" for hour in (19, 20, 23, 0, 6, 7, 12, 13)] == [
        *(False, True, True, True, True, False, True, False)
    ]
    assert why_not(rules, at(9)) == "it works only 20:00-07:00, 12:00-13:00"


@pytest.mark.parametrize("text", ["20-7", "25:00-07:00", "20:00", "20:00-07:60"])
def test_wrong_hours_are_refused(text):
    with pytest.raises(BadSettings, match="write them as 20:00-07:00"):
        read_hours(text)


def test_a_worker_leaves_the_machine_to_who_uses_it_and_to_its_battery():
    rules = OwnerRules(idle_s=600.0, on_battery=False)
    assert why_not(rules, at(9, unused_s=10.0)) == "somebody uses the machine"
    assert why_not(rules, at(9, unused_s=601.0, plugged=True)) == ""
    assert why_not(rules, at(9)) == ""
    assert why_not(rules, at(9, plugged=False)) == "the machine runs on battery"
    assert not OwnerRules().any
