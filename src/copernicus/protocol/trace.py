"""Where a value comes from, as a list of activations that name one another: no part twice."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.jobs import AttemptRecord, Failure


class TraceStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One activation: what ran, on what, where, how it ended.

    ``inputs`` are the values that were set by hand or by default (``units``: their units);
    ``origins`` names, for the
    others, the activations that made them. ``declared_by`` is the evaluation that placed it,
    ``looked_at`` are the activations whose values an evaluation awaited, ``decisions`` what it
    decided once. ``parent`` is the activation whose checkpoint it continued, ``reused`` the one
    whose result it took instead of running.
    ``dropped`` says when files of what it gave were removed by a rule of retention; ``outputs`` are
    then their names, sizes and SHA-256 (as plain files), by port.
    """

    activation: str
    path: str
    function: str
    version: str
    outcome: str
    digest: str
    kind: str = ""
    module: str = ""
    inputs: dict[str, Any] = {}
    units: dict[str, str] = {}
    origins: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    job: str = ""
    program: str = ""
    attempts: tuple[AttemptRecord, ...] = ()
    parent: str = ""
    superseded_by: str = ""
    reused: str = ""
    failure: Failure | None = None
    declared_by: str = ""
    looked_at: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    dropped: float = 0.0
    outputs: dict[str, Any] = {}


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The trace of what stands at ``path``: made by ``roots``; each step stands in ``steps`` once.

    Activations that are named but not among the steps lie deeper than was asked for.
    ``left_out`` is everything that the result lacks, from here to the farthest origin.
    """

    path: str
    state: str
    roots: tuple[str, ...]
    steps: dict[str, TraceStep]
    left_out: tuple[str, ...] = ()
    came_from: tuple[str, ...] = ()

    @property
    def root(self) -> TraceStep:
        """The activation that made the value (the first one of a list's)."""
        return self.steps[self.roots[0]]

    @property
    def function(self) -> str:
        """The function that made the value."""
        return self.root.function

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts at the job that made the value."""
        return self.root.attempts
