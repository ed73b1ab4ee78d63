"""Commands about pools: whom their workers serve, and how they are started by demand."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, AtServer
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, confirm
from copernicus.errors import BadValue, Conflict, NotFound

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from copernicus.model.pools import Provision
    from copernicus.protocol import PoolView

Flag = Annotated[bool, Parameter(show_default=False)]
Names = Annotated[tuple[str, ...] | None, Parameter(show_default=False)]
System = Literal["slurm", "pbspro", "torque", "lsf", "grid_engine", "condor", "kubernetes", "local"]
_SHOWN_ENDED = 5


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """What a pool's workers are, and how many there may be."""

    file: Path | None = None
    """A TOML file with these options, and with those of the provider under [options]."""
    partition: str | None = None
    """The batch system's partition or queue."""
    cores: int | None = None
    """Cores of each worker."""
    memory: str | None = None
    """Memory of each worker: 8GB"""
    gpus: int | None = None
    """GPUs of each worker."""
    walltime: str | None = None
    """How long a worker may run: 4h"""
    min: int | None = None
    """Keep so many workers, also without work."""
    max: int | None = None
    """Never have more than so many."""
    idle: str | None = None
    """End a worker that has had nothing to do for so long: 5min"""
    max_core_hours: float | None = None
    """Never spend more than this in all (0: no bound)."""
    label: Names = None
    """A label of the workers (may stand several times)."""
    setup: Names = None
    """A shell line before a worker starts: module load gromacs (may stand several times)."""
    worker: Names = None
    """A further option of cpc worker start: --worker=--allow-scripts (may stand several times)."""
    folder: str | None = None
    """Where batch jobs have their folders; every node must see it. Default: in the server's."""
    option: Names = None
    """An option of Parsl's provider: account=kth (may stand several times)."""


NOTHING = Asked()


def list_all(*, options: AtServer = AT_SERVER) -> None:
    """List the pools: their workers, and the projects that they serve."""
    found = client_for(options).pools()
    if not found and not options.json:
        note("No pools yet: a pool begins with its first worker (cpc worker bundle --pool NAME)")
        return
    emit(options.json, found, lambda: _pools_table(found))


def serve(
    name: str,
    /,
    *projects: str,
    all: Flag = False,  # noqa: A002 - the option is called so
    options: AtServer = AT_SERVER,
) -> None:
    """Say which projects the workers of a pool serve.

    Args:
        name: The pool.
        projects: The only ones.
        all: All projects again.
        options: Common ones.
    """
    if bool(projects) == all:
        raise BadValue(f"name projects, such as cpc pool serve {name} ala, or give --all")
    found = client_for(options).set_pool(name, projects)
    emit(options.json, found, lambda: _pools_table(found))


def add(
    name: str,
    /,
    *,
    provision: System,
    asked: Asked = NOTHING,
    options: AtServer = AT_SERVER,
) -> None:
    """Let a pool start its workers by demand, as jobs of a batch system.

    Args:
        name: The pool.
        provision: The batch system (setting provision of the server).
        asked: How many workers, and which.
        options: Common ones.
    """
    client = client_for(options)
    if any(pool.name == name and pool.provision for pool in client.pools()):
        raise Conflict(f"Pool {name} starts its workers already: cpc pool set {name} ...")
    _provision(options, name, {"provider": provision, **_given(asked)})


def change(name: str, /, *, asked: Asked = NOTHING, options: AtServer = AT_SERVER) -> None:
    """Change how many workers a pool starts, and how. Batch jobs that exist stay as they are.

    After failures it also tries again at once.

    Args:
        name: The pool.
        asked: What to change.
        options: Common ones.
    """
    import msgspec

    known = _provision_of(_pool(client_for(options).pools(), name))
    _provision(options, name, {**msgspec.structs.asdict(known), **_given(asked)})


