"""Commands about workers: of a server, and on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, LOCAL, AtServer, Local
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for
from copernicus.errors import Conflict

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from copernicus.protocol import WorkerView
    from copernicus.worker.programs import Programs

Flag = Annotated[bool, Parameter(show_default=False)]


def bundle(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("worker.cpc"),
    pool: str = "default",
    uses: int = 100,
    days: float = 30.0,
    options: AtServer = AT_SERVER,
) -> None:
    """Make a bundle for workers.

    Args:
        output: The file to write; whoever has it can add workers, so keep it to yourself.
        pool: The pool that they join.
        uses: How many workers may join with it.
        days: For how long.
        options: Common ones.
    """
    from copernicus.cli.render.tables import moment
    from copernicus.client.client import save_worker_bundle

    reply = client_for(options).worker_bundle(pool, uses, days)
    save_worker_bundle(output, reply)
    data = {"file": str(output), "pool": pool, "uses": uses, "expires": reply.expires}
    emit(
        options.json,
        data,
        f"{output} lets {uses} workers join until {moment(reply.expires)}; on their machine:\n"
        f"  cpc worker start --bundle {output.name}",
    )


def start(
    *,
    bundle: Path,
    work_dir: Path | None = None,
    cores: int | None = None,
    job_cores: int | None = None,
    max_jobs: int | None = None,
    memory: int | None = None,
    job_disk: int | None = None,
    project: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    label: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    programs: Path | None = None,
    allow_scripts: Flag = False,
    idle_exit: float | None = None,
    walltime: float | None = None,
    grace: float = 30.0,
    hyperthreads: Flag = False,
    nice: int = 0,
    hours: str = "",
    idle: float | None = None,
    pause_on_battery: Flag = False,
    leaving: Literal["finish", "suspend", "hand-back"] = "finish",
    parsl: Path | None = None,
    retry: float = 30.0,
    options: Local = LOCAL,
) -> int:
    """Run a worker.

    Args:
        bundle: The file from the server (cpc worker bundle).
        work_dir: Its folder, for its identity and its jobs; default: in your data folder.
        cores: Cores to use; default: all that this process may.
        job_cores: At most so many for one job.
        max_jobs: At most so many jobs at once.
        memory: Memory to offer, in MiB; default: that of the machine.
        job_disk: End a program's job that writes more than so many MiB.
        project: Take only jobs of this project (may stand several times).
        label: A label that jobs can ask for (may stand several times).
        programs: A TOML file with further programs, each [programs.NAME] with command and version.
        allow_scripts: Run scripts that jobs bring; they can do whatever this account can.
        idle_exit: End after so many seconds without work.
        walltime: End after so many seconds, handing back what runs; in a Slurm job, before its end.
        grace: Seconds that a stopped program gets to write its state.
        hyperthreads: Count every hyper-thread as a core; by default, there is one job on a core.
        nice: Lower the priority of programs, by up to 19.
        hours: Work only at these hours: 20:00-07:00
        idle: Work only when nobody has used this machine for so many minutes.
        pause_on_battery: Do not work while there are no mains.
        leaving: What becomes of running jobs when a pause begins.
        parsl: A Python file with config = parsl.Config(...): it runs the jobs, elsewhere.
        retry: Longest pause, in seconds, before an absent server is tried again.
        options: Common ones.
    """
    from copernicus.worker.agent import run_worker
    from copernicus.worker.owner import OwnerRules, read_hours
    from copernicus.worker.settings import WorkerSettings

    return run_worker(
        WorkerSettings(
            bundle=bundle,
            work_dir=work_dir or _work_dir(bundle),
            cores=cores,
            job_cores=job_cores,
            max_jobs=max_jobs,
            memory_mb=memory,
            job_disk_mb=job_disk,
            projects=project,
            labels=label,
            programs=programs,
            idle_exit_s=idle_exit,
            walltime_s=walltime,
            grace_s=grace,
            retry_s=retry,
            json_lines=options.json,
            allow_scripts=allow_scripts,
            hyperthreads=hyperthreads,
            nice=nice,
            parsl=parsl,
            owner=OwnerRules(
                hours=read_hours(hours),
                idle_s=None if idle is None else idle * 60.0,
                on_battery=not pause_on_battery,
                leaving=leaving,
            ),
        )
    )


def machine(
    *, cores: int | None = None, hyperthreads: Flag = False, options: Local = LOCAL
) -> None:
    """Show what a worker would find on this machine.

    Args:
        cores: As with worker start --cores.
        hyperthreads: As with worker start --hyperthreads.
        options: Common ones.
    """
    from copernicus.cli.render.tables import facts
    from copernicus.worker.probe import probe_machine
    from copernicus.worker.settings import WorkerSettings

    nowhere = Path(os.devnull)
    found = probe_machine(WorkerSettings(nowhere, nowhere, cores, hyperthreads=hyperthreads))
    rows: list[tuple[str, str | Text]] = [
        ("processor", found.processor),
        ("cores", str(found.cores)),
        *([("second threads", str(found.second_threads))] if found.second_threads else []),
        ("pinned to", ",".join(map(str, found.core_ids))),
        ("limit", "-" if found.quota is None else f"{found.quota:g} CPUs by cgroup"),
        ("memory", f"{found.memory_mb} MiB"),
        *((f"GPU {g.id}", f"{g.name or g.vendor}, {g.memory_mb} MiB") for g in found.gpus),
    ]
    emit(options.json, found, lambda: facts(rows))


def _work_dir(bundle: Path) -> Path:
    chosen = os.environ.get("CPC_WORK_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("copernicus", appauthor=False) / "workers" / bundle.stem


def programs(
    *, file: Path | None = None, allow_scripts: Flag = False, options: Local = LOCAL
) -> int:
    """List what a worker here would offer, and what not. Exit code 1: a wanted program is not.

    Args:
        file: A TOML file with further programs.
        allow_scripts: As with worker start --allow-scripts.
        options: Common ones.
    """
    from copernicus.worker.programs import find_programs

    found = find_programs(file, allow_scripts=allow_scripts)
    emit(options.json, found, lambda: programs_text(found))
    offered = {program.name for program in found.offered}
    return int(any(r.wanted and r.name not in offered for r in found.refused))


def programs_text(found: Programs) -> Group:
    """``cpc worker programs``: by which configuration, and with which command."""
    from rich.console import Group
    from rich.text import Text

    from copernicus.cli.render.tables import table

    rows = [
        (p.name, p.version or "-", f"{' '.join(p.command)}\n{p.source}")
        for p in sorted(found.offered, key=lambda program: program.name)
    ]
    shown: list[Table | Text] = [
        table(("program", "version", "command and source"), rows, wide="command and source")
    ]
    if found.refused:
        refused = [(r.name, f"{r.reason}\n{r.source}") for r in found.refused]
        shown.append(Text())
        shown.append(table(("not offered", "why"), refused, wide="why"))
    return Group(*shown)


def list_all(
    *,
    all: Annotated[bool, Parameter(name=["--all", "-a"], show_default=False)] = False,  # noqa: A002
    options: AtServer = AT_SERVER,
) -> None:
    """List the workers.

    Args:
        all: Also those that were revoked.
        options: Common ones.
    """
    found = client_for(options).workers()
    shown = [worker for worker in found if all or worker.state != "revoked"]
    if not shown and not options.json:
        note("No workers yet: cpc worker bundle -o lab.cpc, cpc worker start --bundle lab.cpc")
        return
    emit(options.json, found if all else shown, lambda: workers_table(shown, time.time()))


def workers_table(found: list[WorkerView], now: float) -> Table:
    """``cpc worker list``."""
    from copernicus.cli.render.states import state_text
    from copernicus.cli.render.tables import ago, duration, short_id, table

    rows: list[tuple[str | Text, ...]] = []
    for worker in found:
        busy = max(worker.cores - worker.cores_free, 0) if worker.programs else 0
        offered = ", ".join(
            f"{p.name} {p.version}".strip()
            for p in worker.programs
            if not p.name.startswith("module/")
        )
        seen = "" if worker.state == "connected" else ago(max(now - worker.last_seen, 0.0))
        why = ""
        if worker.why:
            why = worker.why
        if worker.until:
            why = f"set aside for {duration(max(worker.until - now, 1.0))}: {worker.why}"
        said = ", ".join(part for part in (seen, why, offered) if part)
        cells = (short_id(worker.id), worker.host, state_text(worker.state), worker.pool)
        rows.append((*cells, f"{busy}/{worker.cores}", str(worker.running), said))
    headers = ("worker", "host", "state", "pool", "cores", "jobs", "programs")
    return table(headers, rows, right=("cores", "jobs"), wide="programs")


def drain(worker: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Drain a worker.

    Args:
        worker: Its id, as in cpc worker list.
        options: Common ones.
    """
    from copernicus.cli.render.tables import find_id

    client = client_for(options)
    full = find_id(worker, [w.id for w in client.workers()], "worker")
    client.drain(full)
    emit(options.json, {"worker": full}, f"{full} takes no more work, and ends when it is idle")


