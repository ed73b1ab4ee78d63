"""The queue of jobs: matching, leases, retries, checkpoints; pure, driven by the runtime."""

from copernicus.protocol import Assignment as Grant
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow, Note, Row
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo

__all__ = [
    "AttemptRow",
    "CheckpointRow",
    "Grant",
    "JobRow",
    "Note",
    "Row",
    "Scheduler",
    "SchedulerSettings",
    "WorkerInfo",
]
