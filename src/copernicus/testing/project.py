"""A project in memory, to try a module with: what its author uses."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from copernicus.blobs import BlobStore
from copernicus.client.edits import Editing
from copernicus.client.files import BlobPort, Progress
from copernicus.client.network import Instance
from copernicus.engine import views
from copernicus.errors import BadValue, NotFound
from copernicus.model import edits as ed
from copernicus.model.jobs import Failure
from copernicus.model.paths import parse
from copernicus.model.resources import Resources
from copernicus.model.values import File
from copernicus.protocol import EditReply, InstanceDetail
from copernicus.registry import Module, Registered, discover
from copernicus.sdk.convert import revive
from copernicus.sdk.functions import Function
from copernicus.testing.jobs import Done, Jobs
from copernicus.testing.world import StandIn, World
from copernicus.worker.programs import Program, Programs, complete, find_programs

AnyFunction = Function[..., Any]


class Failed(AssertionError):
    """Something in the project failed; the message has the reason and the log."""


class _Files(BlobPort):
    """The files of the project, in a folder."""

    def __init__(self, blobs: BlobStore) -> None:
        # There is no server, so the rest of it is not there either.
        self._blobs = blobs

    def upload(self, paths: Sequence[Path], progress: Progress | None = None) -> list[File]:
        """Store files."""
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise NotFound(f"there is no file {missing}")
        stored = [(path, self._blobs.put_file(path)) for path in paths]
        return [File(manifest.sha256, manifest.size, path.name) for path, manifest in stored]

    def pieces(self, file: File, start: int = 0) -> Iterator[bytes]:
        """The bytes of a stored file."""
        return self._blobs.read(file.sha256, start)


class Project(Editing):
    """A project to try a module with: build it, ``run`` it, look at its values.

    ``folder`` is where its files and the folders of its jobs lie; ``jobs`` are those that ran.
    """

    def __init__(
        self,
        folder: Path,
        modules: Sequence[Module],
        programs: Programs,
        stand_ins: Mapping[str, StandIn],
        seed: int,
        job_timeout_s: float,
        elsewhere: bool,
    ) -> None:
        super().__init__()
        self.folder = folder
        self._blobs = BlobStore.in_folder(folder / "blobs", durable=False)
        self.files = _Files(self._blobs)
        self._functions: dict[str, Registered] = discover().functions()
        for module in modules:
            self._functions |= module.functions
        self._jobs = Jobs(folder, self._blobs, programs, job_timeout_s)
        self._elsewhere = elsewhere
        self._world = World(folder, self._blobs, self._functions, self._jobs, dict(stand_ins), seed)

    # --- building

    def add(
        self,
        path: str,
        function: str | AnyFunction,
        map: Sequence[str] = (),  # noqa: A002  # what users call it
        *,
        active: bool = True,
        resources: Resources | None = None,
        **inputs: Any,
    ) -> Instance:
        """Place a function under a name, with inputs set: values, ``Path``s, outputs.

        Args:
            path: its name.
            function: the function, its full name, or a file that describes it: TOML, or a script.
            map: list inputs to map over: one run per element.
            active: False leaves it held until ``activate``.
            resources: what its jobs ask for, if not what the function says.
            **inputs: by port.
        """
        if not isinstance(function, str):
            function = self._known(function)
        elif function.endswith((".toml", ".py", ".sh")):
            function = self.define(function).name
        made = super().add(path, function, map, active=active, resources=resources)
        for port, value in inputs.items():
            self.set(f"{path}.in.{port}", value)
        return made

    def _known(self, function: AnyFunction) -> str:
        name = function.spec.name
        if name not in self._functions:
            raise NotFound(
                f"{name} is in no module that is installed: give its Module to testing.project"
            )
        return name

    def file(self, name: str, content: str | bytes) -> File:
        """A stored file of this name with this content, to be an input."""
        data = content.encode() if isinstance(content, str) else content
        manifest = self._blobs.put_bytes(data)
        return File(manifest.sha256, manifest.size, name)

    def _commit(self, edits: Sequence[ed.Edit], expected_revision: int | None) -> EditReply:
        self._world.submit(edits)
        return EditReply(self._world.state.revision, len(self._world.journal))

    # --- running

    def run(self, *, check: bool = True) -> None:
        """Do all that can be done; then take again, in other ways, what workflow functions did.

        Args:
            check: raise if something failed that no workflow has tolerated (``net.settle``).

        Raises:
            Failed: Something did; the message says what, why, and shows the log.
            Departed: A workflow function does something else when it is run again.
        """
        while self._world.step():
            pass
        self._world.check_courses(elsewhere=self._elsewhere)
        if check:
            self._raise_failures()

    def _raise_failures(self) -> None:
        """What failed; of a workflow that is done nothing: it has seen that, and gone on."""
        found = {view.path: view for view in views.instances(self._world.state)}
        failed = [
            view
            for view in found.values()
            if view.failure is not None
            and (view.parent not in found or found[view.parent].state != "done")
        ]
        causes = [view for view in failed if view.kind != "workflow"] or failed
        if causes:
            raise Failed("\n".join(_told(view.path, view.failure) for view in causes))

    # --- looking

    def value(self, path: str) -> Any:
        """The current value at a path; files have a local copy (``.path``).

        Raises:
            BadValue: There is none; the message says what it waits for.
        """
        found = views.value(self._world.state, parse(path))
        if found.state != "current":
            why = f": {'; '.join(found.left_out)}" if found.left_out else ""
            raise BadValue(f"{path} has no current value, it is {found.state}{why}")
        return revive(found.value, self._world.local)

    get = value

    def instance_detail(self, path: str, start: int = 0, count: int = 100) -> InstanceDetail:
        """Everything about an instance, with a page of its elements."""
        return views.instance(self._world.state, path, start, count)

    def state(self, path: str) -> str:
        """The state of an instance: done, failed, waiting, ..."""
        return self.instance_detail(path).summary.state

    def failure(self, path: str) -> Failure | None:
        """Why an instance failed, if it did."""
        return self.instance_detail(path).summary.failure

    def instances(self) -> list[str]:
        """The paths of all instances, those inside of workflows too."""
        return [view.path for view in views.instances(self._world.state)]

    @property
    def jobs(self) -> list[Done]:
        """The jobs that ran, in order."""
        return list(self._jobs.done)

    def close(self) -> None:
        """End what runs."""
        self._world.close()


def _told(path: str, failure: Failure | None) -> str:
    assert failure is not None
    where = f" ({failure.where})" if failure.where else ""
    parts = [f"{path}: {failure.reason}{where}", failure.remedy, failure.log.rstrip()]
    return "\n".join(part for part in parts if part)


@contextlib.contextmanager
def project(
    *modules: Module,
    programs: Mapping[str, Sequence[str] | str] | Path | None = None,
    stand_ins: Mapping[str | AnyFunction, StandIn] | None = None,
    seed: int = 1,
    job_timeout_s: float = 600.0,
    elsewhere: bool = True,
) -> Iterator[Project]:
    """A project that lasts as long as the ``with`` block, in a temporary folder.

    Args:
        *modules: modules that are not installed; those that are, are there anyway.
        programs: commands by name, beside what is found on this machine; or a worker's programs
            file.
        stand_ins: by function, what does the work of its jobs instead: called with the inputs, it
            returns the outputs as a task would.
        seed: of the project.
        job_timeout_s: a program that takes longer fails.
        elsewhere: whether courses are taken again in another process, too.
    """
    names = {
        key if isinstance(key, str) else key.spec.name: done
        for key, done in (stand_ins or {}).items()
    }
    with tempfile.TemporaryDirectory(prefix="cpc-testing-", ignore_cleanup_errors=True) as folder:
        made = Project(
            Path(folder), modules, _programs(programs), names, seed, job_timeout_s, elsewhere
        )
        with contextlib.closing(made):
            yield made


def _programs(given: Mapping[str, Sequence[str] | str] | Path | None) -> Programs:
    if isinstance(given, Path):
        found = find_programs(given, allow_scripts=True)
        found.check()
        return found
    own = tuple(
        Program(name, "", complete([words] if isinstance(words, str) else list(words)))
        for name, words in (given or {}).items()
    )
    kept = [
        p for p in find_programs(None, allow_scripts=True).offered if p.name not in (given or {})
    ]
    return Programs((*own, *kept))
