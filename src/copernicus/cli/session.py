"""The client and the project that a command works with, and what it may ask at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.cli.options import AtServer, InProject
from copernicus.errors import BadValue, NotAllowed, UserError

if TYPE_CHECKING:
    from copernicus.client import Client, Project
    from copernicus.client.files import Progress


def client_for(options: AtServer) -> Client:
    """The server of the chosen (or current) profile, or a peer of it (``--on``)."""
    from copernicus.client import Client

    return Client(options.profile, on=options.on)


def project_for(options: InProject) -> Project:
    """The chosen (or current) project; the server is asked nothing yet."""
    return client_for(options).project(options.project, check=False)


def editing_project(options: InProject) -> Project:
    """The chosen (or current) project, or its draft if one was begun (cpc begin)."""
    from copernicus.cli.drafted import editing

    return editing(options)


def confirm(question: str, *, yes: bool, otherwise: str) -> None:
    """Ask before something that cannot be undone.

    Raises:
        NotAllowed: The answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotAllowed(f"{otherwise}; nothing was done")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise NotAllowed("Nothing was done")


def read_password(file: Path | None, prompt: str = "Password: ", *, twice: bool = False) -> str:
    """A password: from a file (``-``: the first line of standard input), or asked for.

    Raises:
        UserError: There is none.
    """
    if file is not None:
        return _first_line(file)
    if not sys.stdin.isatty():
        raise UserError("There is no terminal to ask for the password: give --password-file FILE")
    from getpass import getpass

    password = getpass(prompt)
    if not password:
        raise UserError("The password is empty")
    if twice and getpass("Again: ") != password:
        raise UserError("The two passwords differ; nothing was done")
    return password


def _first_line(file: Path) -> str:
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"Cannot read the password file {file}: {error}") from error
    password = text.split("\n", 1)[0].rstrip("\r")
    if not password:
        raise BadValue(f"The password file {file} is empty")
    return password


@contextmanager
def transfers(project: Project, verb: str) -> Iterator[None]:
    """Bars for the files that the project's calls inside send or fetch."""
    with transfer_bars(verb) as bars:
        project.progress = bars
        try:
            yield
        finally:
            project.progress = None


@contextmanager
def transfer_bars(verb: str) -> Iterator[Progress | None]:
    """Bars on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from copernicus.client.bars import TransferBars

    with TransferBars(verb) as bars:
        yield bars
