"""What may help against a cause: commands as they are typed, the most likely first."""

from __future__ import annotations

import shlex

from copernicus.engine.instances import Instance
from copernicus.engine.state import ProjectState
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, Literal
from copernicus.model.types import FileType, ListType, PortType, strip_optional
from copernicus.protocol import JobView, Remedy

_GROWTH = 1.5
_SMALLEST_MB = 1024


def for_failure(name: str, failure: Failure | None, memory_mb: int) -> tuple[Remedy, ...]:
    """Against a failure of the element that is called ``name``."""
    path = shlex.quote(name)
    found = [
        Remedy(f"cpc retry {path}", "run it again as it is"),
        Remedy(f"cpc skip {path}", "go on without its value"),
    ]
    if failure is None:
        return tuple(found)
    if failure.cause == "resource":
        wanted = max(round(memory_mb * _GROWTH / 1024), 1) if memory_mb else _SMALLEST_MB // 256
        found.insert(0, Remedy(f"cpc retry {path} --memory {wanted}GB", "give it more memory"))
    elif failure.cause == "cancelled":
        found[0] = Remedy(f"cpc retry {path}", "take it up again")
    return tuple(found)


def for_alike(path: str) -> Remedy:
    """Against several failures in one instance."""
    return Remedy(f"cpc retry {shlex.quote(path)} --failed", "run all of them again")


def for_input(name: str, state: ProjectState, instance: Instance) -> tuple[Remedy, ...]:
    """Against an input that made an element fail: those elements of lists that were set by hand."""
    position = name.removeprefix(instance.path)
    found = []
    for port in instance.mapped if position.startswith("[") else ():
        source = instance.inputs.get(port)
        if isinstance(source, Collect) and all(isinstance(i.source, Literal) for i in source.items):
            verb = "set-file" if _is_file(state.spec(instance).input(port).type) else "set"
            what = "FILE" if verb == "set-file" else "VALUE"
            path = shlex.quote(f"{instance.path}.in.{port}{position}")
            found.append(Remedy(f"cpc {verb} {path} {what}", "give it another input"))
    return tuple(found)


def for_held(path: str) -> tuple[Remedy, ...]:
    """Against being held."""
    return (
        Remedy(f"cpc activate {shlex.quote(path)}", "let it fire"),
        Remedy("cpc activate", "let everything fire"),
    )


def for_paused() -> tuple[Remedy, ...]:
    """Against a pause of the project."""
    return (Remedy("cpc resume", "end the pause"),)


def for_limit() -> tuple[Remedy, ...]:
    """Against a budget that is spent."""
    return (Remedy("cpc project budget", "the limits, and what is used of them"),)


def for_unset(state: ProjectState, instance: Instance) -> tuple[Remedy, ...]:
    """Against required inputs that nobody has set."""
    found = []
    for port in state.spec(instance).inputs:
        if port.required and port.name not in instance.inputs:
            path = f"{instance.path}.in.{port.name}"
            verb, what = ("set-file", "FILE") if _is_file(port.type) else ("set", "VALUE")
            found.append(Remedy(f"cpc {verb} {shlex.quote(path)} {what}", "give it a value"))
            found.append(Remedy(f"cpc connect SOURCE {shlex.quote(path)}", "or connect it"))
    return tuple(found)


def for_lengths(instance: Instance) -> tuple[Remedy, ...]:
    """Against lists that do not fit one another."""
    return (Remedy(f"cpc show {shlex.quote(instance.path)}", "the lists that it is mapped over"),)


def for_queued(name: str, job: JobView) -> tuple[Remedy, ...]:
    """Against staying in the queue: by what the queue says of it."""
    if "no worker is connected" in job.why:
        return (
            Remedy("cpc worker bundle -o lab.cpc", "what a new worker needs"),
            Remedy("cpc worker start --bundle lab.cpc", "run one here"),
            Remedy("cpc worker list", "those that there were"),
        )
    if "is paused" in job.why:
        return for_paused()
    if job.why.startswith("backs off"):
        return (Remedy(f"cpc log {shlex.quote(name)}", "what it printed before it failed"),)
    if job.why.startswith(("no worker offers", "no connected worker", "needs", "no single worker")):
        return (Remedy("cpc worker list", "what the workers offer"),)
    return ()


def for_running(name: str) -> tuple[Remedy, ...]:
    """For something that works: how to see what it does."""
    return (Remedy(f"cpc log {shlex.quote(name)}", "what it prints"),)


def _is_file(kind: PortType) -> bool:
    kind = strip_optional(kind)
    return isinstance(kind.item if isinstance(kind, ListType) else kind, FileType)