def resume(worker: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Take back that a worker is drained or quarantined.

    Args:
        worker: Its id, as in cpc worker list.
        options: Common ones.
    """
    from copernicus.cli.render.tables import find_id

    client = client_for(options)
    full = find_id(worker, [w.id for w in client.workers()], "worker")
    client.resume_worker(full)
    emit(options.json, {"worker": full}, f"{full} gets work again; if it has ended, start it")


def remove(worker: str, /, *, now: Flag = False, options: AtServer = AT_SERVER) -> None:
    """Take a worker that has nothing to do off the list, for good.

    Args:
        worker: Its id, as in cpc worker list.
        now: Also if it runs jobs: they go back to the queue at once.
        options: Common ones.
    """
    from copernicus.cli.render.tables import find_id

    client = client_for(options)
    found = {view.id: view for view in client.workers()}
    view = found[find_id(worker, list(found), "worker")]
    if view.running and not now:
        jobs = "1 job" if view.running == 1 else f"{view.running} jobs"
        raise Conflict(
            f"{view.id} on {view.host} has {jobs}: let it finish first (cpc worker drain "
            f"{view.id}), or add --now"
        )
    client.revoke(view.id)
    emit(options.json, {"worker": view.id}, f"{view.id} is removed; it needs a bundle to come back")


def revoke(worker: str, /, *, yes: Flag = False, options: AtServer = AT_SERVER) -> None:
    """Revoke a worker.

    Args:
        worker: Its id, as in cpc worker list.
        yes: Do not ask.
        options: Common ones.
    """
    from copernicus.cli.render.tables import find_id
    from copernicus.cli.session import confirm

    client = client_for(options)
    full = find_id(worker, [w.id for w in client.workers()], "worker")
    question = f"Revoke {full}? It can come back only with a bundle and a new identity."
    confirm(question, yes=yes, otherwise=f"To revoke {full}, add --yes")
    client.revoke(full)
    emit(options.json, {"worker": full}, f"{full} is revoked; its jobs are in the queue again")
