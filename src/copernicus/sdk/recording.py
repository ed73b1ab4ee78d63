"""What a workflow function does, written down branch by branch as it does it.

The net (the author's side) and the runner (the evaluator's side) meet here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from copernicus.errors import BadDefinition
from copernicus.model.evaluation import ROOT, Await, Declaration, Segment, Start
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure
from copernicus.model.network import Source

_OURS = str(Path(__file__).parent.parent)
_MODULES = str(Path(_OURS) / "modules")


def is_ours(filename: str) -> bool:
    """Whether a source file belongs to Copernicus itself, and to no author of a module."""
    return filename.startswith(_OURS) and not filename.startswith(_MODULES)


def author_line() -> str:
    """``file:line`` of the innermost frame that is an author's."""
    frame = inspect.currentframe()
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{_name(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else ""


# Asked for at every call of every replay, of the few files there are.
_name = lru_cache(lambda filename: Path(filename).name)


@dataclass(eq=False)
class BranchState:
    """One branch: its coroutine, how many awaits it has passed, and its open segment."""

    name: str
    coroutine: Coroutine[Any, Any, Any]
    passed: int = 0
    decisions: int = 0
    declarations: list[Declaration] = field(default_factory=list)
    outputs: dict[str, Source] = field(default_factory=dict)
    spawned: list[str] = field(default_factory=list)
    waits: Await | None = None
    ended: bool = False
    answer: Any = None
    result: Any = None

    def seal(
        self, waits: Await | None = None, ended: bool = False, failure: Failure | None = None
    ) -> Segment:
        """Close the open segment. What a failing segment declared counts for nothing."""
        kept = failure is None
        segment = Segment(
            branch=self.name,
            index=self.passed,
            declarations=tuple(self.declarations) if kept else (),
            outputs=dict(self.outputs) if kept else {},
            spawned=tuple(self.spawned) if kept else (),
            waits=waits,
            ended=ended,
            failure=failure,
        )
        self.declarations, self.outputs, self.spawned = [], {}, []
        self.waits, self.ended = waits, ended
        return segment


class Recorder:
    """The book of one evaluation."""

    def __init__(self, start: Start, spec: FunctionSpec) -> None:
        self.start = start
        self.spec = spec
        self.branches: dict[str, BranchState] = {}
        self.current: BranchState | None = None
        self.problem: BadDefinition | None = None
        self.fresh: list[BranchState] = []
        self.lines: dict[str, str] = {}

    def refuse(self, message: str) -> BadDefinition:
        """The error to raise; it fails the evaluation even if the author's code swallows it."""
        error = BadDefinition(message)
        if self.problem is None:
            self.problem = error
        return error

    @property
    def branch(self) -> BranchState:
        """The branch that runs now."""
        if self.current is None:
            raise self.refuse("the net is used after its evaluation has ended")
        return self.current

    def declare(self, declaration: Declaration) -> None:
        """Write down a call; its key must be new in this evaluation."""
        branch, name = self.branch, declaration.name
        if name in self.lines:
            raise self.refuse(
                f"key {name!r} is declared twice in one evaluation, first at "
                f"{self.lines[name]}: give every call a key of its own"
            )
        if len(self.lines) >= self.start.max_declarations:
            raise self.refuse(
                f"more than {self.start.max_declarations} calls are declared: is there an "
                "endless loop? Else raise the limit of the project"
            )
        self.lines[name] = author_line()
        branch.declarations.append(declaration)

    def bind(self, port: str, source: Source) -> None:
        """Write down where an output comes from."""
        self.branch.outputs[port] = source

    def decision(self) -> str:
        """The position of a decision that is no await."""
        branch = self.branch
        position = f"{branch.name}:c{branch.decisions}"
        branch.decisions += 1
        return position

    def open_root(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Begin with the root branch."""
        self._open(BranchState(ROOT, make()))

    def spawn(self, key: str, coroutine: Coroutine[Any, Any, Any]) -> BranchState:
        """Open a branch below the one that runs now."""
        parent = self.branch
        name = f"{parent.name}/{key}"
        if name in self.branches:
            coroutine.close()
            raise self.refuse(f"branch {key!r} is spawned twice: give every branch its own key")
        parent.spawned.append(name)
        return self._open(BranchState(name, coroutine))

    def _open(self, branch: BranchState) -> BranchState:
        self.branches[branch.name] = branch
        self.fresh.append(branch)
        return branch
