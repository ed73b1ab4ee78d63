"""A world whose server may die at any commit, and that holds each event against the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from random import Random
from typing import Any

import msgspec

from copernicus.engine.core import fold, take_over
from copernicus.engine.snapshot import dump, load
from copernicus.engine.state import ProjectState
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.effects import DescribeJob
from copernicus.model.evaluation import Rest
from copernicus.model.jobs import Command, Failure, Line
from copernicus.model.reports import Described, JobStopped, Report, Rested
from copernicus.sdk import Module, Net, workflow
from support import engine_rules as rules
from support.engine_rules import PROGRAMS, TASKS
from support.storm_cover import PLACE, names_of
from support.workflows import FUNCTIONS, SPECS
from support.world import World, check_same

Name = tuple[str, str, int]
# How often an attempt to commit something is a death, before it or after it.
RATE = 0.04
# How often a commit is followed by a snapshot, and a start reads the journal from its beginning.
SNAPSHOTS = 0.06
WHOLE = 0.08
# So many of the last rests may be said again.
REMEMBERED = 20


class Crash(BaseException):
    """The server died."""


def growing(number: int) -> Any:
    """Runs one after another, by one version of a module: every third one declares more."""

    async def growing(net: Net, n: int) -> None:
        value: Any = 0
        for step in range(n):
            value = await net.call("m.md", key=("md", step), conf=value).out.y
            if number % 3 == 2:
                net.call("m.sum", key=("more", step), xs=[value])
            net.output(y=value)

    made = workflow(outputs={"y": Any})(growing)
    return Module("w", version=str(number + 1), functions=[made]).functions["w.growing"]


# What another version may be installed of, in the course of a storm.
INSTALLABLE = ("m.one", "m.prog", "w.growing", "w.growing")


class StormWorld(World):
    """A world whose server may die at any commit. Activations have names that survive that.

    If it is ``slow``, what evaluators and the queue say lies in the ``mail`` until it is delivered.
    """

    def __init__(self, crashes: Random | None, *, slow: bool = False) -> None:
        functions = {f.body.__name__: f for f in FUNCTIONS} | {"growing": growing(0)}
        super().__init__(*SPECS, *TASKS, *PROGRAMS, workflows=functions)
        self.crashes = crashes
        self.slow = slow
        self.mail: list[tuple[Hashable, Report]] = []
        self.rests: list[Rest] = []
        self.steps = self.deaths = 0
        self.met: Counter[str] = Counter()
        self.broke = False
        self.names: dict[str, Name] = {}
        self.ids: dict[Name, str] = {}
        self._snapshot: tuple[int, bytes] | None = None
        # What one would know who read the journal along, and how far he has come.
        self._reader, self._read = fold([]), 0
        self._fired: dict[tuple[str, str], int] = {}
        self._effects: set[tuple[str, str]] = set()
        self._firsts: set[tuple[str, str, str]] = set()
        self._retired: set[str] = set()
        self._committed = False

    # --- what happens ------------------------------------------------------------------------

    def edit(self, *edits: ed.Edit, author: str = "ann", reuse: bool = False) -> list[ev.Event]:
        self.steps += 1
        made = super().edit(*edits, author=author, reuse=reuse)
        self.met.update(f"edit {type(edit).__name__}" for edit in edits)
        return made

    def report(self, report: Report) -> list[ev.Event]:
        self.steps += 1
        return super().report(report)

    def install(self, name: str, number: int) -> None:
        """The server is started again, with another version of a function's module."""
        if name == "w.growing":
            self.workflows["growing"] = growing(number)
            self.catalog[name] = self.workflows["growing"].spec
        else:
            version = str(number + 1)
            self.catalog[name] = msgspec.structs.replace(self.catalog[name], version=version)
        self.met["another version"] += 1
        self.restart()

    def move(self, *, resume: bool) -> None:
        """The project is loaded by a server that knows it from its journal."""
        self.steps += 1
        state = self.state
        told = ("elsewhere", state.project, state.name, state.owner, state.position)
        self._took(
            take_over(state, ev.ProjectLoaded(*told), "ann", self.catalog, resume=resume),
        )

    def restart(self) -> None:
        self.mail.clear()
        super().restart()

    def say_rests_again(self) -> None:
        """An evaluator that was slow, or begun twice, says what is known or fenced off already."""
        for rest in list(self.rests):
            instance = self.state.instances.get(rest.path)
            element = instance.elements.get(rest.eid) if instance else None
            found = element.evaluation if element else None
            if found is None or found.departure is not None:
                continue
            if found.version == rest.version or rest.number < found.number:
                self.report(Rested(rest))

    # --- what comes late ---------------------------------------------------------------------

    def deliver(self, random: Random, count: int) -> None:
        """Some of what was said arrives: in any order, but in its own from each who said it."""
        for _ in range(min(count, len(self.mail))):
            if self.mail:
                sender, _ = random.choice(self.mail)
                first = next(i for i, (one, _) in enumerate(self.mail) if one == sender)
                self.report(self.mail.pop(first)[1])

    def deliver_all(self) -> None:
        """Everything that was said has arrived."""
        while self.mail:
            self.report(self.mail.pop(0)[1])

    def _say(self, sender: Hashable, report: Report) -> None:
        if self.slow:
            self.mail.append((sender, report))
        else:
            self.report(report)

    def _rest(self, rest: Rest) -> None:
        self.rests = [*self.rests[1 - REMEMBERED :], rest]
        self._say((rest.path, rest.eid), Rested(rest))

    def _stopped(self, activation: str, version: int) -> None:
        self._say(activation, JobStopped(activation, version))

    def _describe(self, wanted: DescribeJob) -> None:
        again = self.names[wanted.activation][2] > 1
        if wanted.inputs["x"] == 3 and not again:
            self._say(wanted.activation, Described(wanted.activation, failure=Failure("of 3")))
        else:
            command = Command(lines=(Line(("prog", str(wanted.inputs["x"]))),))
            self._say(wanted.activation, Described(wanted.activation, command))

    # --- deaths ------------------------------------------------------------------------------

    def _commit(self, events: list[ev.Event]) -> None:
        self._maybe_die()
        super()._commit(events)
        for event in events:
            self._note(event)
        self._committed = True
        if self.state.backlog and not self.state.paused and self.limit is None:
            self.met[PLACE] += 1
        if self.crashes is not None and self.crashes.random() < SNAPSHOTS:
            self._snapshot = len(self.journal), dump(self.state)
        self._maybe_die()

    def _recall(self) -> ProjectState:
        """From the whole journal, or from a snapshot that was taken after any commit."""
        if self.crashes is None or self._snapshot is None or self.crashes.random() < WHOLE:
            return super()._recall()
        position, body = self._snapshot
        snapshot = load(body)
        assert snapshot is not None
        return fold(self.journal[position:], snapshot)

    def _maybe_die(self) -> None:
        if self.crashes is not None and self.crashes.random() < RATE / 2:
            raise Crash

    def suffer(self, act: Callable[[Any], object]) -> None:
        """Carry out ``act``; if the server dies, start it again, and repeat what was not kept."""
        self._committed = False
        while not self._committed:
            try:
                act(self)
            except Crash:
                self._recover()
            else:
                return

    def _recover(self) -> None:
        committed = self._committed
        while True:
            self.steps += 1
            self.deaths += 1
            try:
                self.restart()
            except Crash:
                continue
            self._committed = committed
            return

    # --- what must hold of each event --------------------------------------------------------

    def check_as_read(self) -> None:
        """What the journal tells one who reads it bit by bit; ``check`` reads it from its start."""
        self._reader = fold(self.journal[self._read :], self._reader)
        self._read = len(self.journal)
        check_same(self._reader, self.state)

    def _note(self, event: ev.Event) -> None:
        """An activation ends once, its result is taken once, its job is made once."""
        self.met.update(names_of(event))
        told: tuple[tuple[str, str], ...] = ()
        match event:
            case ev.ActivationOpened(id=name, path=path, eid=eid):
                number = self._fired[path, eid] = self._fired.get((path, eid), 0) + 1
                self.names[name] = (path, eid, number)
                self.ids[path, eid, number] = name
            case ev.ActivationEnded(id=name, outcome="succeeded"):
                told = ((name, "end"), (name, "result"))
            case ev.ActivationEnded(id=name):
                told = ((name, "end"),)
            case ev.ResultKept(id=name):
                told = ((name, "result"),)
            case ev.JobMade(activation=name):
                told = ((name, "job"),)
            case ev.EvaluationEnded():
                self.broke = self.broke or event.failure is not None
            case _:
                self._note_workflow(event)
        assert self._effects.isdisjoint(told), told
        self._effects.update(told)

    def _note_workflow(self, event: ev.Event) -> None:
        match event:
            case ev.Decided() | ev.DecisionLapsed() | ev.DecisionReopened():
                self._note_decision(event)
            case ev.InstanceRemoved(path=path):
                self._firsts = {one for one in self._firsts if not one[0].startswith(path)}
            case ev.InstanceRetired(path=path):
                rules.only_what_was_passed_is_retired(self.state, path)
                self._retired.add(path)
            case ev.InstanceDeclared(path=path) if path in self._retired:
                self._retired.discard(path)
                self.met["came back after it was retired"] += 1
            case ev.AwaitAnswered():
                rules.nothing_stale_led_to(self.state, event)

    def _note_decision(self, event: ev.Decided | ev.DecisionLapsed | ev.DecisionReopened) -> None:
        """What came first is decided once, until it lapses or something else is asked there."""
        at = (event.path, event.eid, event.position)
        if isinstance(event, ev.Decided) and event.kind == "first":
            assert at not in self._firsts, "decided twice (5.1)"
            self._firsts.add(at)
        else:
            self._firsts.discard(at)
