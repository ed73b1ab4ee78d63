"""The engine of a project in memory, and its outside, which is carried out here and now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from copernicus.blobs import BlobStore
from copernicus.engine.core import create_project, effects_of, submit_edits, submit_report
from copernicus.errors import CopernicusError
from copernicus.evaluator.runner import Evaluation
from copernicus.evaluator.service import describe
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.effects import (
    CancelJob,
    DescribeJob,
    Effect,
    EndEvaluation,
    Evaluate,
    HoldQueue,
    QueueJob,
    SendAnswer,
    StreamJob,
)
from copernicus.model.evaluation import Rest, Start
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure
from copernicus.model.reports import Described, JobEnded, JobStopped, Report, Rested
from copernicus.model.values import File
from copernicus.registry import Registered
from copernicus.sdk import files as sdk_files
from copernicus.sdk.calling import outputs_of
from copernicus.sdk.convert import revive
from copernicus.sdk.functions import Function
from copernicus.testing.courses import Course, check
from copernicus.testing.jobs import Done, Jobs

StandIn = Callable[..., Any]
AUTHOR = "author"


class World:
    """A project's state with its journal, its queue, its evaluations, its files.

    Everything is done in the order in which it is wanted, one thing after the other.
    """

    def __init__(
        self,
        folder: Path,
        blobs: BlobStore,
        functions: Mapping[str, Registered],
        jobs: Jobs,
        stand_ins: Mapping[str, StandIn],
        seed: int,
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._functions = functions
        self._catalog = {name: found.spec for name, found in functions.items()}
        self._jobs = jobs
        self._stand_ins = stand_ins
        self.state, self.journal = create_project("test", "test", AUTHOR, seed)
        self._effects: deque[Effect] = deque()
        self._queue: dict[str, QueueJob] = {}
        self._on_hold = False
        self._evaluations: dict[tuple[str, str], Evaluation] = {}
        self._courses: dict[tuple[str, str], Course] = {}
        self._over: list[Course] = []

    def submit(self, edits: Sequence[ed.Edit]) -> None:
        """A user's transaction."""
        self._took(submit_edits(self.state, edits, AUTHOR, self._catalog))

    def step(self) -> bool:
        """Do one thing that is wanted; whether there was any."""
        if self._effects:
            self._carry_out(self._effects.popleft())
            return True
        if not self._queue or self._on_hold:
            return False
        activation = next(iter(self._queue))
        self._work(activation, self._queue.pop(activation))
        return True

    def check_courses(self, *, elsewhere: bool) -> None:
        """Take again what evaluations did that are not over, or have ended since the last time.

        Raises:
            Departed: One became another.
        """
        courses = [*self._over, *self._courses.values()]
        self._over.clear()
        for course in courses:
            check(course, elsewhere=elsewhere)

    def local(self, file: File) -> sdk_files.File:
        """A stored file with a local copy."""
        target = self._folder / "files" / file.sha256 / file.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(self._blobs.read(file.sha256)))
        return sdk_files.File.at(file, target)

    def close(self) -> None:
        """End what runs."""
        for evaluation in self._evaluations.values():
            evaluation.close()
        self._jobs.close()

    # --- carrying out

    def _report(self, report: Report) -> None:
        self._took(submit_report(self.state, report, self._catalog))

    def _took(self, events: list[ev.Event]) -> None:
        self.journal.extend(events)
        self._effects.extend(effects_of(self.state, events))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case DescribeJob(activation=activation):
                self._describe(activation, effect)
            case QueueJob(activation=activation):
                self._queue[activation] = effect
            case CancelJob(activation=activation, version=version):
                self._queue.pop(activation, None)
                self._report(JobStopped(activation, version))
            case HoldQueue(on_hold=on_hold):
                self._on_hold = on_hold
            case StreamJob():
                pass  # jobs run from begin to end while nothing else happens
            case Evaluate(start=start):
                self._evaluate(start)
            case SendAnswer():
                self._answer(effect)
            case EndEvaluation(path=path, eid=eid, number=number):
                known = self._evaluations.get((path, eid))
                if known is not None and known.start.number <= number:
                    self._forget((path, eid))

    def _describe(self, activation: str, effect: DescribeJob) -> None:
        path = self.state.activations[activation].path
        name = self.state.instances[path].function
        function = self._functions[name]
        assert isinstance(function, Function)
        command, failure = describe(function, effect.inputs)
        self._report(Described(activation, command, failure))

    def _work(self, activation: str, job: QueueJob) -> None:
        made = self.state.activations[activation]
        stand_in = self._stand_ins.get(job.spec.function)
        if stand_in is None:
            done = self._jobs.run(made.path, job.spec)
        else:
            done = self._stand_in(made.path, job, stand_in, made.inputs)
            self._jobs.done.append(done)
        if done.failure is not None:
            self._report(JobEnded(activation, failure=done.failure))
        else:
            self._report(JobEnded(activation, outputs=dict(done.outputs)))

    def _stand_in(
        self, path: str, job: QueueJob, stand_in: StandIn, inputs: Mapping[str, Any]
    ) -> Done:
        spec = self._catalog.get(job.spec.function) or self._defined(path)
        try:
            returned = stand_in(**revive(dict(inputs), self.local))
            outputs = outputs_of(spec, returned, self._store)
        except Exception as error:  # noqa: BLE001 - a stand-in may fail as the real one does
            reason = error.message if isinstance(error, CopernicusError) else str(error)
            failure = Failure(reason or type(error).__name__)
            return Done(path, job.spec.function, self._folder, {}, failure)
        return Done(path, job.spec.function, self._folder, outputs)

    def _defined(self, path: str) -> FunctionSpec:
        return self.state.spec(self.state.instances[path])

    def _store(self, path: Path, name: str) -> File:
        manifest = self._blobs.put_file(path)
        return File(manifest.sha256, manifest.size, name)

    def _evaluate(self, start: Start) -> None:
        key = (start.path, start.eid)
        known = self._evaluations.get(key)
        if known is not None and known.start.number >= start.number:
            return
        self._forget(key)
        function = next(f for f in self._functions.values() if f.spec.entry == start.entry)
        assert isinstance(function, Function)
        evaluation = self._evaluations[key] = Evaluation(start, function)
        self._courses[key] = Course(function, start, list(start.answers))
        self._rest(key, evaluation.run())

    def _answer(self, effect: SendAnswer) -> None:
        key = (effect.path, effect.eid)
        known = self._evaluations.get(key)
        if known is not None and known.start.number == effect.number:
            self._courses[key].answers.append(effect.answer)
            self._rest(key, known.answer(effect.answer))

    def _rest(self, key: tuple[str, str], rest: Rest) -> None:
        self._courses[key].took(self._evaluations[key], rest)
        self._report(Rested(rest))

    def _forget(self, key: tuple[str, str]) -> None:
        evaluation = self._evaluations.pop(key, None)
        if evaluation is not None:
            evaluation.close()
            self._over.append(self._courses.pop(key))
