"""What Parsl's provider of each batch system calls the things that a pool asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copernicus.model.pools import Provision

CLASSES = {
    "slurm": "SlurmProvider",
    "pbspro": "PBSProProvider",
    "torque": "TorqueProvider",
    "lsf": "LSFProvider",
    "grid_engine": "GridEngineProvider",
    "condor": "CondorProvider",
    "kubernetes": "KubernetesProvider",
    "local": "LocalProvider",
}


def arguments(asked: Provision) -> dict[str, Any]:
    """The arguments of the provider; the pool's own ``options`` win."""
    given = dict(asked.options)
    ours = _OF[asked.provider](asked)
    lines = ours.get("scheduler_options", "")
    if lines and given.get("scheduler_options"):
        given["scheduler_options"] = f"{lines}\n{given['scheduler_options']}"
    if "persistent_volumes" in given:
        given["persistent_volumes"] = [tuple(pair) for pair in given["persistent_volumes"]]
    return {**ours, **given}


def _slurm(asked: Provision) -> dict[str, Any]:
    found = _with_walltime(asked, exclusive=False, cores_per_node=asked.cores)
    if asked.partition:
        found["partition"] = asked.partition
    if asked.memory_mb:
        found["mem_per_node"] = _gib(asked)
    if asked.gpus:
        found["gpus_per_node"] = asked.gpus
    return found


def _pbspro(asked: Provision) -> dict[str, Any]:
    found = _with_walltime(asked, queue=asked.partition or None, cpus_per_node=asked.cores)
    selected = [f"mem={asked.memory_mb}mb"] if asked.memory_mb else []
    selected += [f"ngpus={asked.gpus}"] if asked.gpus else []
    return {**found, "select_options": ":".join(selected)}


def _torque(asked: Provision) -> dict[str, Any]:
    lines = [f"#PBS -l mem={asked.memory_mb}mb"] if asked.memory_mb else []
    return _with_walltime(asked, queue=asked.partition or None, scheduler_options="\n".join(lines))


def _lsf(asked: Provision) -> dict[str, Any]:
    lines = [f'#BSUB -R "rusage[mem={asked.memory_mb}MB]"'] if asked.memory_mb else []
    lines += [f'#BSUB -gpu "num={asked.gpus}"'] if asked.gpus else []
    return _with_walltime(
        asked,
        queue=asked.partition or None,
        request_by_nodes=False,
        cores_per_block=asked.cores,
        cores_per_node=asked.cores,
        scheduler_options="\n".join(lines),
    )


def _grid_engine(asked: Provision) -> dict[str, Any]:
    lines = [f"#$ -pe smp {asked.cores}"] if asked.cores > 1 else []
    lines += [f"#$ -l mem_free={asked.memory_mb}M"] if asked.memory_mb else []
    lines += [f"#$ -l gpu={asked.gpus}"] if asked.gpus else []
    return _with_walltime(asked, queue=asked.partition or None, scheduler_options="\n".join(lines))


def _condor(asked: Provision) -> dict[str, Any]:
    found = _with_walltime(asked, cores_per_slot=asked.cores)
    return {**found, "mem_per_slot": _gib(asked)} if asked.memory_mb else found


def _kubernetes(asked: Provision) -> dict[str, Any]:
    found: dict[str, Any] = {"max_cpu": asked.cores, "init_cpu": asked.cores}
    if asked.memory_mb:
        found |= {"max_mem": f"{asked.memory_mb}Mi", "init_mem": f"{asked.memory_mb}Mi"}
    if asked.gpus:
        found["extra_limits"] = {"nvidia.com/gpu": str(asked.gpus)}
    return found


def _local(_asked: Provision) -> dict[str, Any]:
    return {}


def _with_walltime(asked: Provision, **more: Any) -> dict[str, Any]:
    minutes = -(-int(asked.walltime_s) // 60)
    return {"walltime": f"{minutes // 60:02}:{minutes % 60:02}:00", **more}


def _gib(asked: Provision) -> int:
    """Memory in GiB, which is all that Parsl's providers take, rounded up."""
    return -(-asked.memory_mb // 1024)


_OF: dict[str, Callable[[Provision], dict[str, Any]]] = {
    "slurm": _slurm,
    "pbspro": _pbspro,
    "torque": _torque,
    "lsf": _lsf,
    "grid_engine": _grid_engine,
    "condor": _condor,
    "kubernetes": _kubernetes,
    "local": _local,
}
