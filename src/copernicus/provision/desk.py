"""Carries out what the server asks with a provider of Parsl."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec

from copernicus.model.pools import Provision
from copernicus.provision.arguments import CLASSES, arguments
from copernicus.provision.messages import Ask, JobTold, Submission, Submitted, Told
from copernicus.provision.slurm import SlurmJob, jobs_of_mine

_LAST = 600


class Unusable(Exception):
    """No provider can be made of what a pool asks for. The message is for its administrator."""


class Desk:
    """The provider of one pool, made anew when the pool is changed."""

    def __init__(self) -> None:
        self._asked: Provision | None = None
        self._provider: Any = None

    def carry_out(self, ask: Ask) -> Told:
        """Do it; what fails of it is told, never raised."""
        try:
            provider = self._of(ask)
        except Unusable as error:
            return Told(error=str(error))
        self._take_over(provider, ask)
        if ask.cancel:
            self._cancel(provider, ask)
        submitted: dict[str, Submitted] = {}
        refused: dict[str, str] = {}
        for one in ask.submit:
            try:
                submitted[one.name] = self._submit(provider, one)
            except Exception as error:  # noqa: BLE001 - Parsl raises whatever its libraries do
                refused[one.name] = _said(error)
        mine = jobs_of_mine(ask.asked.options) if ask.asked.provider == "slurm" else None
        if mine is None and ask.asked.provider == "slurm":
            states = dict.fromkeys(ask.jobs, JobTold("unknown", "squeue does not answer"))
        else:
            states = _looked_at(provider, [*ask.jobs], mine)
        return Told(submitted, refused, states, _found(ask, mine))

    def _of(self, ask: Ask) -> Any:
        if self._asked != ask.asked:
            self._provider = make_provider(ask.asked)
            self._asked = ask.asked
        self._provider.script_dir = ask.scripts
        return self._provider

    def _take_over(self, provider: Any, ask: Ask) -> None:
        """Let it know of the jobs of an earlier process."""
        from parsl.jobs.states import JobState, JobStatus

        for job, kept in ask.jobs.items():
            if job not in provider.resources:
                provider.resources[job] = {**kept, "status": JobStatus(JobState.PENDING)}
        for job in set(provider.resources) - set(ask.jobs):
            del provider.resources[job]

    def _cancel(self, provider: Any, ask: Ask) -> None:
        wanted = [job for job in ask.cancel if job in provider.resources]
        try:
            if wanted:
                provider.cancel(wanted)
        except Exception:  # noqa: BLE001 - how it stands is looked at afterwards
            return

    def _submit(self, provider: Any, one: Submission) -> Submitted:
        job = provider.submit(one.script, 1, one.name)
        if not job:
            raise Unusable("the batch system took no job, and gave no reason")
        return Submitted(str(job), _kept(provider.resources[job]))


def make_provider(asked: Provision) -> Any:
    """Parsl's provider for a pool.

    Raises:
        Unusable: Parsl is not installed, or does not take these options.
    """
    try:
        providers = import_module("parsl.providers")
        launchers = import_module("parsl.launchers")
    except ImportError as error:
        raise Unusable(
            f"Parsl is not installed with the server ({error}): pip install 'copernicus[parsl]'"
        ) from None
    given = arguments(asked)
    if asked.provider != "kubernetes":
        given = {"launcher": launchers.SimpleLauncher(), **given}
    try:
        return getattr(providers, CLASSES[asked.provider])(**given)
    except Exception as error:  # noqa: BLE001 - Parsl raises whatever its libraries do
        raise Unusable(f"Parsl's {CLASSES[asked.provider]} refuses: {_said(error)}") from None


def _looked_at(
    provider: Any, jobs: list[str], mine: dict[str, SlurmJob] | None
) -> dict[str, JobTold]:
    try:
        found = dict(zip(jobs, provider.status(jobs), strict=True)) if jobs else {}
    except Exception as error:  # noqa: BLE001 - Parsl raises whatever its libraries do
        return {job: JobTold("unknown", _said(error)) for job in jobs}
    return {job: _told(job, status, mine) for job, status in found.items()}


def _told(job: str, status: Any, mine: dict[str, SlurmJob] | None) -> JobTold:
    """What Parsl says, corrected by what Slurm says of jobs that it does or does not have."""
    name = status.state.name
    state = _STATES.get(name, "unknown")
    if mine is not None:
        here = mine.get(job)
        if here is None:
            why = "" if state == "ended" else f"{name.lower()}, and gone from Slurm"
            return JobTold("failed" if state == "failed" else "ended", why.strip())
        if here.is_over:
            return JobTold("failed" if here.why else "ended", here.why)
        return JobTold("pending" if here.waits else "running", here.why)
    why = status.message or ("" if state in ("pending", "running", "ended") else name.lower())
    return JobTold(state, why)  # type: ignore[arg-type]


_STATES = {
    "PENDING": "pending",
    "HELD": "pending",
    "RUNNING": "running",
    "COMPLETED": "ended",
    "CANCELLED": "ended",
    "SCALED_IN": "ended",
    "TIMEOUT": "ended",
    "FAILED": "failed",
    "MISSING": "failed",
}


def _found(ask: Ask, mine: dict[str, SlurmJob] | None) -> dict[str, Submitted | None]:
    """Which of the names are jobs of Slurm; Parsl appended the time to each."""
    if mine is None:
        return {}
    by_name = {job.name.rpartition(".")[0].rpartition(".")[0]: job.id for job in mine.values()}
    kept = {"job_stdout_path": None, "job_stderr_path": None}
    return {
        name: Submitted(by_name[name], {**kept, "job_id": by_name[name]})
        if name in by_name
        else None
        for name in ask.find
    }


def _kept(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in msgspec.to_builtins(
            {key: value for key, value in resource.items() if key != "status"}
        ).items()
        if isinstance(value, str | int | float | bool | None)
    }


def _said(error: Exception) -> str:
    """One line of what went wrong; what the batch system's own command said, if it was one."""
    heard = [str(getattr(error, name, "") or "") for name in ("stderr", "stdout")]
    text = next((part for part in heard if part.strip()), str(error) or type(error).__name__)
    return " ".join(text.split())[-_LAST:]
