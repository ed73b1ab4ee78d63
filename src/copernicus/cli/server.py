"""Commands for whoever runs a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from copernicus.cli.options import LOCAL, Local
from copernicus.cli.output import emit
from copernicus.errors import BadSettings, Conflict

if TYPE_CHECKING:
    from copernicus.server.folder import Running

Flag = Annotated[bool, Parameter(show_default=False)]
Folder = Annotated[Path | None, Parameter(env_var="CPC_SERVER_DIR", show_env_var=False)]

_LOG = "server.log"
_START_S = 60.0
_STOP_S = 60.0
_LOOK_S = 0.05
_STOPPED = 1


def server_folder(folder: Path | None) -> Path:
    """The folder of a server: named, or in the user's data folder."""
    if folder is not None:
        return folder
    from platformdirs import user_data_path

    return user_data_path("copernicus", appauthor=False) / "server"


def init(
    folder: Folder = None,
    /,
    *,
    name: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    host: str | None = None,
    machine_port: int | None = None,
    user_port: int | None = None,
    database: str | None = None,
    blobs: str | None = None,
    blobs_credentials: Path | None = None,
    admin_password_file: Path | None = None,
    options: Local = LOCAL,
) -> None:
    """Make a server.

    Args:
        folder: Everything of it lies there; default: in your data folder (or CPC_SERVER_DIR).
        name: Host name or address under which others reach it (may stand several times).
        host: Address to listen on; default: all of this machine.
        machine_port: For workers; default 13807.
        user_port: For people; default 14807.
        database: postgresql://USER@HOST/DATABASE; default: a SQLite file in the folder.
        blobs: s3://BUCKET/PREFIX for files; default: a folder in the folder.
        blobs_credentials: A TOML file with access_key_id, secret_access_key, region, endpoint, for
            the server's user only; default: the variables AWS_*.
        admin_password_file: A file with the password of admin (- is standard input); default:
            a random one, shown once.
        options: Common ones.
    """
    from copernicus.cli.session import read_password
    from copernicus.server.folder import init_server

    given = {
        "host": host,
        "machine_port": machine_port,
        "user_port": user_port,
        "database": database,
        "blobs": blobs,
        "blobs_credentials": str(blobs_credentials.absolute()) if blobs_credentials else None,
    }
    settings = {key: value for key, value in given.items() if value is not None}
    password = read_password(admin_password_file) if admin_password_file else None
    made = init_server(server_folder(folder), name, password, settings)
    data = {
        "folder": str(made.folder),
        "server_id": made.server_id,
        "names": made.names,
        "user": made.admin,
        "client_bundle": str(made.client_bundle),
        **({} if password else {"password": made.admin_password}),
    }
    shown = [
        f"server   {made.server_id}",
        f"folder   {made.folder}",
        f"user     {made.admin}",
        *([] if password else [f"password {made.admin_password}   (shown this once: note it)"]),
        f"bundle   {made.client_bundle}   (for users; it holds no secret)",
        "",
        "Next:",
        f"  cpc server start{'' if folder is None else f' {folder}'} --background",
        f"  cpc login {made.client_bundle} --user {made.admin}",
    ]
    emit(options.json, data, "\n".join(shown))


def start(
    folder: Folder = None,
    /,
    *,
    background: Annotated[bool, Parameter(name=["--background", "-d"], show_default=False)] = False,
    foreground: Flag = False,
    host: str | None = None,
    machine_port: int | None = None,
    user_port: int | None = None,
    options: Local = LOCAL,
) -> None:
    """Run a server.

    Args:
        folder: Its folder (cpc server init).
        background: Return when it runs; its log is server.log in the folder.
        foreground: Stay, and log here (as without any option).
        host: Address to listen on, for this run.
        machine_port: For workers, for this run.
        user_port: For people, for this run.
        options: Common ones.
    """
    if background and foreground:
        raise BadSettings("A server runs either with --background or with --foreground")
    place = server_folder(folder)
    given = {"host": host, "machine_port": machine_port, "user_port": user_port}
    overrides = {key: value for key, value in given.items() if value is not None}
    if background:
        running = _start_in_background(place, overrides)
        emit(options.json, running, _where(place, running))
        return
    from copernicus.server.app import run_server

    run_server(place, overrides)


def _start_in_background(place: Path, overrides: dict[str, Any]) -> Running:
    from copernicus.server.folder import settings_of

    settings_of(place, overrides)
    already = _running(place)
    if already is not None:
        raise Conflict(f"The server in {place} runs already (process {already.pid})")
    words = [f"--{key.replace('_', '-')}={value}" for key, value in overrides.items()]
    log = place / _LOG
    with log.open("ab") as stream:
        begin = stream.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "copernicus", "server", "start", str(place), *words],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        running = _running(place)
        if running is not None and running.pid == process.pid:
            process.returncode = 0  # it outlives this command: nobody is to wait for it
            return running
        if process.poll() is not None:
            raise BadSettings(f"The server did not start: {_last_words(log, begin)}")
        time.sleep(_LOOK_S)
    raise BadSettings(f"The server does not answer after {_START_S:.0f} s: look into {log}")


