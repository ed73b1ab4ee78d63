"""Several servers, each with its own administrator and workers, that become peers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from copernicus.client.client import save_worker_bundle
from support.e2e import Env


def open_server(env: Env, **settings: Any) -> Env:
    """A running server with its administrator logged in and a bundle; no project."""
    env.init_server(**settings)
    env.start_server()
    env.log_in()
    save_worker_bundle(env.bundle, env.client.worker_bundle())
    return env


@contextlib.contextmanager
def servers(root: Path, *names: str) -> Iterator[list[Env]]:
    """An ``Env`` for each name, in a folder of its own; all are closed at the end."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in names:
            folder = root / name
            folder.mkdir()
            env = Env(folder)
            stack.callback(env.close)
            made.append(env)
        yield made


def id_of(env: Env) -> str:
    return env.client.profile.server_id


def lend(lender: Env, borrower: Env) -> None:
    """``lender`` works for ``borrower``, as their administrators type it."""
    made = borrower.json("peer", "invite")
    lender.cpc("peer", "add", made["url"], made["token"])


def peer(env: Env, other: Env) -> Any:
    """What ``env`` says of its peer ``other``."""
    return next(one for one in env.json("peer", "list") if one["id"] == id_of(other))


def commands(page: Path) -> list[str]:
    """What a page says to type, without the word ``cpc``."""
    found = re.findall(r"^cpc .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [line.removeprefix("cpc ") for line in found]
