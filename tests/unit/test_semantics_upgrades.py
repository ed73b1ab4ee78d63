"""DESIGN 4.7 and 5: a module's new version in the middle of a project's life."""

from typing import Any

import msgspec
import pytest

from copernicus.engine.tracing import trace_step
from copernicus.errors import Conflict
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.types import AnyType, IntType
from copernicus.sdk import Module, Net, workflow
from support.workflows import SPECS, compute
from support.world import World, task_spec


def loop(version: str, extra: bool = False, renamed: bool = False) -> Any:
    """A loop as one version of a module has it: with one call more, or with another key."""

    async def generations(net: Net, starts: list[Any], n: int) -> None:
        found = starts
        for g in range(n):
            key = "walk" if renamed and g > 0 else "md"
            runs = [net.call("m.md", key=(key, g, i), conf=c) for i, c in enumerate(found)]
            if extra:
                net.call("m.sum", key=("check", g), xs=net.collect([r.out.y for r in runs]))
            model = net.call("m.model", key=("model", g), xs=net.collect([r.out.y for r in runs]))
            net.output(model=model.out.seeds)
            found = await model.out.seeds

    function = workflow(outputs={"model": Any})(generations)
    return Module("w", version=version, functions=[function]).functions["w.generations"]


def running(n: int = 4, done: int = 2) -> World:
    """A loop of ``n`` generations of which some are done."""
    w = World(*SPECS, workflows={"generations": loop("1")})
    w.add("ad", "w.generations", starts=[1, 2], n=n)
    w.work(compute, limit=3 * done)
    w.starts()
    return w


def install(w: World, function: Any) -> None:
    """The server is started again with another version of the module."""
    w.workflows["generations"] = function
    w.catalog[function.spec.name] = function.spec
    w.restart()


def test_code_that_declares_the_same_goes_on_and_is_recorded():
    w = running()
    install(w, loop("2"))
    assert w.starts() == []
    changed = [e for e in w.journal if isinstance(e, ev.CodeChanged)]
    assert [(e.version, e.departure) for e in changed] == [("2", None)]
    w.work(compute)
    assert w.status("ad") == "done"
    w.check()


def test_code_that_departs_from_history_is_not_obeyed_and_says_where():
    w = running()
    install(w, loop("2", extra=True))
    assert w.status("ad") == "waiting"
    said = w.waits_for("ad")
    assert "w.generations 2 departs at test_semantics_upgrades.py:" in said
    assert "cpc upgrade ad" in said
    before = set(w.state.instances)
    w.work(compute)
    assert set(w.state.instances) == before
    assert not any(i.retired for i in w.state.instances.values())
    w.check()


def test_an_upgrade_obeys_the_new_code_and_keeps_every_result():
    w = running()
    install(w, loop("2", extra=True))
    w.starts()
    w.edit(ed.Upgrade("ad"))
    assert w.starts() == ["ad", "ad/check-0", "ad/check-1"]
    w.work(compute)
    assert w.status("ad") == "done"
    made = w.state.activations[w.state.instances["ad"].elements[""].success or ""]
    assert trace_step(w.state, made).version == "2"
    w.check()


def test_an_upgrade_retires_what_the_new_code_does_not_declare():
    w = running(n=3, done=3)
    w.edit(ed.SetInput("ad.in.n", 4))
    install(w, loop("2", renamed=True))
    w.edit(ed.Upgrade("ad"))
    w.work(compute)
    retired = {p for p, i in w.state.instances.items() if i.retired}
    assert retired >= {"ad/md-1-0", "ad/md-1-1", "ad/md-2-0", "ad/md-2-1"}
    assert "ad/md-0-0" not in retired
    assert w.status("ad") == "done"
    w.check()


def test_the_old_code_installed_again_goes_on_where_it_was():
    w = running()
    install(w, loop("2", extra=True))
    install(w, loop("1"))
    assert w.status("ad") == "running"
    w.work(compute)
    assert w.status("ad") == "done"
    assert not any("check" in p for p in w.state.instances)
    w.check()


def test_a_departure_under_the_same_version_is_the_authors_error():
    w = running()
    install(w, loop("1", extra=True))
    assert w.status("ad") == "failed"


def test_there_is_nothing_to_upgrade_to():
    w = running()
    with pytest.raises(Conflict, match="as it is installed"):
        w.edit(ed.Upgrade("ad"))


def mapped(*, outputs: str = "y") -> World:
    w = World(task_spec("m.one", [Port("x", AnyType())], outputs))
    w.add("one", "m.one", mapped=["x"], x=[1, 2, 3])
    return w


def replace(w: World, **changes: Any) -> None:
    w.catalog["m.one"] = msgspec.structs.replace(w.catalog["m.one"], version="2", **changes)
    w.restart()


def test_jobs_that_exist_keep_what_they_are_and_the_next_use_the_new_version():
    w = mapped()
    w.done("one[0]", y=1)
    more = Port("more", IntType(), required=False, default=7)
    replace(w, inputs=(Port("x", AnyType()), more), entry="test:new_one")
    kept = w.queue[w.running("one[1]")].spec
    assert (kept.function_version, kept.task.entry) == ("1", "test:m.one")
    w.done("one[1]", y=2)
    w.starts()
    w.set("one.in.x[+]", 4)
    assert w.starts() == ["one"]
    job = w.queue[w.running("one[3]")].spec
    assert (job.function_version, job.task.entry) == ("2", "test:new_one")
    assert job.task.inputs == {"x": 4, "more": 7}
    w.done("one[2]", y=3)
    w.done("one[3]", y=4)
    assert w.standing("one.out.y") == "current"
    one = w.state.instances["one"]
    made = [w.state.activations[one.elements[eid].success] for eid in one.eids]
    versions = [trace_step(w.state, activation).version for activation in made]
    assert versions == ["1", "1", "1", "2"]
    w.check()


def test_a_version_with_other_ports_is_taken_only_when_a_user_says_so():
    w = mapped()
    w.work(lambda _f, inputs: inputs["x"])
    replace(w, inputs=(Port("x", AnyType()), Port("must", IntType())))
    w.set("one.in.x[0]", 10)
    assert w.queue[w.running("one[0]")].spec.function_version == "1"
    w.work(lambda _f, inputs: inputs["x"])
    w.starts()
    w.edit(ed.Upgrade("one"), ed.SetInput("one.in.must", 1))
    assert w.starts() == ["one"] * 3
    assert w.queue[w.running("one[0]")].spec.function_version == "2"
    w.check()