def show(name: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Show how a pool starts its workers, and how each of its batch jobs stands.

    Args:
        name: The pool.
        options: Common ones.
    """
    found = _pool(client_for(options).pools(), name)
    emit(options.json, found, lambda: pool_text(found, time.time()))


def remove(
    name: str,
    /,
    *,
    now: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Let a pool start no more workers. Those that wait are cancelled, those that run finish.

    Args:
        name: The pool.
        now: End those that run, too: their jobs go back to the queue with checkpoints.
        dry_run: Only say what would happen.
        yes: Do not ask.
        options: Common ones.
    """
    client = client_for(options)
    found = _pool(client.pools(), name)
    _provision_of(found)
    living = [one for one in found.allocations if one.state not in ("ended", "failed")]
    waiting = sum(one.state in ("asked", "pending", "starting") for one in living)
    rest = "end at once" if now else "finish what they have"
    what = f"{waiting} waiting batch jobs are cancelled, {len(living) - waiting} workers {rest}"
    data = {"pool": name, "cancelled": waiting, "workers": len(living) - waiting}
    if dry_run:
        emit(options.json, {**data, "dry_run": True}, f"Nothing was done. {name}: {what}")
        return
    confirm(f"Remove {name}? {what}.", yes=yes, otherwise=f"To remove {name}, add --yes")
    client.remove_pool(name, now=now)
    emit(options.json, data, f"{name} starts no more workers: {what}")


def _provision(options: AtServer, name: str, fields: dict[str, Any]) -> None:
    import msgspec

    from copernicus.model.pools import Provision, check_provision

    try:
        asked = msgspec.convert(fields, Provision)
    except msgspec.ValidationError as error:
        raise BadValue(f"pool {name}: {error}") from None
    check_provision(name, asked)
    found = _pool(client_for(options).provision_pool(name, asked), name)
    emit(options.json, found, lambda: pool_text(found, time.time()))


def _given(asked: Asked) -> dict[str, Any]:
    """What was written, the file first: by the names of the fields of ``Provision``."""
    from copernicus.cli.amounts import megabytes, seconds

    given = _of_file(asked.file) if asked.file else {}
    written = {name: getattr(asked, name) for name in _WRITTEN}
    given |= {name: value for name, value in written.items() if value is not None}
    if asked.option is not None:
        given["options"] = {**given.get("options", {}), **dict(map(_pair, asked.option))}
    units = {"walltime": ("walltime_s", seconds), "idle": ("idle_s", seconds)}
    units |= {"memory": ("memory_mb", megabytes)}
    for name, (field, read) in units.items():
        if name in given:
            given[field] = read(str(given.pop(name)))
    if "label" in given:
        given["labels"] = given.pop("label")
    return given


_WRITTEN = (
    *("partition", "cores", "gpus", "min", "max", "max_core_hours", "setup", "worker", "folder"),
    *("walltime", "idle", "memory", "label"),
)
_IN_FILES = frozenset({*_WRITTEN, "options", "command"})


def _of_file(file: Path) -> dict[str, Any]:
    from copernicus.model.toml_text import read_toml

    try:
        given = read_toml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadValue(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadValue(f"{file} is not valid TOML: {error}") from None
    unknown = sorted(set(given) - _IN_FILES)
    if unknown:
        raise BadValue(
            f"{file}: there is no {unknown[0]!r}; there are {', '.join(sorted(_IN_FILES))}"
        )
    return given


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise BadValue(f"--option {text!r} must be NAME=VALUE, such as --option account=kth")
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value
    return name, read if isinstance(read, int | float | bool) else value


def _pool(pools: list[PoolView], name: str) -> PoolView:
    found = next((pool for pool in pools if pool.name == name), None)
    if found is None:
        raise NotFound(f"There is no pool {name!r} (cpc pool list).")
    return found


def _provision_of(pool: PoolView) -> Provision:
    if pool.provision is None:
        raise NotFound(
            f"Pool {pool.name} starts no workers itself: cpc pool add {pool.name} --provision slurm"
        )
    return pool.provision


def _pools_table(found: list[PoolView]) -> Table:
    from copernicus.cli.render.tables import table

    rows = [
        (
            pool.name,
            str(pool.workers),
            str(pool.connected),
            f"{pool.provision.provider}, up to {pool.provision.max}" if pool.provision else "-",
            ", ".join(pool.projects) or "all",
        )
        for pool in found
    ]
    headers = ("pool", "workers", "connected", "started by", "projects")
    return table(headers, rows, right=("workers", "connected"), wide="projects")


def pool_text(pool: PoolView, now: float) -> Group:
    """``cpc pool show``: what was decided, then its batch jobs."""
    from rich.console import Group
    from rich.text import Text

    from copernicus.cli.render.tables import facts

    if pool.provision is None:
        return Group(_pools_table([pool]))
    shown: list[Table | Text] = [facts(_facts(pool, pool.provision))]
    if pool.allocations:
        shown += [Text(), _allocations(pool, now)]
    return Group(*shown)


def _facts(pool: PoolView, asked: Provision) -> list[tuple[str, str | Text]]:
    from copernicus.cli.render.tables import duration

    where = f" in {asked.partition}" if asked.partition else ""
    each = [f"{asked.cores} {'core' if asked.cores == 1 else 'cores'}"]
    each += [f"{asked.memory_mb} MiB"] if asked.memory_mb else []
    each += [f"{asked.gpus} GPUs"] if asked.gpus else []
    bound = f" of at most {asked.max_core_hours:g}" if asked.max_core_hours else ""
    rows: list[tuple[str, str | Text]] = [
        ("pool", pool.name + (" (being removed)" if pool.leaving else "")),
        ("started by", f"{asked.provider}{where}"),
        ("each", f"{', '.join(each)}, for {duration(asked.walltime_s)}"),
        ("workers", f"{asked.min} to {asked.max}, ended after {duration(asked.idle_s)} idle"),
        ("core-hours", f"{pool.core_hours:.2f}{bound}"),
    ]
    rows += [("options", " ".join(f"{k}={v}" for k, v in asked.options.items()))] * bool(
        asked.options
    )
    return [*rows, *([("waits", pool.held_back)] if pool.held_back else [])]


def _allocations(pool: PoolView, now: float) -> Table:
    from copernicus.cli.render.states import state_text
    from copernicus.cli.render.tables import ago, short_id, table

    over = [one for one in pool.allocations if one.ended]
    shown = [one for one in pool.allocations if not one.ended] + over[:_SHOWN_ENDED]
    rows = [
        (
            one.id,
            one.job or "-",
            state_text(one.state),
            short_id(one.worker) if one.worker else "-",
            str(one.jobs),
            ago(max(now - (one.ended or one.asked), 0.0)),
            one.why,
        )
        for one in shown
    ]
    headers = ("allocation", "batch job", "state", "worker", "jobs", "since", "why")
    return table(headers, rows, right=("jobs",), wide="why")
