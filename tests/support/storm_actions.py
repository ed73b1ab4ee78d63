"""What happens in a storm, at random: edits of every kind, and what the outside tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from copernicus.engine.document import document_of, edits_between
from copernicus.engine.instances import Instance
from copernicus.model import edits as ed
from copernicus.model.jobs import Failure
from copernicus.model.reports import EvaluationBroke, JobEnded, PartialGiven, PartialWithdrawn
from copernicus.model.types import ListType
from support.engine_rules import BEHIND, NAMES, PROGRAMS, TASKS, WORKFLOWS
from support.storm import Action, Storm
from support.storm_world import INSTALLABLE, StormWorld

Edits = Sequence[ed.Edit]

# --- drawing ---------------------------------------------------------------------------------


def one_of(storm: Storm, among: Sequence[Any]) -> Any:
    return storm.random.choice(among)


def a_name(storm: Storm) -> str:
    return storm.random.choice(NAMES)


def small(storm: Storm) -> int:
    return storm.random.randrange(4)


def smalls(storm: Storm, least: int, most: int) -> list[int]:
    return [small(storm) for _ in range(storm.random.randint(least, most))]


def starts(storm: Storm) -> list[int]:
    return smalls(storm, 1, 3)


def few(storm: Storm) -> int:
    return storm.random.randint(1, 2)


def kind(storm: Storm) -> str:
    return one_of(storm, ("md", "sum"))


def how(storm: Storm) -> str:
    return one_of(storm, ("at_least", "first", "settle", "output"))


def yes_or_no(storm: Storm) -> bool:
    return storm.random.random() < 0.5


def an_output(storm: Storm) -> str:
    source = one_of(storm, (*NAMES, "ad"))
    return f"{source}.out.{'model' if source == 'ad' else 'y'}"


def inside(storm: Storm) -> list[str]:
    return sorted(path for path in storm.calm.state.instances if "/" in path)


def an_element(storm: Storm, path: str) -> str:
    """The path, or that of one of its elements if it has any."""
    found = storm.calm.state.instances.get(path)
    if found is None or not found.mapped or yes_or_no(storm):
        return path
    return f"{path}[{storm.random.randrange(3)}]"


# --- edits, to be made alone or with others ----------------------------------------------------


def add(storm: Storm) -> Edits:
    function = one_of(storm, (*TASKS, *PROGRAMS))
    ports = (function.inputs[0].name,) if yes_or_no(storm) else ()
    return (ed.AddInstance(a_name(storm), function.name, ports, held=False),)


def set_value(storm: Storm) -> Edits:
    return (ed.SetInput(f"{a_name(storm)}.in.{one_of(storm, ('x', 'z', 'n'))}", small(storm)),)


def set_list(storm: Storm) -> Edits:
    return (ed.SetInput(f"{a_name(storm)}.in.{one_of(storm, ('x', 'xs'))}", smalls(storm, 0, 4)),)


def connect(storm: Storm) -> Edits:
    part = one_of(storm, ("", "", "[0]"))
    port = one_of(storm, ("x", "z", "xs", "xs[+]", "x[+]", "x[0]"))
    return (ed.Connect(an_output(storm) + part, f"{a_name(storm)}.in.{port}"),)


def edit_part(storm: Storm) -> Edits:
    port, part = one_of(storm, ("x", "xs", "z")), one_of(storm, ("", "[0]", "[1]", "[2]", "[+]"))
    target = f"{a_name(storm)}.in.{port}{part}"
    clear = storm.random.random() < 0.4
    return (ed.ClearInput(target) if clear else ed.SetInput(target, small(storm)),)


def zip_two(storm: Storm) -> Edits:
    to = a_name(storm)
    return (
        ed.RemoveInstance(to),
        ed.AddInstance(to, "m.two", ("x", "z"), held=False),
        ed.Connect(f"{a_name(storm)}.out.y", f"{to}.in.x"),
        ed.Connect(f"{a_name(storm)}.out.y", f"{to}.in.z"),
    )


def steer(storm: Storm) -> Edits:
    """Place a workflow, or change what it was given."""
    path, function, inputs = one_of(storm, STEERED)
    given = {port: draw(storm) for port, draw in inputs.items()}
    if "at_least" in given:
        given["at_least"] = min(given["at_least"], len(given["starts"]))
    sets = [ed.SetInput(f"{path}.in.{port}", value) for port, value in given.items()]
    if path not in storm.calm.state.instances:
        return (ed.AddInstance(path, function, held=False), *sets)
    return sets


def feed(storm: Storm) -> Edits:
    """Workflows and ports that take what moves, behind what other instances give."""
    target = one_of(storm, FED_PORTS)
    path = target.partition(".")[0]
    source = an_output(storm)
    if path in ("wat", "tab", "new"):
        source = one_of(
            storm, (source, "sin.out.y", "fed.out.y", "pee.out.y", "bou.out.y", "wat.out.y")
        )
    connected = ed.Connect(source, target)
    if path in storm.calm.state.instances:
        return (connected,)
    function, mapped = FED[path]
    return (ed.AddInstance(path, function, mapped, held=False), connected)


def command(storm: Storm) -> Edits:
    what = one_of(storm, (ed.Hold, ed.Activate, ed.Cancel, ed.Skip, ed.Retry))
    path = one_of(storm, (*NAMES, *WORKFLOWS, *BEHIND))
    if what in (ed.Cancel, ed.Skip, ed.Retry):
        path = an_element(storm, path)
    if what is ed.Cancel:
        return (ed.Cancel(path, discard=yes_or_no(storm)),)
    if what is ed.Retry and yes_or_no(storm):
        return (ed.Retry(path, resources={"memory_mb": 100 * few(storm)}),)
    return (what(path),)


def reorganise(storm: Storm) -> Edits:
    name = a_name(storm)
    if yes_or_no(storm):
        return (ed.RemoveInstance(name),)
    if yes_or_no(storm):
        return (ed.RenameInstance(name, a_name(storm)),)
    source = one_of(storm, (*NAMES, "ad", "two", "sin"))
    return (ed.CopyInstances({source: name}, held=False),)


def act_inside(storm: Storm) -> Edits:
    """Skip, retry, hold what is inside a workflow, or connect it to the top level."""
    if not (among := inside(storm)):
        return ()
    path = an_element(storm, one_of(storm, among))
    kind_of = storm.random.random()
    if kind_of < 0.2:
        return (ed.Skip(path),)
    if kind_of < 0.6:
        return (ed.Retry(path, reopen=yes_or_no(storm)),)
    if kind_of < 0.75:
        return (one_of(storm, (ed.Hold, ed.Activate))(path.partition("[")[0]),)
    return (ed.Connect(f"{path}.out.y", f"{a_name(storm)}.in.x"),)


def pin(storm: Storm) -> Edits:
    """A user's hand at an input inside a workflow, or the end of it."""
    state = storm.calm.state
    dangling = sorted(f"{path}.in.{port}" for path, port in state.dangling)
    if dangling and yes_or_no(storm):
        return (ed.ClearInput(one_of(storm, dangling)),)
    if not (among := inside(storm)):
        return ()
    instance = state.instances[one_of(storm, among)]
    held = sorted(instance.pinned)
    if held and yes_or_no(storm):
        return (ed.ClearInput(f"{instance.path}.in.{one_of(storm, held)}"),)
    return (_pinned(storm, instance),)


