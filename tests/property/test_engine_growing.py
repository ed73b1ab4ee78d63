"""Lists that grow and shrink in every way: what is kept by steps is what is counted anew."""

from hypothesis import given, settings
from hypothesis import strategies as st

from copernicus.model import edits as ed
from copernicus.model.functions import Port
from copernicus.model.types import AnyType, ListType
from support.world import World, task_spec

ONE = task_spec("m.one", "x")
POOL = task_spec("m.pool", [Port("xs", ListType(AnyType()))])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3)),
        st.tuples(st.just("several"), st.integers(2, 4)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("replace"), st.integers(0, 9)),
        st.tuples(st.just("connect"), st.just(0)),
        st.tuples(st.just("clear"), st.just(0)),
        st.tuples(st.just("work"), st.integers(1, 4)),
    ),
    max_size=25,
)


def edits_for(w: World, kind: str, number: int) -> list[ed.Edit]:
    present = len(w.state.instances["a"].eids or ())
    match kind:
        case "append":
            return [ed.SetInput("a.in.x[+]", number)]
        case "several":
            return [ed.SetInput("a.in.x[+]", i) for i in range(number)]
        case "connect":
            return [ed.Connect("s.out.y", "a.in.x[+]")]
        case "clear":
            return [ed.SetInput("a.in.x", [])]
        case "remove" if present:
            return [ed.ClearInput(f"a.in.x[{number % present}]")]
        case "replace" if present:
            return [ed.SetInput(f"a.in.x[{number % present}]", 10 + number)]
    return []


def check(w: World) -> None:
    w.check()
    for instance in w.state.instances.values():
        listed = list(instance.listed())
        assert instance.not_current == sum(not (e.current or e.hole) for e in listed)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_mapped_list_that_grows_by_steps(steps):
    w = World(ONE, POOL)
    w.add("s", "m.one", x=1)
    w.edit(ed.AddInstance("a", "m.one", ("x",), held=False))
    w.edit(ed.AddInstance("b", "m.one", ("x",), held=False), ed.Connect("a.out.y", "b.in.x"))
    w.add("p", "m.pool", xs="b.out.y")
    for kind, number in steps:
        if kind == "work":
            for activation in [a for a, m in w.state.activations.items() if not m.outcome][:number]:
                w.done(activation, y=number)
        elif edits := edits_for(w, kind, number):
            w.edit(*edits)
        check(w)
    w.work(lambda _f, inputs: str(inputs))
    check(w)
    assert w.status("p") in ("done", "waiting")
