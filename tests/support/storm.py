"""A project in a storm: random edits and completions, crashes at every commit, all by one seed.

Everything happens to two projects: in one the server dies again and again, before a commit or
after it, and evaluators are lost; in the other nothing of the kind. Both see the same edits and
the same completions, so they must tell the same story.

A storm ``alone`` has the first only. There, steps may fire few activations each, and what
evaluators and the queue say comes late and in any order between them: what follows from that
hangs on when it comes, so that there is no second one to be like.

What happens is in ``storm_actions``, what must hold of every project in ``engine_rules``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from copernicus.errors import UserError
from copernicus.model import edits as ed
from copernicus.model.document import NetworkDocument
from copernicus.model.jobs import AttemptRecord
from copernicus.model.reports import JobEnded, Report
from support import engine_rules as rules
from support.engine_rules import compute
from support.storm_world import StormWorld
from support.story import difference, story
from support.world import World

LENGTH = 150
FULL_CHECK = 50
HOUR = 3600.0

Action = Callable[["Storm"], object]


class ForkedError(Exception):
    """The stories may part here: an evaluation of several branches failed in one of them.

    How far the others had come is a matter of order, and they go no further.
    """


class Storm:
    """One seed's story: ``run`` it; what it did is in ``steps`` and ``met``."""

    def __init__(self, seed: int, *, alone: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.alone = alone
        self.rough = StormWorld(Random(seed + 1), slow=alone and self.random.random() < 0.7)
        self.calm = self.rough if alone else StormWorld(None)
        self.worlds = (self.rough,) if alone else (self.calm, self.rough)
        if alone and self.random.random() < 0.5:
            self.rough.limit = self.random.randint(1, 3)
        # What there was before and may be again: networks, and instances that were taken out.
        self.documents: list[dict[StormWorld, NetworkDocument]] = []
        self.gone: dict[str, Sequence[ed.Edit]] = {}
        # The attempt and the number of the last news of jobs that told what they have so far.
        self.news: dict[str, tuple[int, int]] = {}
        self.versions: Counter[str] = Counter()

    @property
    def steps(self) -> int:
        return sum(world.steps for world in self.worlds)

    @property
    def deaths(self) -> int:
        return self.rough.deaths

    @property
    def met(self) -> Counter[str]:
        """What has happened, by name, and how often."""
        return sum((world.met for world in self.worlds), Counter())

    def run(self, actions: Sequence[tuple[Action, int]]) -> None:
        length = 2 * LENGTH if self.alone else LENGTH
        kinds, weights = zip(*actions, strict=True)
        try:
            for number in range(length):
                self.random.choices(kinds, weights)[0](self)
                self._check(full=number % FULL_CHECK == FULL_CHECK - 1)
            self._come_to_an_end()
        except ForkedError:
            self._check_each()

    # --- what happens to both ----------------------------------------------------------------

    def both(self, act: Callable[[StormWorld], object]) -> None:
        """Do something to the calm project, then to the rough one, whatever dies meanwhile."""
        for world in self.worlds:
            world.suffer(act)
        self._look_for_forks()

    def report(self, activation: str, make: Callable[[str], Report]) -> None:
        """Tell both about a job of the calm project; ``make`` takes its name in each."""
        name = self.calm.names[activation]
        self.both(lambda world: world.report(make(world.ids[name])))

    def attempt(self, *edits: ed.Edit, reuse: bool = False) -> bool:
        """A transaction; both must accept or refuse it, and a refused one changes nothing."""
        return self.attempt_each(dict.fromkeys(self.worlds, edits), reuse=reuse)

    def attempt_each(
        self, edits: dict[StormWorld, Sequence[ed.Edit]], *, reuse: bool = False
    ) -> bool:
        """As ``attempt``, where the edits name what has another number in each project."""
        accepted = {_accepts(world, edits[world], reuse=reuse) for world in self.worlds}
        assert len(accepted) == 1, f"refused by one, accepted by the other: {edits}"
        self._look_for_forks()
        return accepted.pop()

    def end_job(self, activation: str, **fields: Any) -> None:
        """The job of the calm project's activation ends in both."""
        attempts = (AttemptRecord(1, "w", "", "1", 1, 0.0, HOUR, "completed"),)

        def end(world: StormWorld) -> None:
            same = world.ids[self.calm.names[activation]]
            world.queue.pop(same, None)
            world.report(JobEnded(same, attempts=attempts, **fields))

        self.both(end)

    def finish(self, activation: str) -> None:
        """Its job ends with what its function gives."""
        made = self.calm.state.activations[activation]
        assert made.job is not None
        self.end_job(activation, outputs=compute(made.job.function, made.inputs))

    def _look_for_forks(self) -> None:
        for world in () if self.alone else self.worlds:
            if world.broke and any(
                element.evaluation is not None
                and element.evaluation.failure is not None
                and len(element.evaluation.branches) > 1
                for instance in world.state.instances.values()
                for element in instance.elements.values()
            ):
                raise ForkedError
            world.broke = False

    # --- looking -----------------------------------------------------------------------------

    def _check(self, *, full: bool) -> None:
        rules.one_open_activation_each(self.rough)
        if not full:
            return
        self._hear_all()
        self._check_each()
        if not self.alone:
            told = [story(world.state, world.names) for world in self.worlds]
            assert told[0] == told[1], difference(*told)

    def _check_each(self) -> None:
        for world in self.worlds:
            world.check_as_read()
            for rule in rules.OF_EVERY_STATE:
                rule(world.state)
            rules.what_is_taken_is_streamed(world)

    def _come_to_an_end(self) -> None:
        """Everything is let go, done and tried again, until no more follows."""
        self.attempt(ed.SetBudget({"queued": None, "core_hours": None, "instances": None}))
        self.attempt(ed.Resume())
        self.attempt(ed.Activate())
        for path, instance in sorted(self.calm.state.instances.items()):
            if instance.owner is not None and instance.held:
                self.attempt(ed.Activate(path))
        for _ in range(30):
            self._finish_all()
            for path in rules.waits_for_an_upgrade(self.calm.state):
                self.attempt(ed.Upgrade(path))
            self.attempt(ed.Retry("", failed=True))
            self._hear_all()
            if not self.calm.queue:
                break
        # A workflow that fails whenever it is tried has work to be retried for ever.
        self._finish_all()
        self._check(full=True)
        self.rough.check()
        rules.all_is_done(self.rough)

    def _hear_all(self) -> None:
        """Whatever was said has arrived, also what is said again after a death."""
        while any(world.mail for world in self.worlds):
            self.both(lambda world: world.deliver_all())

    def _finish_all(self) -> None:
        self._hear_all()
        while self.calm.queue:
            self.finish(next(iter(self.calm.queue)))
            self._hear_all()


def _accepts(world: StormWorld, edits: Sequence[ed.Edit], *, reuse: bool) -> bool:
    before = len(world.journal)

    def edit(world: World) -> None:
        world.edit(*edits, reuse=reuse)

    try:
        world.suffer(edit)
    except UserError:
        assert len(world.journal) == before
        return False
    return True
