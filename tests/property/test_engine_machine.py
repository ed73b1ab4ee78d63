"""Random projects under random edits, completions, failures, crashes: what must always hold.

After every step: the journal folds to the same facts and the same currency (``World.check``), one
activation at a time per element, nothing that could fire is left unfired, and every current output
is what its function gives on the values that its inputs hold now. At the end everything that is
wanted is done, and has the value of a direct computation.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from copernicus.engine.document import document_of, edits_between
from copernicus.errors import UserError
from copernicus.model import edits as ed
from copernicus.model.document import NetworkDocument
from copernicus.model.reports import JobEnded
from support import engine_rules as rules
from support.engine_rules import BEHIND, NAMES, TASKS, WORKFLOWS, compute
from support.workflows import FUNCTIONS, SPECS
from support.world import World

SMALL = st.integers(0, 3)


class EngineMachine(RuleBasedStateMachine):
    """A project with everything that tasks and one adaptive workflow can meet."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*SPECS, *TASKS, workflows={f.body.__name__: f for f in FUNCTIONS})
        self.stopped: list[tuple[str, str, dict[str, Any]]] = []
        self.documents: list[NetworkDocument] = []
        self.gone: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    @initialize(generations=st.integers(1, 3), starts=st.lists(SMALL, min_size=1, max_size=2))
    def a_workflow(self, generations: int, starts: list[int]) -> None:
        self.world.add("ad", "w.adaptive", starts=starts, generations=generations)

    def attempt(self, *edits: ed.Edit) -> None:
        before = len(self.world.journal)
        try:
            self.world.edit(*edits)
        except UserError:
            assert len(self.world.journal) == before

    @rule(name=st.sampled_from(NAMES), function=st.sampled_from(TASKS), mapped=st.booleans())
    def add(self, name: str, function: Any, mapped: bool) -> None:
        ports = (function.inputs[0].name,) if mapped else ()
        self.attempt(ed.AddInstance(name, function.name, ports, held=False))

    @rule(name=st.sampled_from(NAMES), port=st.sampled_from(("x", "z", "n")), value=SMALL)
    def set_value(self, name: str, port: str, value: int) -> None:
        self.attempt(ed.SetInput(f"{name}.in.{port}", value))

    @rule(
        name=st.sampled_from(NAMES),
        port=st.sampled_from(("x", "xs")),
        value=st.lists(SMALL, max_size=4),
    )
    def set_list(self, name: str, port: str, value: list[int]) -> None:
        self.attempt(ed.SetInput(f"{name}.in.{port}", value))

    @rule(
        to=st.sampled_from(NAMES),
        port=st.sampled_from(("x", "z", "xs", "xs[+]", "x[+]", "x[0]")),
        source=st.sampled_from((*NAMES, "ad")),
        part=st.sampled_from(("", "[0]")),
    )
    def connect(self, to: str, port: str, source: str, part: str) -> None:
        output = "model" if source == "ad" else "y"
        self.attempt(ed.Connect(f"{source}.out.{output}{part}", f"{to}.in.{port}"))

    @rule(
        name=st.sampled_from(NAMES),
        port=st.sampled_from(("x", "xs", "z")),
        part=st.sampled_from(("", "[0]", "[1]", "[+]")),
        value=SMALL,
        clear=st.booleans(),
    )
    def edit_part(self, name: str, port: str, part: str, value: int, clear: bool) -> None:
        target = f"{name}.in.{port}{part}"
        self.attempt(ed.ClearInput(target) if clear else ed.SetInput(target, value))

    @rule(kind=st.sampled_from(("md", "sum")), starts=st.lists(SMALL, max_size=3))
    def steer_others(self, kind: str, starts: list[int]) -> None:
        if "shi" not in self.world.state.instances:
            self.world.add("shi", "w.shifty", kind=kind)
            self.world.add("out", "w.outer", starts=starts)
            self.world.add("tol", "w.tolerant", starts=starts)
            return
        self.attempt(ed.SetInput("shi.in.kind", kind))
        self.attempt(ed.SetInput("out.in.starts", starts), ed.SetInput("tol.in.starts", starts))

    @rule(starts=st.lists(SMALL, min_size=1, max_size=3), at_least=st.integers(1, 2))
    def steer_races(self, starts: list[int], at_least: int) -> None:
        inputs = {"starts": starts, "at_least": min(at_least, len(starts))}
        if "rac" not in self.world.state.instances:
            self.world.add("rac", "w.racing", **inputs)
            self.world.add("two", "w.two_branches")
            self.world.add("joi", "w.joining")
            return
        self.attempt(*(ed.SetInput(f"rac.in.{port}", given) for port, given in inputs.items()))

    @rule(how=st.sampled_from(("at_least", "first", "settle", "output")), kind=st.booleans())
    def steer_references(self, how: str, kind: bool) -> None:
        which = "md" if kind else "sum"
        if "ref" not in self.world.state.instances:
            self.world.add("ref", "w.referring", how=how)
            self.world.add("con", "w.connected", kind=which)
            self.world.add("later", "w.nested_later", conf=1)
            return
        self.attempt(ed.SetInput("ref.in.how", how), ed.SetInput("con.in.kind", which))

    @rule(n=st.integers(0, 3))
    def steer_nested(self, n: int) -> None:
        if "end" not in self.world.state.instances:
            self.world.add("nes", "w.nested", n=n)
            self.world.add("end", "w.at_the_end", n=n)
            return
        self.attempt(ed.SetInput("nes.in.n", n), ed.SetInput("end.in.n", n))
        self.attempt(ed.SetInput("later.in.conf", n))

    @rule(source=st.sampled_from((*NAMES, "ad")), mapped=st.booleans())
    def feed(self, source: str, mapped: bool) -> None:
        """Workflows and ``Latest`` ports behind what other instances give."""
        output = f"{source}.out.{'model' if source == 'ad' else 'y'}"
        if "fol" not in self.world.state.instances:
            self.world.edit(ed.AddInstance("fol", "w.following", held=False))
            self.world.edit(ed.AddInstance("new", "m.newest", held=False))
            self.world.edit(ed.AddInstance("sin", "w.single", ("conf",), held=False))
            self.world.edit(ed.AddInstance("fed", "w.single", held=False))
        for target in ("fol.in.conf", "new.in.xs", "fed.in.conf"):
            self.attempt(ed.Connect(output, target))
        self.attempt(ed.Connect(output, "sin.in.conf" if mapped else "sin.in.conf[+]"))

    @rule(to=st.sampled_from(NAMES), x=st.sampled_from(NAMES), z=st.sampled_from(NAMES))
    def zip_two(self, to: str, x: str, z: str) -> None:
        self.attempt(
            ed.RemoveInstance(to),
            ed.AddInstance(to, "m.two", ("x", "z"), held=False),
            ed.Connect(f"{x}.out.y", f"{to}.in.x"),
            ed.Connect(f"{z}.out.y", f"{to}.in.z"),
        )

    @rule(generations=st.integers(1, 4), starts=st.lists(SMALL, min_size=1, max_size=2))
    def steer(self, generations: int, starts: list[int]) -> None:
        self.attempt(
            ed.SetInput("ad.in.generations", generations), ed.SetInput("ad.in.starts", starts)
        )

    @rule(
        name=st.sampled_from((*NAMES, *WORKFLOWS, *BEHIND)),
        what=st.sampled_from((ed.Hold, ed.Activate, ed.Cancel, ed.Skip, ed.Retry)),
    )
    def command(self, name: str, what: Any) -> None:
        self.attempt(what(name))

    @rule(name=st.sampled_from(NAMES), new=st.sampled_from(NAMES), remove=st.booleans())
    def reorganise(self, name: str, new: str, remove: bool) -> None:
        self.attempt(ed.RemoveInstance(name) if remove else ed.RenameInstance(name, new))

    @rule(name=st.sampled_from((*NAMES, "ad", "two", "out", "later")), again=st.booleans())
    def take_out(self, name: str, again: bool) -> None:
        """Remove what is there, and put it back as it was, now or later."""
        found = self.world.state.instances.get(name)
        if found is not None:
            self.gone[name] = (found.function, found.mapped, dict(found.inputs))
            self.attempt(ed.RemoveInstance(name))
        if name in self.gone and again:
            function, mapped, inputs = self.gone[name]
            sources = [ed.SetSource(name, port, source) for port, source in inputs.items()]
            self.attempt(ed.AddInstance(name, function, mapped, held=False), *sources)

    @rule(which=st.integers(0, 20), remember=st.booleans())
    def revert(self, which: int, remember: bool) -> None:
        """Go back to a network that was there before, with the results that there were."""
        now = document_of(self.world.state)
        if remember or not self.documents:
            self.documents.append(now)
            return
        then = self.documents[which % len(self.documents)]
        edits = edits_between(now, then)
        try:
            if edits:
                self.world.edit(*edits, reuse=True)
        except UserError:
            return
        assert edits_between(document_of(self.world.state), then) == []

    @rule(name=st.sampled_from((*NAMES, "ad", "two")), new=st.sampled_from(NAMES))
    def copy(self, name: str, new: str) -> None:
        self.attempt(ed.CopyInstances({name: new}, held=False))

    @rule(which=st.integers(0, 50), name=st.sampled_from(NAMES), hold=st.booleans())
    def reach_inside(self, which: int, name: str, hold: bool) -> None:
        """Hold what is inside a workflow, or connect it to the top level."""
        inside = sorted(p for p in self.world.state.instances if "/" in p)
        if inside:
            path = inside[which % len(inside)]
            self.attempt(ed.Hold(path) if hold else ed.Activate(path))
            self.attempt(ed.Connect(f"{path}.out.y", f"{name}.in.x"))

    @rule(which=st.integers(0, 50))
    def act_inside(self, which: int) -> None:
        inside = sorted(p for p in self.world.state.instances if "/" in p)
        if inside:
            path = inside[which % len(inside)]
            self.attempt(ed.Skip(path) if which % 4 == 0 else ed.Retry(path))

    @rule(pause=st.booleans())
    def pause_or_resume(self, pause: bool) -> None:
        self.attempt(ed.Pause() if pause else ed.Resume())

    @precondition(lambda self: self.world.queue)
    @rule(which=st.integers(0, 20), fails=st.integers(0, 5), count=st.integers(1, 4))
    def complete(self, which: int, fails: int, count: int) -> None:
        for _ in range(count):
            if not self.world.queue:
                return
            activation = list(self.world.queue)[which % len(self.world.queue)]
            spec = self.world.queue[activation].spec
            if fails == 0:
                self.world.fails(activation)
            else:
                self.world.done(activation, **compute(spec.function, spec.task.inputs))

    @precondition(lambda self: self.world.cancelled)
    @rule(which=st.integers(0, 20))
    def late_result(self, which: int) -> None:
        activation = self.world.cancelled[which % len(self.world.cancelled)]
        job = self.world.state.activations[activation].job
        self.world.report(JobEnded(activation, outputs=compute(job.function, job.task.inputs)))

    @rule()
    def crash(self) -> None:
        self.world.restart()

    @rule()
    def evict(self) -> None:
        for path, eid in list(self.world.evaluations):
            self.world.evict(path, eid)

    @invariant()
    def all_rules_hold(self) -> None:
        self.world.check()
        rules.one_open_activation_each(self.world)
        rules.nothing_that_could_fire_is_idle(self.world.state)
        rules.no_evaluation_is_left_behind(self.world.state)
        rules.current_outputs_are_what_their_functions_give(self.world.state)

    def teardown(self) -> None:
        w = self.world
        self.attempt(ed.Resume())
        self.attempt(ed.Activate())
        inside = [p for p, i in w.state.instances.items() if i.owner and i.held]
        self.attempt(*(ed.Activate(path) for path in inside))
        for _ in range(30):
            w.work(compute)
            self.attempt(ed.Retry("", failed=True))
            if not w.queue:
                break
        w.check()
        rules.nothing_that_could_fire_is_idle(w.state)
        rules.current_outputs_are_what_their_functions_give(w.state)
        rules.every_output_has_a_trace(w.state)
        rules.all_is_done(w)


EngineMachine.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
TestEngineMachine = EngineMachine.TestCase
