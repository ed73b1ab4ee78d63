"""What an administrator may set: ``server.toml`` in the server's folder, ``CPC_*``, arguments.

Later ones win: defaults, the file, the environment (``CPC_LEASE_S=60``), arguments. All are checked
here, so that a wrong setting stops the server at its start and never in the night.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copernicus.errors import BadSettings
from copernicus.model.pools import PROVIDERS
from copernicus.model.toml_text import read_toml
from copernicus.protocol import MACHINE_PORT, USER_PORT

SETTINGS_FILE = "server.toml"
ENVIRONMENT_PREFIX = "CPC_"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that can be set for a server. Times in seconds, sizes in bytes.

    Attributes:
        host: the address to listen on; ``0.0.0.0`` is every interface.
        machine_port: for workers; 0 takes a free one.
        user_port: for people, and for workers that join; 0 takes a free one.
        database: postgresql://USER@HOST/DATABASE to keep everything but files in PostgreSQL; empty:
            a SQLite file in the server's folder. Passwords are better kept in ~/.pgpass.
        database_patience_s: how long a PostgreSQL that does not answer is waited for.
        blobs: s3://BUCKET/PREFIX to keep files in an object store; empty: in the server's folder.
        blobs_credentials: a TOML file, readable for the server's user only, with access_key_id,
            secret_access_key, region and endpoint; empty: the variables AWS_* say it.
        names: host names and addresses under which others reach this server, for its certificate
            and for bundles; empty: those of this machine. The user port answers only to these,
            to addresses and to localhost.
        heartbeat_s: how often a worker tells that it is alive.
        lease_s: silence after which its jobs are given to others.
        checkpoint_interval_s: how often running jobs upload a checkpoint.
        share_interval_s: how often what streams of a running job is brought.
        backoff_max_s: the longest wait of a failed job before its next try, if its retry policy
            names none.
        quarantine_failures: a worker on which more jobs than this fail in a row is set aside.
        quarantine_window_s: the time within which they must have failed.
        quarantine_s: for how long it is set aside; twice as long each time that nothing succeeds.
        quarantine_max_s: but never longer than that.
        peer_patience_s: how long a job that a peer lent waits here for a worker before it is handed
            back.
        peer_cache_mb: how much is kept (MiB) of what was fetched for peers' jobs, so that the next
            job finds it here. Of more, those files go that were used longest ago; never one that a
            job here still needs.
        peer_cache_keep_s: for how long such a file stays in any case, counted from its last use;
            an hour at least, if anybody else uses this server.
        tell_peers: what peers are told for ``cpc network``: ``nothing``; ``counts``, how many
            workers and cores there are here, and behind this server in all; or ``names``, the
            servers behind it with their names, too.
        max_wait_s: how long a worker's request for work may wait for some.
        evaluators: processes that run module code.
        describe_timeout_s: for one program function's description.
        evaluate_timeout_s: for a workflow function between two rests.
        evaluator_restarts: how often an evaluation or a description may break its process.
        preview_timeout_s: for a preview of an edit; what has not come by then it does not tell.
        max_resting: evaluations kept resting in one process; more are evicted and replayed later.
        max_body: of one request.
        max_result_body: of a worker's result, whose small files come with it.
        keep_alive_s: between signs of life on an event stream.
        session_idle_s: a login unused for so long has ended.
        session_life_s: a login this old has ended.
        worker_certificate_s: how long a worker's certificate holds; it renews itself before.
        login_failures: wrong passwords in a row, per name and per address, before a pause.
        login_pause_s: that pause.
        min_free_mb: with less free on its disk (MiB), the server gives out no new work and takes no
            new files from people.
        disk_check_s: how often it looks at its disk.
        sweep_every_s: between removals of files that nothing refers to any more.
        sweep_after_s: for how long a file stays that nothing refers to, counted from when it was
            last sent or asked for.
        provision: batch systems by which pools may start workers (cpc pool add): slurm, pbspro,
            lsf, grid_engine, torque, condor, kubernetes, local. A pool's options are commands that
            run as the server's account: an administrator can then do what that account can.
        provision_s: how often it is decided how many workers pools need.
        provision_poll_s: how often a batch system is asked how its jobs stand.
        log_level: debug, info, warning or error.
        log_json: one JSON object per line, for machines.
    """

    host: str = "0.0.0.0"  # noqa: S104  # both ports demand TLS and a login or a certificate
    machine_port: int = MACHINE_PORT
    user_port: int = USER_PORT
    database: str = ""
    database_patience_s: float = 120.0
    blobs: str = ""
    blobs_credentials: str = ""
    names: tuple[str, ...] = ()
    heartbeat_s: float = 10.0
    lease_s: float = 120.0
    checkpoint_interval_s: float = 300.0
    share_interval_s: float = 60.0
    backoff_max_s: float = 600.0
    quarantine_failures: int = 3
    quarantine_window_s: float = 600.0
    quarantine_s: float = 300.0
    quarantine_max_s: float = 4 * 3600.0
    peer_patience_s: float = 30.0
    peer_cache_mb: int = 20 * 1024
    peer_cache_keep_s: float = 3600.0
    tell_peers: str = "counts"
    max_wait_s: float = 60.0
    evaluators: int = 2
    describe_timeout_s: float = 30.0
    evaluate_timeout_s: float = 60.0
    evaluator_restarts: int = 3
    preview_timeout_s: float = 20.0
    max_resting: int = 1000
    max_body: int = 16 * 1024 * 1024
    max_result_body: int = 64 * 1024 * 1024
    keep_alive_s: float = 15.0
    session_idle_s: float = 12 * 3600.0
    session_life_s: float = 30 * 86400.0
    worker_certificate_s: float = 86400.0
    login_failures: int = 5
    login_pause_s: float = 30.0
    min_free_mb: int = 200
    disk_check_s: float = 5.0
    sweep_every_s: float = 6 * 3600.0
    sweep_after_s: float = 86400.0
    provision: tuple[str, ...] = ()
    provision_s: float = 5.0
    provision_poll_s: float = 30.0
    log_level: str = "info"
    log_json: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            BadSettings: naming the setting, its value and what it may be.
        """
        for name in ("machine_port", "user_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise _wrong(name, getattr(self, name), "a port, 0 to 65535")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            counted = isinstance(value, int | float) and not isinstance(value, bool)
            if counted and not field.name.endswith("_port") and not value > 0:
                raise _wrong(field.name, value, "more than 0")
        if self.lease_s < 2 * self.heartbeat_s:
            raise _wrong("lease_s", self.lease_s, "at least twice heartbeat_s")
        if self.machine_port == self.user_port != 0:
            raise _wrong("user_port", self.user_port, "another port than machine_port")
        if self.blobs and not re.fullmatch(r"s3://[^/@\s]+(/[^\s]*)?", self.blobs):
            raise _wrong("blobs", self.blobs, "s3://BUCKET/PREFIX")
        unknown = sorted(set(self.provision) - set(PROVIDERS))
        if unknown:
            raise _wrong("provision", self.provision, f"some of {', '.join(PROVIDERS)}")
        _check_choices(self)


def load_settings(
    folder: Path,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ServerSettings:
    """The settings of the server in ``folder``.

    Args:
        folder: of the server; its ``server.toml`` need not exist.
        overrides: by name, those that are not None win over everything.
        environment: for ``CPC_*``; default: that of the process.

    Raises:
        BadSettings: a file that is no TOML, a name that is no setting, a value that cannot be.
    """
    path = folder / SETTINGS_FILE
    values = {name: (value, str(path)) for name, value in _read(path).items()}
    for name, text in (os.environ if environment is None else environment).items():
        setting = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name.startswith(ENVIRONMENT_PREFIX) and setting in _FIELDS:
            values[setting] = (_from_text(setting, text), name)
    for name, value in (overrides or {}).items():
        if value is not None:
            values[name] = (value, "the argument")
    checked = {name: _typed(name, value, source) for name, (value, source) in values.items()}
    return ServerSettings(**checked)


def settings_toml(values: Mapping[str, Any]) -> str:
    """The text of a ``server.toml`` with these settings."""
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    return "\n".join(
        ["# Settings of this server; all of them: docs/reference/settings.md", *lines, ""]
    )


def with_setting(text: str, name: str, value: Any) -> str:
    """The text of a ``server.toml`` with one setting changed, and all else as it was.

    Raises:
        BadSettings: the setting is written over several lines.
    """
    line = f"{name} = {_toml(value)}"
    pattern = re.compile(rf"^\s*{name}\s*=.*$", re.MULTILINE)
    changed = pattern.sub(lambda _: line, text, count=1)
    if not pattern.search(text):
        changed = f"{text.rstrip()}\n{line}\n"
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if read_toml(changed) == {**read_toml(text), name: value}:
            return changed
    raise BadSettings(f"set {name} in {SETTINGS_FILE} by hand to {_toml(value)}")


def _check_choices(settings: ServerSettings) -> None:
    for name, (*others, last) in _CHOICES.items():
        value = getattr(settings, name)
        if value not in (*others, last):
            raise _wrong(name, value, f"{', '.join(others)} or {last}")


_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "tell_peers": ("nothing", "counts", "names"),
}
_FIELDS = {field.name: field for field in dataclasses.fields(ServerSettings)}


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSettings(f"{path} is not valid TOML: {error}") from error


def _from_text(name: str, text: str) -> Any:
    kind = str(_FIELDS[name].type)
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        return text
    if kind == "bool":
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    return tuple(text.split(",")) if kind.startswith("tuple") else text


def _typed(name: str, value: Any, source: str) -> Any:
    if name not in _FIELDS:
        raise BadSettings(f"{source}: there is no setting {name!r}; there are {', '.join(_FIELDS)}")
    kind = str(_FIELDS[name].type)
    is_text_list = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    if kind.startswith("tuple") and is_text_list:
        return tuple(value)
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if (kind == "int" and isinstance(value, int) and not isinstance(value, bool)) or (
        kind in ("str", "bool") and type(value).__name__ == kind
    ):
        return value
    wanted = "a list of texts" if kind.startswith("tuple") else f"of type {kind}"
    raise BadSettings(f"{source}: {name} is {value!r}, but must be {wanted}")


def _wrong(name: str, value: Any, wanted: str) -> BadSettings:
    return BadSettings(f"The setting {name} is {value!r}, but must be {wanted}.")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
