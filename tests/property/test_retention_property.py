"""Whatever is edited, run and removed: nothing that is used goes, and all comes to the same end."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import msgspec

from copernicus.engine import retention
from copernicus.engine.retention import Kept
from copernicus.engine.transaction import unwanted
from copernicus.errors import UserError
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.effects import Effect, Evaluate
from copernicus.model.retention import Retention
from copernicus.model.values import File, files_in
from copernicus.sdk import Net, workflow
from support.world import World, task_spec

STEPS, SEEDS = 80, 24
RULES = (
    Retention(0.0),
    Retention(None, {"m.two": 0.0}),
    Retention(0.0, {"m.two.out.a": None}),
)
TASKS = (
    task_spec("m.two", "x", "a b"),
    task_spec("m.look", "x", "y"),
    task_spec("m.both", "x z", "y"),
)
_SOURCES = (ev.InputSet, ev.PinSet, ev.ItemAppended, ev.ItemReplaced)


@workflow(outputs={"y": Any})
async def loop(net: Net, n: int, x: Any):
    """Steps, each from what the one before gave; every second one from what it was told of it.

    Of what is made of it besides, it is told too, and does nothing with that.
    """
    last: Any = x
    for step in range(n):
        made = net.call("m.two", key=("step", step), x=last)
        seen = net.call("m.look", key=("look", step), x=made.out.b)
        net.output(y=made.out.a)
        if step % 2:
            await seen.out.y
        last = await made.out.b if step % 2 else made.out.a


def made_of(*things: object) -> dict[str, Any]:
    """A file whose content is what it was made of."""
    text = msgspec.json.encode(things)
    return File(hashlib.sha256(text).hexdigest(), len(text), "made").plain()


def hashes(value: Any) -> set[str]:
    return {file.sha256 for file in files_in(msgspec.to_builtins(value))}


class Disk(World):
    """A project with its files: a job is never given one that is not there."""

    def __init__(self) -> None:
        super().__init__(*TASKS, workflows={"w.loop": loop})
        self.catalog["w.loop"] = msgspec.structs.replace(loop.spec, name="w.loop")
        self.here: set[str] = set()
        self.sources: set[str] = set()
        self.went: set[str] = set()

    def _commit(self, events: list[ev.Event]) -> None:
        super()._commit(events)
        for event in events:
            if isinstance(event, _SOURCES):
                self.sources |= hashes(event)

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Evaluate(start):
                told = [answer.value for answer in start.answers]
                assert hashes(told) <= self.here, f"{start.path} is told of a file that went"
        super().carry_out(effect)

    def give(self, value: Any) -> Any:
        self.here |= hashes(value)
        return value

    def finish(self, activation: str) -> None:
        job = self.queue[activation].spec
        assert job.task is not None
        assert hashes(job.task.inputs) <= self.here, f"{activation} lacks a file that it needs"
        ports = ("a", "b") if job.function == "m.two" else ("y",)
        made = {port: self.give(made_of(job.function, port, job.task.inputs)) for port in ports}
        self.done(activation, **made)

    def collect(self, rules: Retention, now: float) -> None:
        """Remove what goes; what is seen in the network must be there afterwards."""
        waiting = {name for job in self.queue.values() for name in hashes(job.spec)}
        kept = Kept(
            is_named=lambda one: one in self.sources or one in waiting,
            is_gone=lambda one: one not in self.here,
            lines={},
        )
        since = {made.id: 0.0 for made in retention.unused(self.state, kept)}
        planned = retention.plan(self.state, rules, since, now, kept)
        before = self.seen()
        if planned.going:
            self._took(retention.drop(self.state, planned, now))
            self.here -= planned.going.keys()
            self.went |= planned.going.keys()
        assert not planned.going.keys() & (before | self.seen()), "what is seen was removed"
        assert self.sources <= self.here, "what was given was removed"
        again = retention.plan(self.state, rules, since, now, kept)
        assert again.going == {}, "one removal is all"

    def seen(self) -> set[str]:
        """Every file of what stands: values and their makers' inputs, those of work under way.

        A value is what a user sees at the path, whoever has made it.
        """
        found: set[str] = set()
        for path, instance in self.state.instances.items():
            if unwanted(self.state, instance):
                continue
            if not instance.mapped:
                for port in self.state.spec(instance).outputs:
                    found |= hashes(self.value(f"{path}.out.{port.name}"))
            for element in instance.listed():
                for name in (element.success, element.open, element.ended):
                    if name is not None:
                        made = self.state.activations[name]
                        found |= hashes(made.outputs) | hashes(made.inputs)
        return found


def change(random: Random, worlds: list[Disk]) -> None:
    """The same edit, or end of a job, for all of them."""
    pick = random.random()
    value = random.choice([1, 2, 3, made_of("given", random.randint(1, 3))])
    if pick < 0.25:
        edits: tuple[ed.Edit, ...] = (ed.SetInput("one.in.x", value),)
    elif pick < 0.4:
        edits = (ed.SetInput("many.in.x", random.sample([1, 2, 3, 4, 5], random.randint(1, 4))),)
    elif pick < 0.55:
        edits = (ed.SetInput("loop.in.n", random.choice([1, 1, 2, 3, 5])),)
        if random.random() < 0.5:
            # What it gave is shown, and stale, though its step may be retired.
            edits += (ed.SetInput("loop.in.x", value),)
    elif pick < 0.65:
        edits = (ed.SetInput("loop.in.x", value),)
    elif pick < 0.7:
        edits = (ed.SetInput("loops.in.x", random.sample([1, 2, 3], random.randint(1, 3))),)
    elif pick < 0.76:
        name = random.choice(["late", "look"])
        there = name in worlds[0].state.instances
        edits = (
            (ed.RemoveInstance(name),)
            if there
            else (
                ed.AddInstance(name, "m.look", (), held=random.random() < 0.3),
                ed.Connect(random.choice(["one.out.a", "loop.out.y"]), f"{name}.in.x"),
            )
        )
    else:
        count = random.randint(1, 8)
        for world in worlds:
            for name in list(world.queue)[:count]:
                world.finish(name)
        return
    reuse = random.random() < 0.5
    for world in worlds:
        world.give(value)
        try:
            world.edit(*edits, reuse=reuse)
        except UserError:
            continue


def outcome(world: Disk) -> dict[str, Any]:
    while world.queue:
        world.finish(next(iter(world.queue)))
    names = ("one.out.a", "one.out.b", "many.out.a", "both.out.y", "loop.out.y")
    return {name: world.value(name) for name in names}


def test_nothing_that_is_used_goes_and_all_comes_to_the_same_end():
    went = again = 0
    for seed in range(SEEDS):
        worlds = [Disk(), Disk()]
        for world in worlds:
            world.add("one", "m.two", x=1)
            world.add("many", "m.two", x=[1, 2, 3], mapped=["x"])
            world.add("both", "m.both", x="one.out.a", z="many.out.b")
            world.add("loop", "w.loop", n=2, x="one.out.b")
            world.add("loops", "w.loop", n=4, x=[1, 2], mapped=["x"])
        random, rules = Random(seed), RULES[seed % len(RULES)]
        frugal, generous = worlds
        for step in range(STEPS):
            change(random, worlds)
            if random.random() < 0.3:
                frugal.collect(rules, float(step + 1))
                frugal.check()
            if random.random() < 0.05:
                frugal.restart()
        assert outcome(frugal) == outcome(generous), f"seed {seed}"
        frugal.collect(rules, 1e9)
        frugal.check()
        went += len(frugal.went)
        again += len(frugal.state.activations) - len(generous.state.activations)
    assert went > 10 * SEEDS, "files went"
    assert again > 0, "and some were made again"