def _pinned(storm: Storm, instance: Instance) -> ed.Edit:
    port = one_of(storm, storm.calm.state.spec(instance).inputs)
    target = f"{instance.path}.in.{port.name}"
    listed = port.name in instance.mapped or isinstance(port.type, ListType)
    if listed and yes_or_no(storm):
        part = f"{target}{one_of(storm, ('[0]', '[1]', '[+]'))}"
        return ed.ClearInput(part) if yes_or_no(storm) else ed.SetInput(part, small(storm))
    if not listed and storm.random.random() < 0.3:
        return ed.Connect(an_output(storm), target)
    return ed.SetInput(target, starts(storm) if listed else small(storm))


def pause_or_resume(storm: Storm) -> Edits:
    """A pause is soon over, so that there is something to be paused."""
    if storm.calm.state.paused:
        return (ed.SetBudget({"core_hours": None, "instances": None}), ed.Resume())
    return (ed.Pause(),) if storm.random.random() < 0.3 else ()


def budget(storm: Storm) -> Edits:
    """A limit that is soon reached. Who waits for a place hangs on order: not with two stories."""
    used = storm.calm.state.use()
    limits = {"core_hours": used.core_hours + 20 * storm.random.random()}
    if storm.alone:
        limits["queued"] = one_of(storm, (1, 3, 6, None, None))
        limits["instances"] = used.instances + storm.random.randint(1, 20)
    name = one_of(storm, tuple(limits))
    return (ed.SetBudget({name: limits[name]}),)


def retries(storm: Storm) -> Edits:
    return (ed.SetRetries({"job_errors": one_of(storm, (0, 1, 5, None))}),)


