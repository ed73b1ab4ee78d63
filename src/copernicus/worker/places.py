"""Where a worker's jobs run: on its machine, or wherever Parsl runs them."""

from __future__ import annotations

import dataclasses
import shutil

from copernicus.errors import BadSettings
from copernicus.executors.local import LocalExecutor
from copernicus.executors.through_parsl.executor import Gate, ParslExecutor
from copernicus.worker.probe import Machine, probe_machine
from copernicus.worker.settings import WorkerSettings


def place_of_work(settings: WorkerSettings) -> tuple[LocalExecutor, WorkerSettings, Machine]:
    """The executor, the settings as it bounds them, and what there is to be shared out.

    Raises:
        BadSettings: more is asked for than there is, or Parsl cannot be used.
    """
    if settings.parsl is None:
        machine = probe_machine(settings)
        return LocalExecutor(settings.nice), settings, machine
    here = probe_machine(dataclasses.replace(settings, cores=None))
    shutil.rmtree(settings.work_dir / "parsl", ignore_errors=True)
    gate = Gate(settings.parsl, settings.work_dir)
    slots = settings.max_jobs or gate.slots
    cores = settings.cores or slots * gate.cores
    if not cores:
        gate.close()
        raise BadSettings(
            f"{settings.parsl} does not say how many jobs run at once: add --max-jobs"
        )
    bounded = dataclasses.replace(
        settings,
        job_cores=min(settings.job_cores or gate.cores, gate.cores),
        max_jobs=slots or None,
    )
    machine = Machine(
        tuple(range(cores)),
        settings.memory_mb or here.memory_mb,
        processor=f"Parsl {gate.label}",
        pins=False,
    )
    return ParslExecutor(gate), bounded, machine