def _last_words(log: Path, begin: int) -> str:
    said = log.read_bytes()[begin:].decode(errors="replace").strip().split("\n")
    return said[-1].removeprefix("cpc: ") or f"look into {log}"


def stop(folder: Folder = None, /, *, options: Local = LOCAL) -> None:
    """Stop a server; workers go on with what they have, and deliver it later.

    Args:
        folder: Its folder.
        options: Common ones.
    """
    place = server_folder(folder)
    running = _running(_known(place))
    if running is None:
        emit(options.json, {"stopped": False}, f"No server runs in {place}")
        return
    os.kill(running.pid, signal.SIGTERM)
    end = time.monotonic() + _STOP_S
    while _is_alive(running.pid):
        if time.monotonic() > end:
            raise Conflict(f"Process {running.pid} has not ended after {_STOP_S:.0f} s: wait on")
        time.sleep(_LOOK_S)
    emit(options.json, {"stopped": True}, f"The server in {place} has stopped")


def status(folder: Folder = None, /, *, options: Local = LOCAL) -> int:
    """Show whether a server runs; the exit code is 1 if it does not.

    Args:
        folder: Its folder.
        options: Common ones.
    """
    from copernicus.security.identity import Authority
    from copernicus.server.folder import IDENTITY

    place = _known(server_folder(folder))
    running = _running(place)
    server_id = Authority.load(place / IDENTITY).server_id
    if running is None:
        text = f"The server {server_id} in {place} is not running: cpc server start"
        emit(options.json, {"running": False, "server_id": server_id}, text)
        return _STOPPED
    from copernicus.server.folder import settings_of
    from copernicus.server.room import MIB, Room

    room = Room(place, settings_of(place).min_free_mb)
    data = {
        **msgspec.to_builtins(running),
        "disk_free_mb": room.free // MIB,
        "problem": room.problem,
    }
    lines = [_where(place, running), *([f"WARNING: {room.problem}"] if room.problem else [])]
    emit(options.json, data, "\n".join(lines))
    return 0


def backup(folder: Path, destination: Path, /, *, options: Local = LOCAL) -> None:
    """Back up a server.

    Args:
        folder: Its folder.
        destination: A folder that does not exist yet; it opens as a server.
        options: Common ones.
    """
    from copernicus.server.migrating import back_up

    back_up(_known(folder), destination)
    data = {"folder": str(folder), "backup": str(destination)}
    emit(options.json, data, f"{folder} is copied to {destination}")


def migrate_to(
    database: str,
    folder: Folder = None,
    /,
    *,
    dry_run: Flag = False,
    options: Local = LOCAL,
) -> None:
    """Move a stopped server's database to PostgreSQL, or back to SQLite.

    Args:
        database: postgresql://USER@HOST/DATABASE, an empty database; or sqlite. Its password is
            better kept in ~/.pgpass than written here.
        folder: The server's folder.
        dry_run: Only tell what would be moved.
        options: Common ones.
    """
    from copernicus.client.bars import CountBar
    from copernicus.server.migrating import migrate

    place = _known(server_folder(folder))
    if _running(place) is not None:
        raise Conflict(f"The server in {place} runs: stop it first with 'cpc server stop {place}'")
    with CountBar("rows") as bar:
        counts = migrate(place, database, dry_run=dry_run, told=lambda _, rows: bar.advance(rows))
    rows = sum(counts.values())
    where = "would be moved" if dry_run else "were moved; 'cpc server start' uses them there"
    emit(options.json, {"rows": counts, "dry_run": dry_run}, f"{rows} rows {where}")


def check(
    folder: Folder = None,
    /,
    *,
    repair: Flag = False,
    backup: Path | None = None,
    options: Local = LOCAL,
) -> int:
    """Check a stopped server's folder; the exit code is 1 if something is wrong.

    Args:
        folder: Its folder.
        repair: Mend what can be mended; without it nothing is changed.
        backup: With --repair: a backup (cpc server backup) from which lost files come back.
        options: Common ones.
    """
    from copernicus.cli.checking import check_folder

    place = _known(server_folder(folder))
    if backup is not None and not repair:
        raise BadSettings("--backup is for a repair: add --repair")
    report = check_folder(place, repair=repair, backup=backup)
    lines = [
        *report.fine,
        *(f"repaired: {what}" for what in report.repaired),
        *(f"WRONG: {problem}" for problem in report.problems),
    ]
    emit(options.json, report, "\n".join(lines))
    return 1 if report.problems else 0


def _known(place: Path) -> Path:
    from copernicus.server.folder import settings_of

    settings_of(place)
    return place


def _running(place: Path) -> Running | None:
    from copernicus.server.folder import read_running

    running = read_running(place)
    return running if running is not None and _is_alive(running.pid) else None


def _is_alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _where(place: Path, running: Running) -> str:
    return (
        f"The server {running.server_id} runs (process {running.pid}): "
        f"users at port {running.user_port}, workers at port {running.machine_port} "
        f"of {running.host}; folder {place}"
    )