def reopen(storm: Storm) -> Edits:
    decided = [
        (path, position)
        for path, instance in storm.calm.state.instances.items()
        for element in instance.elements.values()
        if element.evaluation is not None
        for position in element.evaluation.decisions
    ]
    if not decided:
        return ()
    path, position = one_of(storm, decided)
    return (ed.Reopen(path, position if yes_or_no(storm) else ""),)


def upgrade(storm: Storm) -> Edits:
    return (ed.Upgrade(one_of(storm, (*NAMES, "gen"))),)


def together(storm: Storm) -> Edits:
    """Several edits in one transaction."""
    return [edit for _ in range(storm.random.randint(2, 4)) for edit in one_of(storm, SMALL)(storm)]


SMALL = (set_value, set_list, connect, edit_part, command, pin, steer, reorganise)


def made(draw: Callable[[Storm], Edits]) -> Action:
    """The transaction of what was drawn."""

    def act(storm: Storm) -> None:
        edits = draw(storm)
        if edits:
            storm.attempt(*edits)

    return act


# --- edits that follow from what was there before ----------------------------------------------


def take_out(storm: Storm) -> None:
    """Remove what is there; or put back as it was, with its results, what is not."""
    name = one_of(storm, (*NAMES, "ad", "two", "out", "later", "sin"))
    found = storm.calm.state.instances.get(name)
    if found is not None:
        storm.gone[name] = (
            ed.AddInstance(name, found.function, found.mapped, held=False),
            *(ed.SetSource(name, port, source) for port, source in found.inputs.items()),
        )
        storm.attempt(ed.RemoveInstance(name))
    elif name in storm.gone:
        storm.attempt(*storm.gone[name])


def revert(storm: Storm) -> None:
    """Go back to a network that was there before, with the results that there were."""
    now = {world: document_of(world.state) for world in storm.worlds}
    if yes_or_no(storm) or not storm.documents:
        storm.documents.append(now)
        return
    then = one_of(storm, storm.documents)
    edits = {world: edits_between(now[world], then[world]) for world in storm.worlds}
    done = edits[storm.calm] and storm.attempt_each(edits, reuse=True)
    # What was upgraded since does not come back as it was: another takes its place.
    if done and not storm.calm.met["InstanceUpgraded"]:
        for world in storm.worlds:
            assert edits_between(document_of(world.state), then[world]) == []


def install(storm: Storm) -> None:
    """The servers are started again, with another version of a module."""
    name = one_of(storm, INSTALLABLE)
    storm.versions[name] += 1
    number = storm.versions[name]
    storm.both(lambda world: world.install(name, number))


def move(storm: Storm) -> None:
    """The project is saved and loaded, by another server or as a copy."""
    resume = yes_or_no(storm)
    storm.both(lambda world: world.move(resume=resume))


# --- what the outside tells ----------------------------------------------------------------------


def complete(storm: Storm) -> None:
    for _ in range(storm.random.randint(1, 4)):
        if not storm.calm.queue:
            return
        activation = one_of(storm, list(storm.calm.queue))
        if storm.random.random() < 0.15:
            storm.end_job(activation, failure=Failure("broken"))
        else:
            storm.finish(activation)


def late_result(storm: Storm) -> None:
    if storm.calm.cancelled:
        storm.finish(one_of(storm, storm.calm.cancelled))


def say_again(storm: Storm) -> None:
    """What has ended is said to have ended again, and otherwise: nobody listens."""
    ended = [a.id for a in storm.calm.state.activations.values() if a.outcome and a.outputs]
    if not ended:
        return
    name = storm.calm.names[one_of(storm, ended)]

    def again(world: StormWorld) -> None:
        same = world.ids[name]
        assert not world.report(JobEnded(same, outputs={"y": "another"}))
        assert not world.report(JobEnded(same, failure=Failure("another")))

    storm.both(again)


def tell_so_far(storm: Storm) -> None:
    """A running job has something already; or its attempt is lost, and what it had with it."""
    state = storm.calm.state
    taken = [activation for activation in storm.calm.queue if activation in storm.calm.streams]
    if not taken:
        return
    activation = one_of(storm, taken)
    attempt, number = storm.news.get(activation, (1, 0))
    if number and storm.random.random() < 0.3:
        storm.news[activation] = attempt + 1, 0
        storm.report(activation, lambda same: PartialWithdrawn(same, attempt))
        return
    storm.news[activation] = attempt, number + 1
    port = state.spec_of(state.activations[activation]).outputs[0].name
    value = smalls(storm, 1, 3) if yes_or_no(storm) else small(storm)
    storm.report(activation, lambda same: PartialGiven(same, attempt, number + 1, {port: value}))


