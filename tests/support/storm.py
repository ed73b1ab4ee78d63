"""A project in a storm: random edits and completions, crashes at every commit, all by one seed.

Everything happens to two projects: in one the server dies again and again, before a commit or
after it, and evaluators are lost; in the other nothing of the kind. Both see the same edits and
the same completions, so they must tell the same story. Every fourth storm has the first only, in
steps that fire few activations each: what they take of something that is to be tried again hangs
on which step that comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from copernicus.errors import UserError
from copernicus.model import edits as ed
from copernicus.model.jobs import Failure
from copernicus.model.reports import JobEnded
from support import engine_rules as rules
from support.engine_rules import BEHIND, NAMES, TASKS, WORKFLOWS, compute
from support.storm_world import StormWorld
from support.story import difference, story
from support.world import World

LENGTH = 150
FULL_CHECK = 50


class ForkedError(Exception):
    """The stories may part here: an evaluation of several branches failed in one of them.

    How far the others had come is a matter of order, and they go no further.
    """


class Storm:
    """One seed's story: ``run`` it; what it did is in ``steps`` and ``deaths``."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.rough = StormWorld(Random(seed + 1))
        self.alone = seed % 4 == 0
        self.rough.limit = self.random.randint(1, 3) if self.alone else None
        self.calm = self.rough if self.alone else StormWorld(None)

    @property
    def steps(self) -> int:
        return self.rough.steps + (0 if self.alone else self.calm.steps)

    @property
    def deaths(self) -> int:
        return self.rough.deaths

    def run(self, length: int = LENGTH) -> None:
        actions, weights = zip(*ACTIONS, strict=True)
        self._attempt(*_new("ad", "w.adaptive", starts=[1], generations=2))
        try:
            for number in range(length):
                action = self.random.choices(actions, weights)[0]
                action(self)
                self._check(full=number % FULL_CHECK == FULL_CHECK - 1)
            self._come_to_an_end()
        except ForkedError:
            self._check_each()

    # --- what happens to both ----------------------------------------------------------------

    def _both(self, act: Callable[[World], object]) -> None:
        if not self.alone:
            act(self.calm)
        self.rough.suffer(act)
        self._look_for_forks()

    def _look_for_forks(self) -> None:
        for world in () if self.alone else (self.calm, self.rough):
            for instance in world.state.instances.values():
                for element in instance.elements.values():
                    found = element.evaluation
                    if found is not None and found.failure is not None and len(found.branches) > 1:
                        raise ForkedError

    def _attempt(self, *edits: ed.Edit) -> None:
        """A transaction; both must accept or refuse it, and a refused one changes nothing."""
        accepted = [self._accepts(world, edits) for world in dict.fromkeys((self.calm, self.rough))]
        assert len(set(accepted)) == 1, f"refused by one, accepted by the other: {edits}"
        self._look_for_forks()

    def _accepts(self, world: StormWorld, edits: Sequence[ed.Edit]) -> bool:
        before = len(world.journal)
        try:
            world.suffer(lambda at: at.edit(*edits))
        except UserError:
            assert len(world.journal) == before
            return False
        return True

    def _report(self, activation: str, **fields: Any) -> None:
        name = self.calm.names[activation]

        def report(world: World) -> None:
            assert isinstance(world, StormWorld)
            same = world.ids[name]
            world.queue.pop(same, None)
            world.report(JobEnded(same, **fields))

        self._both(report)

    # --- looking -----------------------------------------------------------------------------

    def _check(self, *, full: bool) -> None:
        rules.one_open_activation_each(self.rough)
        if not full:
            return
        self._check_each()
        told = [story(world.state, world.names) for world in (self.calm, self.rough)]
        assert told[0] == told[1], difference(*told)

    def _check_each(self) -> None:
        for world in (self.rough, self.calm):
            world.check()
            rules.nothing_that_could_fire_is_idle(world.state)
            rules.no_evaluation_is_left_behind(world.state)
            rules.current_outputs_are_what_their_functions_give(world.state)
            rules.what_is_current_rests(world.state)
            rules.every_output_has_a_trace(world.state)

    def _come_to_an_end(self) -> None:
        self._attempt(ed.Resume())
        self._attempt(ed.Activate())
        for _ in range(30):
            self._finish_all()
            self._attempt(ed.Retry("", failed=True))
            if not self.calm.queue:
                break
        # A workflow that fails whenever it is tried has work to be retried for ever.
        self._finish_all()
        self._check(full=True)
        rules.all_is_done(self.rough)

    def _finish_all(self) -> None:
        while self.calm.queue:
            self._finish(next(iter(self.calm.queue)))

    # --- actions -----------------------------------------------------------------------------

    def _name(self) -> str:
        return self.random.choice(NAMES)

    def _small(self) -> int:
        return self.random.randrange(4)

    def _smalls(self, least: int, most: int) -> list[int]:
        return [self._small() for _ in range(self.random.randint(least, most))]

    def add(self) -> None:
        function = self.random.choice(TASKS)
        ports = (function.inputs[0].name,) if self.random.random() < 0.5 else ()
        self._attempt(ed.AddInstance(self._name(), function.name, ports, held=False))

    def set_value(self) -> None:
        port = self.random.choice(("x", "z", "n"))
        self._attempt(ed.SetInput(f"{self._name()}.in.{port}", self._small()))

    def set_list(self) -> None:
        port = self.random.choice(("x", "xs"))
        self._attempt(ed.SetInput(f"{self._name()}.in.{port}", self._smalls(0, 4)))

    def connect(self) -> None:
        source = self.random.choice((*NAMES, "ad"))
        output = "model" if source == "ad" else "y"
        part = self.random.choice(("", "", "[0]"))
        port = self.random.choice(("x", "z", "xs", "xs[+]", "x[+]", "x[0]"))
        self._attempt(ed.Connect(f"{source}.out.{output}{part}", f"{self._name()}.in.{port}"))

    def edit_part(self) -> None:
        port, part = self.random.choice(("x", "xs", "z")), self.random.choice(("", "[0]", "[1]"))
        target = f"{self._name()}.in.{port}{self.random.choice((part, '[+]'))}"
        clear = self.random.random() < 0.4
        self._attempt(ed.ClearInput(target) if clear else ed.SetInput(target, self._small()))

    def zip_two(self) -> None:
        to = self._name()
        self._attempt(
            ed.RemoveInstance(to),
            ed.AddInstance(to, "m.two", ("x", "z"), held=False),
            ed.Connect(f"{self._name()}.out.y", f"{to}.in.x"),
            ed.Connect(f"{self._name()}.out.y", f"{to}.in.z"),
        )

    def steer(self) -> None:
        path, function, inputs = self.random.choice(STEERED)
        given = {port: draw(self) for port, draw in inputs.items()}
        if "at_least" in given:
            given["at_least"] = min(given["at_least"], len(given["starts"]))
        if path not in self.calm.state.instances:
            self._attempt(*_new(path, function, **given))
        elif given:
            self._attempt(*(ed.SetInput(f"{path}.in.{p}", v) for p, v in given.items()))

    def feed(self) -> None:
        """Workflows and ``Latest`` ports behind what other instances give."""
        source = self.random.choice((*NAMES, "ad"))
        output = f"{source}.out.{'model' if source == 'ad' else 'y'}"
        if "fol" not in self.calm.state.instances:
            for path, function, mapped in FED:
                self._attempt(ed.AddInstance(path, function, mapped, held=False))
        targets = ("fol.in.conf", "new.in.xs", "fed.in.conf", "sin.in.conf", "sin.in.conf[+]")
        self._attempt(ed.Connect(output, self.random.choice(targets)))

    def command(self) -> None:
        what = self.random.choice((ed.Hold, ed.Activate, ed.Cancel, ed.Skip, ed.Retry))
        self._attempt(what(self.random.choice((*NAMES, *WORKFLOWS, *BEHIND))))

    def reorganise(self) -> None:
        name = self._name()
        remove = self.random.random() < 0.5
        self._attempt(ed.RemoveInstance(name) if remove else ed.RenameInstance(name, self._name()))

    def act_inside(self) -> None:
        inside = sorted(p for p in self.calm.state.instances if "/" in p)
        if inside:
            path = self.random.choice(inside)
            self._attempt(ed.Skip(path) if self.random.random() < 0.25 else ed.Retry(path))

    def pause_or_resume(self) -> None:
        self._attempt(ed.Resume() if self.calm.state.paused else ed.Pause())

    def complete(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            if not self.calm.queue:
                return
            activation = self.random.choice(list(self.calm.queue))
            if self.random.random() < 0.15:
                self._report(activation, failure=Failure("broken"))
            else:
                self._finish(activation)

    def _finish(self, activation: str) -> None:
        job = self.calm.state.activations[activation].job
        assert job is not None
        assert job.task is not None
        self._report(activation, outputs=compute(job.function, job.task.inputs))

    def late_result(self) -> None:
        if self.calm.cancelled:
            self._finish(self.random.choice(self.calm.cancelled))

    def lose_evaluators(self) -> None:
        def evict(world: World) -> None:
            for path, eid in list(world.evaluations):
                world.evict(path, eid)

        self.rough.suffer(evict)

    def crash(self) -> None:
        self.rough.suffer(lambda world: world.restart())


def _new(path: str, function: str, **inputs: Any) -> Sequence[ed.Edit]:
    values = (ed.SetInput(f"{path}.in.{port}", value) for port, value in inputs.items())
    return (ed.AddInstance(path, function, held=False), *values)


def _starts(storm: Storm) -> list[int]:
    return storm._smalls(1, 3)


def _kind(storm: Storm) -> str:
    return storm.random.choice(("md", "sum"))


def _how(storm: Storm) -> str:
    return storm.random.choice(("at_least", "first", "settle", "output"))


def _few(storm: Storm) -> int:
    return storm.random.randint(1, 2)


STEERED: tuple[tuple[str, str, dict[str, Callable[[Storm], Any]]], ...] = (
    ("ad", "w.adaptive", {"generations": Storm._small, "starts": _starts}),
    ("ad", "w.adaptive", {"generations": Storm._small}),
    ("shi", "w.shifty", {"kind": _kind}),
    ("out", "w.outer", {"starts": _starts}),
    ("tol", "w.tolerant", {"starts": _starts}),
    ("ord", "w.ordered", {"starts": _starts}),
    ("hal", "w.halves", {"starts": _starts}),
    ("rac", "w.racing", {"starts": _starts, "at_least": _few}),
    ("asy", "w.asynchronous", {"walkers": _few, "rounds": _few}),
    ("two", "w.two_branches", {}),
    ("joi", "w.joining", {}),
    ("som", "w.sometimes", {"on": lambda s: s.random.random() < 0.5}),
    ("wan", "w.wandering", {"late": lambda s: s.random.random() < 0.5}),
    ("ref", "w.referring", {"how": _how}),
    ("con", "w.connected", {"kind": _kind}),
    ("later", "w.nested_later", {"conf": Storm._small}),
    ("nes", "w.nested", {"n": Storm._small}),
    ("sot", "w.some_twice", {"n": Storm._small}),
    ("end", "w.at_the_end", {"n": Storm._small}),
)
FED = (
    ("fol", "w.following", ()),
    ("new", "m.newest", ()),
    ("sin", "w.single", ("conf",)),
    ("fed", "w.single", ()),
)
ACTIONS: tuple[tuple[Callable[[Storm], None], int], ...] = (
    (Storm.add, 8),
    (Storm.set_value, 6),
    (Storm.set_list, 6),
    (Storm.connect, 8),
    (Storm.edit_part, 6),
    (Storm.zip_two, 1),
    (Storm.steer, 10),
    (Storm.feed, 3),
    (Storm.command, 8),
    (Storm.reorganise, 2),
    (Storm.act_inside, 4),
    (Storm.pause_or_resume, 2),
    (Storm.complete, 40),
    (Storm.late_result, 3),
    (Storm.lose_evaluators, 2),
    (Storm.crash, 1),
)
