"""A world whose server may die at any commit, and that holds each event against the rules."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from copernicus.engine.core import fold
from copernicus.engine.snapshot import dump, load
from copernicus.engine.state import ProjectState
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.reports import Report
from support import engine_rules as rules
from support.engine_rules import TASKS
from support.workflows import FUNCTIONS, SPECS
from support.world import World

Name = tuple[str, str, int]
# How often an attempt to commit something is a death, before it or after it.
RATE = 0.04


class Crash(BaseException):
    """The server died."""


class StormWorld(World):
    """A world whose server may die at any commit. Activations have names that survive that."""

    def __init__(self, crashes: Random | None) -> None:
        super().__init__(*SPECS, *TASKS, workflows={f.body.__name__: f for f in FUNCTIONS})
        self.crashes = crashes
        self.steps = self.deaths = 0
        self.names: dict[str, Name] = {}
        self.ids: dict[Name, str] = {}
        self._fired: dict[tuple[str, str], int] = {}
        self._effects: set[tuple[str, str]] = set()
        self._firsts: set[tuple[str, str, str]] = set()
        self._committed = False

    def edit(self, *edits: ed.Edit, author: str = "ann") -> list[ev.Event]:
        self.steps += 1
        return super().edit(*edits, author=author)

    def report(self, report: Report) -> list[ev.Event]:
        self.steps += 1
        return super().report(report)

    def _commit(self, events: list[ev.Event]) -> None:
        self._maybe_die()
        super()._commit(events)
        for event in events:
            self._note(event)
        self._committed = True
        self._maybe_die()

    def _recall(self) -> ProjectState:
        """From the whole journal, or from a snapshot that was taken at any point of it."""
        if self.crashes is None or self.crashes.random() < 0.5:
            return super()._recall()
        taken = self.crashes.randint(0, len(self.journal))
        snapshot = load(dump(fold(self.journal[:taken])))
        assert snapshot is not None
        return fold(self.journal[taken:], snapshot)

    def _maybe_die(self) -> None:
        if self.crashes is not None and self.crashes.random() < RATE / 2:
            raise Crash

    def _note(self, event: ev.Event) -> None:
        """An activation ends once, its result is taken once, its job is made once."""
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
            case ev.Decided(kind="first", path=path, eid=eid, position=position):
                assert (path, eid, position) not in self._firsts, "decided twice (5.1)"
                self._firsts.add((path, eid, position))
            case ev.DecisionLapsed(path=path, eid=eid, position=position):
                self._firsts.discard((path, eid, position))
            case ev.InstanceRemoved(path=path):
                self._firsts = {one for one in self._firsts if not one[0].startswith(path)}
            case ev.InstanceRetired(path=path):
                rules.only_what_was_passed_is_retired(self.state, path)
            case ev.AwaitAnswered():
                rules.nothing_stale_led_to(self.state, event)
        assert self._effects.isdisjoint(told), told
        self._effects.update(told)

    def suffer(self, act: Callable[[World], object]) -> None:
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