def break_evaluation(storm: Storm) -> None:
    """An evaluator could not be kept alive on an evaluation."""
    found = [
        (path, eid, element.evaluation.number)
        for path, instance in storm.calm.state.instances.items()
        for eid, element in instance.elements.items()
        if element.evaluation is not None
        and element.evaluation.live
        and (storm.alone or len(element.evaluation.branches) == 1)
    ]
    if found:
        path, eid, number = one_of(storm, found)
        told = EvaluationBroke(path, eid, number, Failure("it died too often"))
        storm.both(lambda world: world.report(told))


def lose_evaluators(storm: Storm) -> None:
    def evict(world: StormWorld) -> None:
        for path, eid in list(world.evaluations):
            if (path, eid) in world.evaluations:
                world.evict(path, eid)

    storm.rough.suffer(evict)


def repeat_rests(storm: Storm) -> None:
    """What an evaluation has said is said again: it is known, or fenced off."""
    storm.rough.suffer(lambda world: world.say_rests_again())


def deliver(storm: Storm) -> None:
    """Something of what was said arrives."""
    count = storm.random.randint(1, 6)
    storm.rough.suffer(lambda world: world.deliver(storm.random, count))


def crash(storm: Storm) -> None:
    storm.rough.suffer(lambda world: world.restart())


# --- all of it -----------------------------------------------------------------------------------

Draws = dict[str, Callable[[Storm], Any]]

STEERED: tuple[tuple[str, str, Draws], ...] = (
    ("ad", "w.adaptive", {"generations": small, "starts": starts}),
    ("ad", "w.adaptive", {"generations": small}),
    ("shi", "w.shifty", {"kind": kind}),
    ("out", "w.outer", {"starts": starts}),
    ("tol", "w.tolerant", {"starts": starts}),
    ("ord", "w.ordered", {"starts": starts}),
    ("hal", "w.halves", {"starts": starts}),
    ("rac", "w.racing", {"starts": starts, "at_least": few}),
    ("quo", "w.quorum", {"starts": starts, "at_least": few}),
    ("for", "w.forgiving", {"starts": starts, "tolerate": few}),
    ("asy", "w.asynchronous", {"walkers": few, "rounds": few}),
    ("two", "w.two_branches", {}),
    ("joi", "w.joining", {}),
    ("som", "w.sometimes", {"on": yes_or_no}),
    ("wan", "w.wandering", {"late": yes_or_no}),
    ("ref", "w.referring", {"how": how}),
    ("con", "w.connected", {"kind": kind}),
    ("later", "w.nested_later", {"conf": small}),
    ("nes", "w.nested", {"n": small}),
    ("sot", "w.some_twice", {"n": small}),
    ("end", "w.at_the_end", {"n": small}),
    ("pee", "w.peeking", {}),
    ("bou", "w.bound_later", {}),
    *(("gen", "w.growing", {"n": small}),) * 3,
)
FED: dict[str, tuple[str, tuple[str, ...]]] = {
    "fol": ("w.following", ()),
    "new": ("m.newest", ()),
    "sin": ("w.single", ("conf",)),
    "fed": ("w.single", ()),
    "wat": ("m.watch", ()),
    "tab": ("m.table", ()),
}
FED_PORTS = (
    *("fol.in.conf", "new.in.xs", "fed.in.conf", "sin.in.conf", "sin.in.conf[+]"),
    *("wat.in.xs", "wat.in.xs", "tab.in.xs", "tab.in.xs[+]"),
)
ACTIONS: tuple[tuple[Action, int], ...] = (
    (made(add), 8),
    (made(set_value), 6),
    (made(set_list), 6),
    (made(connect), 8),
    (made(edit_part), 8),
    (made(zip_two), 2),
    (made(steer), 12),
    (made(feed), 5),
    (made(command), 8),
    (made(reorganise), 2),
    (made(act_inside), 5),
    (made(pin), 3),
    (made(pause_or_resume), 6),
    (made(budget), 1),
    (made(retries), 1),
    (made(reopen), 1),
    (made(upgrade), 2),
    (made(together), 2),
    (take_out, 2),
    (revert, 2),
    (install, 2),
    (move, 1),
    (complete, 40),
    (tell_so_far, 10),
    (late_result, 3),
    (say_again, 1),
    (break_evaluation, 1),
    (lose_evaluators, 2),
    (repeat_rests, 1),
    (crash, 1),
)
# Of what comes late something arrives now and then, in storms that have no second story.
ALONE: tuple[tuple[Action, int], ...] = (*ACTIONS, (deliver, 60))
