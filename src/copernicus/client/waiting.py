"""Waiting for work: until it is done, or until it is certain that it will not be."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from copernicus.errors import NotFound, ServerBusy, ServerUnreachable, UserError
from copernicus.protocol import InstanceView

if TYPE_CHECKING:
    from copernicus.client.project import Project

FINISHED = frozenset({"done", "skipped", "retired"})
IDLE = FINISHED | {"held", "waiting", "failed", "stale"}

_FIRST_S = 0.1
_LONGEST_S = 2.0
_QUIET_POLLS = 3


class WorkFailed(UserError):  # as the rest of the tree
    """What was waited for failed, or cannot go on."""

    code = "work_failed"


def finished(views: Iterable[InstanceView]) -> bool:
    """Whether all of them have what they can have."""
    return all(view.state in FINISHED for view in views)


def moves(views: Iterable[InstanceView]) -> bool:
    """Whether anything is under way that can change a state by itself.

    A workflow that rests at an await moves only when what it waits for does.
    """
    return any(
        any(
            count and state not in IDLE for state, count in (view.counts or {view.state: 1}).items()
        )
        for view in views
        if not (view.kind == "workflow" and view.waits_for)
    )


def why_not(target: Sequence[InstanceView], everything: Sequence[InstanceView]) -> str:
    """One sentence: why the target is not done although nothing is under way."""
    failed = [view for view in (*target, *everything) if view.failure or view.state == "failed"]
    first = next((view for view in target if view.state not in FINISHED), None)
    parts = []
    if first is not None and first.state != "failed":
        reason = f" ({first.waits_for})" if first.waits_for else ""
        parts.append(f"{first.path} is {first.state}{reason}")
        if first.state == "held":
            parts.append(f"activate it: cpc activate {first.path}")
    if failed:
        reason = failed[0].failure.reason if failed[0].failure else "no reason was given"
        parts.append(f"{failed[0].path} failed: {reason}")
        parts.append(f"cpc why {failed[0].path} shows more, cpc retry {failed[0].path} tries again")
    return "; ".join(parts) or "nothing is under way"


def waits(
    project: Project, path: str, timeout: float | None, show: bool | None
) -> Generator[float]:
    """The pauses, in seconds, between looks at a project, until it is done: ``Project.wait``."""
    end = None if timeout is None else time.monotonic() + timeout
    pause, quiet, position = _FIRST_S, 0, -1
    with _shown(_is_visible() if show is None else show, path or project.name) as display:
        while True:
            found = _look(project)
            if found is not None:
                now_at, everything = found
                target = _target(project, everything, path)
                display.update(target)
                if finished(target):
                    return
                if any(view.state == "failed" for view in target) and not moves(target):
                    raise WorkFailed(why_not(target, everything))
                quiet = quiet + 1 if now_at == position and not moves(everything) else 0
                position = now_at
                if quiet >= _QUIET_POLLS:
                    raise WorkFailed(why_not(target, everything))
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(
                    f"{path or project.name} is not done after {timeout:g} s; the project goes on"
                )
            remaining = _LONGEST_S if end is None else max(end - time.monotonic(), 0.0)
            yield min(pause, remaining)
            pause = min(pause * 1.5, _LONGEST_S)


def _look(project: Project) -> tuple[int, list[InstanceView]] | None:
    """The journal's position and all instances; None while the server is away."""
    try:
        view, instances = project.status()
    except (ServerUnreachable, ServerBusy):
        return None
    return view.position, instances


def _target(project: Project, views: Sequence[InstanceView], path: str) -> list[InstanceView]:
    if not path:
        return [view for view in views if not view.parent and not view.held]
    target = [view for view in views if view.path == path]
    if not target:
        raise NotFound(f"{project.name} has no instance {path!r}")
    return target


class _Display(Protocol):
    def update(self, views: Sequence[InstanceView]) -> None:
        """Show how far they are."""


class _Silent:
    def update(self, views: Sequence[InstanceView]) -> None:
        """Show nothing."""


@contextmanager
def _shown(visible: bool, label: str) -> Iterator[_Display]:
    if not visible:
        yield _Silent()
        return
    from copernicus.client.bars import NotebookBar, WaitingBar

    with NotebookBar(label) if in_notebook() else WaitingBar(label) as bar:
        yield bar


def _is_visible() -> bool:
    return sys.stderr.isatty() or in_notebook()


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
