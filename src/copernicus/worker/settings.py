"""What the administrator of a worker decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from copernicus.worker.owner import OwnerRules


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker is run; None leaves a choice to what the machine has.

    ``job_cores`` caps the cores of one job, ``max_jobs`` the jobs at once, ``projects`` restricts
    whose jobs are taken. The worker ends after ``idle_exit_s`` seconds without work and, handing
    back what runs, after ``walltime_s`` or before the end of the Slurm job that it is.
    A stopped program gets ``grace_s`` to write its state; at the worker's end ``deliver_s`` are
    spent on results that the server has not taken yet.
    A job that writes more than ``job_disk_mb`` MiB is ended, and fails.
    While the server is away it is tried again after pauses that grow up to ``retry_s``.
    No work is asked for while the disk has less than ``min_free_mb`` MiB. ``allow_scripts`` lets
    jobs bring scripts of their own, which can do all that the worker can. ``hyperthreads`` counts
    every thread of a core as one; programs run with the priority ``nice`` (up to 19: the lowest);
    ``owner`` says when the worker may work at all. ``parsl``: a file with a configuration of Parsl,
    which runs the jobs elsewhere.
    """

    bundle: Path
    work_dir: Path
    cores: int | None = None
    job_cores: int | None = None
    max_jobs: int | None = None
    memory_mb: int | None = None
    projects: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    programs: Path | None = None
    idle_exit_s: float | None = None
    walltime_s: float | None = None
    grace_s: float = 30.0
    deliver_s: float = 20.0
    retry_s: float = 30.0
    min_free_mb: int = 64
    job_disk_mb: int | None = None
    json_lines: bool = False
    allow_scripts: bool = False
    hyperthreads: bool = False
    nice: int = 0
    parsl: Path | None = None
    owner: OwnerRules = field(default_factory=OwnerRules)

    def __post_init__(self) -> None:
        # Programs start in folders of their own: a relative path would mean another place there.
        object.__setattr__(self, "work_dir", self.work_dir.expanduser().absolute())
