"""What is equal is kept once, whether a state has grown, was folded or comes from a snapshot."""

import msgspec
import pytest

from copernicus.engine.core import fold
from copernicus.engine.earlier import lineages_of, successes_of
from copernicus.engine.sharing import alike
from copernicus.engine.snapshot import dump, load
from copernicus.engine.standing import DONE, counts
from copernicus.engine.tracing import trace
from copernicus.model.empty import NOTHING
from copernicus.model.events import Event
from copernicus.model.jobs import Command, Done, JobSpec, Line, TaskCall
from copernicus.model.resources import ProgramNeed, Resources
from support.server_client import echo_function
from support.world import World, task_spec

_TASK = task_spec("m.one", "x", resources=Resources(cores=2, memory_mb=64))


def _queued(count):
    w = World(_TASK)
    w.add("run", "m.one", mapped=["x"], x=list(range(count)))
    return w


def _read(journal):
    """The events as they come from a file: with no object in common."""
    decoder = msgspec.msgpack.Decoder(Event)
    return [decoder.decode(msgspec.msgpack.encode(event)) for event in journal]


_READ = {
    "grown": lambda w: w.state,
    "folded": lambda w: fold(_read(w.journal)),
    "loaded": lambda w: load(dump(w.state)),
}


@pytest.mark.parametrize("read", _READ)
def test_commands_share_what_does_not_follow_from_inputs(read):
    w = World(echo_function())
    w.add("run", "mine.echo", mapped=["text"], text=["a", "b", "c"])
    commands = [one.job.command for one in _READ[read](w).activations.values()]
    assert [one.lines[0].argv[-1] for one in commands] == ["a", "b", "c"]
    for name in ("outputs", "checkpoint", "done_when", "environment"):
        assert len({id(getattr(one, name)) for one in commands}) == 1, name


@pytest.mark.parametrize("read", _READ)
def test_queued_elements_share_what_is_equal(read):
    w = _queued(4)
    state = _READ[read](w)
    made = list(state.activations.values())
    assert len(made) == 4
    for name in ("resources", "program", "function", "function_version", "backoff_s"):
        assert len({id(getattr(one.job, name)) for one in made}) == 1, name
    for one in made:
        assert one.job.task.inputs is one.inputs
        assert one.digest is one.base_digest is one.strict_digest is one.job.inputs_digest
        assert one.digest is state.instances["run"].elements[one.eid].digest
        assert one.origins is one.left_out is one.outputs is NOTHING
        element = state.instances["run"].elements[one.eid]
        assert element.open is one.id is one.lineage
        assert element.digest is element.strict_digest is element.shown_digest
    elements = state.instances["run"].elements.values()
    assert len({id(one.standing) for one in elements}) == 1
    assert all(one.lineages is one.successes is one.asks is NOTHING for one in elements)


@pytest.mark.parametrize("read", ["grown", "loaded"])
def test_identities_are_those_of_the_list(read):
    state = _READ[read](_queued(4))
    run = state.instances["run"]
    for item, made in zip(run.inputs["x"].items, state.activations.values(), strict=True):
        assert made.eid is item.eid
        assert run.elements[item.eid].eid is item.eid


def test_no_group_is_kept_that_nothing_is_in():
    w = _queued(2)
    run = w.state.instances["run"]
    assert {one: len(eids) for one, eids in run.standing.items()} == counts(run) == {"open": 2}
    w.done("run[0]", y=1)
    assert {one: len(eids) for one, eids in run.standing.items()} == {"open": 1}
    w.done("run[1]", y=2)
    assert not run.standing
    assert counts(run) == {DONE: 2}


@pytest.mark.parametrize("read", _READ)
def test_what_is_empty_is_left_out_of_a_trace_that_is_sent(read):
    w = _queued(1)
    (made,) = _READ[read](w).activations
    told = msgspec.to_builtins(trace(_READ[read](w), "run", "queued", (made,)).steps[made])
    assert not {"origins", "left_out", "outputs", "units"} & set(told)


def test_a_job_is_as_it_was_told_however_much_of_it_is_shared():
    like = _job(Command((Line(("a", "1")),), done_when=Done(("x",)), timeout_s=1.0))
    other = _job(Command((Line(("a", "2")),), done_when=Done(("x",)), timeout_s=2.0))
    kept = alike(other, like, {}, "digest")
    assert kept == other
    assert kept.command.done_when is like.command.done_when
    assert kept.command.lines == (Line(("a", "2")),)
    task = _job(None, TaskCall("m:f", {"x": 1}))
    assert alike(task, like, {"x": 2}, "other") == task


def _job(command, task=None):
    need = ProgramNeed("p", ">=1")
    return msgspec.msgpack.decode(
        msgspec.msgpack.encode(JobSpec("m.f", "1", need, "digest", "key", command, task)),
        type=JobSpec,
    )


def test_nothing_stays_nothing():
    for change in (
        lambda: NOTHING.__setitem__("a", 1),
        lambda: NOTHING.update(a=1),
        lambda: NOTHING.setdefault("a", 1),
    ):
        with pytest.raises(TypeError, match="put another dict in its place"):
            change()
    assert NOTHING == {}
    assert msgspec.msgpack.encode(NOTHING) == msgspec.msgpack.encode({})


def test_what_an_element_came_to_before_is_found_again():
    w = World(_TASK)
    w.add("a", "m.one", x=1)
    element = w.state.instances["a"].elements[""]
    first = element.digest
    assert list(lineages_of(w.state, element).values()) == ["a1"]
    w.done("a", y=10)
    w.set("a.in.x", 2)
    w.done("a", y=20)
    w.set("a.in.x", 1)
    w.done("a", y=30)
    assert successes_of(w.state, element) == {first: "a3", w.state.activations["a2"].digest: "a2"}
    assert set(lineages_of(w.state, element).values()) == {"a1", "a2"}
    assert element.success == "a3"
