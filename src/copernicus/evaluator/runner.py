"""Runs one evaluation of a workflow function: branches that go on when they are answered.

There is no event loop: an await yields what it waits for, and the runner sends the answer in. All
branches that can go on do so, in the order in which they became able to, until all of them wait
for the engine; what they did since the last answer is a ``Rest``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Any

from copernicus.errors import BadDefinition, Conflict
from copernicus.evaluator.failures import failure_of, suspended_at
from copernicus.model.evaluation import ROOT, Answer, Await, Rest, Segment, Start
from copernicus.model.jobs import Failure
from copernicus.sdk.convert import arguments
from copernicus.sdk.functions import Function
from copernicus.sdk.net import Net
from copernicus.sdk.recording import BranchState, Recorder


class Evaluation:
    """One evaluation, from its start to its end or its failure."""

    def __init__(self, start: Start, function: Function[..., Any]) -> None:
        self.start = start
        self.failure: Failure | None = None
        self._function = function
        self._recorder = Recorder(start, function.spec)
        self._net = Net(self._recorder)
        self._recorded = {(answer.branch, answer.index): answer for answer in start.answers}
        self._ready: deque[BranchState] = deque()
        self._segments: list[Segment] = []
        self._code = function.body.__code__

    @property
    def ended(self) -> bool:
        """Whether it is over: every branch has ended, or one has failed."""
        branches = self._recorder.branches.values()
        return self.failure is not None or all(branch.ended for branch in branches)

    @property
    def lines(self) -> dict[str, str]:
        """The author's line at which each key was declared."""
        return dict(self._recorder.lines)

    def run(self) -> Rest:
        """Run from the start to the first rest (with recorded answers: to the recorded one)."""
        try:
            given = arguments(self._function.body, self._function.spec, self.start.inputs)
            self._recorder.open_root(lambda: self._function.body(self._net, **given))
        except Exception as error:  # noqa: BLE001 - the author's defaults and dataclasses run here
            self.failure = failure_of(error, self._code)
            self._segments.append(Segment(ROOT, 0, failure=self.failure))
        return self._rest()

    def answer(self, answer: Answer) -> Rest:
        """Go on where ``answer`` belongs, to the next rest.

        Raises:
            Conflict: Nothing waits for it.
        """
        branch = self._recorder.branches.get(answer.branch)
        if branch and branch.passed > answer.index:
            # Begun again with all that is recorded, it has had this answer already.
            return self._told(())
        waits = branch.waits if branch else None
        if self.failure or not branch or not waits or waits.kind == "branch":
            raise Conflict(f"branch {answer.branch} of {self.start.path} waits for no answer")
        if branch.passed != answer.index:
            raise Conflict(
                f"branch {answer.branch} of {self.start.path} waits at {branch.passed}, "
                f"not at {answer.index}"
            )
        self._resume(branch, answer.value)
        return self._rest()

    def close(self) -> None:
        """End it: nothing it still does counts."""
        self._recorder.current = None
        for branch in reversed(self._recorder.branches.values()):
            with contextlib.suppress(BaseException):
                branch.coroutine.close()

    def _rest(self) -> Rest:
        self._enlist()
        while self._ready and self.failure is None:
            self._advance(self._ready.popleft())
            self._enlist()
        self._check_progress()
        if self.failure is not None:
            self.close()
        segments, self._segments = tuple(self._segments), []
        return self._told(segments)

    def _told(self, segments: tuple[Segment, ...]) -> Rest:
        version = self._function.spec.version
        return Rest(self.start.path, self.start.eid, self.start.number, segments, version)

    def _check_progress(self) -> None:
        """Branches that wait only for one another would rest for ever, and nobody would know."""
        live = [branch for branch in self._recorder.branches.values() if not branch.ended]
        if self.ended or any(b.waits and b.waits.kind != "branch" for b in live):
            return
        names = ", ".join(branch.name for branch in live)
        line = suspended_at(live[0].coroutine, self._code)
        failure = Failure(f"the branches {names} wait for one another", "definition", where=line)
        self._fail(live[0], failure)

    def _enlist(self) -> None:
        self._ready.extend(self._recorder.fresh)
        self._recorder.fresh.clear()

    def _resume(self, branch: BranchState, value: Any) -> None:
        branch.passed += 1
        branch.waits = None
        branch.answer = value
        self._ready.append(branch)

    def _advance(self, branch: BranchState) -> None:
        """Run a branch to its next await, or its end."""
        self._recorder.current = branch
        answer, branch.answer = branch.answer, None
        try:
            request = branch.coroutine.send(answer)
        except StopIteration as stop:
            self._end(branch, stop.value)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the author's
            self._fail(branch, failure_of(self._recorder.problem or error, self._code))
        else:
            self._wait(branch, request)
        finally:
            self._recorder.current = None

    def _wait(self, branch: BranchState, request: Any) -> None:
        line = suspended_at(branch.coroutine, self._code)
        if self._recorder.problem is not None:
            self._fail(branch, failure_of(self._recorder.problem, self._code))
        elif not isinstance(request, Await):
            reason = (
                "awaits something that is no reference: a workflow function may wait only for "
                "references, branches and what the net offers, never for time or for I/O"
            )
            self._fail(branch, Failure(reason, "definition", where=line))
        else:
            self._segments.append(branch.seal(waits=request))
            self._go_on_if_known(branch, request)

    def _go_on_if_known(self, branch: BranchState, request: Await) -> None:
        if request.kind == "branch":
            if self._recorder.branches[request.branch or ROOT].ended:
                self._resume(branch, None)
            return
        recorded = self._recorded.pop((branch.name, branch.passed), None)
        if recorded is not None:
            self._resume(branch, recorded.value)

    def _end(self, branch: BranchState, result: Any) -> None:
        if branch.name == ROOT:
            try:
                self._net.output(**self._returned(result))
            except Exception as error:  # noqa: BLE001 - told as the author's failure
                self._fail(branch, failure_of(error, self._code))
                return
        if self._recorder.problem is not None:
            self._fail(branch, failure_of(self._recorder.problem, self._code))
            return
        branch.result = result
        self._segments.append(branch.seal(ended=True))
        for other in self._recorder.branches.values():
            if other.waits and other.waits.kind == "branch" and other.waits.branch == branch.name:
                self._resume(other, None)

    def _returned(self, result: Any) -> dict[str, Any]:
        """What the function returned, as outputs by port.

        A function with one output may also return that value itself.
        """
        ports = [port.name for port in self._function.spec.outputs]
        if result is None:
            return {}
        named: dict[str, Any] | None = None
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            named = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
        elif isinstance(result, Mapping):
            named = dict(result)
        if named and (len(ports) != 1 or set(named) <= set(ports)):
            return named
        if len(ports) == 1:
            return {ports[0]: result}
        raise BadDefinition(
            f"{self._function.spec.name} returned {type(result).__name__}: return a dict or a "
            "dataclass with its outputs, or nothing"
        )

    def _fail(self, branch: BranchState, failure: Failure) -> None:
        self.failure = failure
        self._segments.append(branch.seal(failure=failure))
