"""What a server has promised to a client by its answers, to be looked for after its end."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copernicus.blobs import BlobStore
from copernicus.cli.checking import check_folder
from copernicus.engine import views
from copernicus.engine.core import fold
from copernicus.errors import CopernicusError
from copernicus.model.paths import parse
from copernicus.store.store import Store
from support.e2e import Env
from support.e2e_programs import COUNT_TOML

PASSWORD = "a long one for somebody"
SIZE = 1_100_000
"""Bytes of a file: two chunks."""


@dataclass(frozen=True)
class Promise:
    """A user or a token of this name, a file with this SHA-256, or a value at this path."""

    kind: str
    name: str
    value: Any = None


class Asker:
    """Asks for one thing after the other; only what was answered is a promise."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.on_promise: Callable[[int], object] = lambda count: None
        self.promises: list[Promise] = []
        self._numbers = iter(range(10**6))
        self._asked: list[str] = []
        env.project().define(env.write("count.toml", COUNT_TOML))

    def ask(self) -> None:
        """One request of each kind, and a look at what is done by now."""
        n = next(self._numbers)
        name, tally = f"user{n}", f"count{n}"
        project = self.env.project()
        with self._answered():
            self.env.client.add_user(name, PASSWORD)
            self._keep(Promise("user", name))
        with self._answered():
            self.env.client.make_token(name)
            self._keep(Promise("token", name))
        with self._answered():
            source = self.env.write("source", random.Random(n).randbytes(SIZE))
            (found,) = project.files.upload([source])
            self._keep(Promise("file", found.sha256))
        with self._answered():
            with project.transaction():
                project.add(tally, "slow.count", active=True)
                project.set(f"{tally}.in.last", 2)
                project.set(f"{tally}.in.pause", 0)
            self._keep(Promise("value", f"{tally}.in.last", 2))
            self._asked.append(tally)
        self.look()

    def look(self) -> bool:
        """Note the results that are shown; whether all that was promised to be run has run."""
        with self._answered():
            done = {v.path for v in self.env.project().instances() if v.state == "done"}
            for tally in [tally for tally in self._asked if tally in done]:
                self._asked.remove(tally)
                self._keep(Promise("value", f"{tally}.out.result", 2))
        return not self._asked

    def _keep(self, promise: Promise) -> None:
        self.promises.append(promise)
        self.on_promise(len(self.promises))

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        # Refused, or the server died meanwhile: nothing was promised.
        with contextlib.suppress(CopernicusError):
            yield


def check_promises(folder: Path, promises: Sequence[Promise]) -> None:
    """Of a server that does not run: its folder is whole, and all that was promised is there."""
    assert check_folder(folder).problems == []
    blobs = BlobStore.in_folder(folder / "blobs")
    with Store.open(folder) as store:
        (project,) = store.projects()
        state = fold(list(store.load_project(project.id)))
        found = {
            "user": {user.name for user in store.users()},
            "token": {session.name for session in store.sessions_of("admin")},
        }
        for promise in promises:
            if promise.kind == "value":
                value = views.value(state, parse(promise.name)).value
                assert value == promise.value, promise
            elif promise.kind == "file":
                assert sum(map(len, blobs.read(promise.name))) == SIZE
            else:
                assert promise.name in found[promise.kind], promise
