"""Decorators: from type hints and docstrings to function descriptions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from copernicus.errors import BadDefinition
from copernicus.model.functions import FunctionSpec
from copernicus.model.resources import ProgramNeed
from copernicus.model.types import AnyType, FileType, FloatType, IntType, ListType, describe
from copernicus.sdk import Command, File, Final, Latest, Module, Net, program, task, workflow
from support import authors
from support.authors import adaptive, add, build, score, simulate


def test_a_program_has_ports_from_its_hints_and_its_decorator() -> None:
    spec = simulate.spec
    assert (spec.name, spec.version, spec.kind) == ("toy.simulate", "1.2", "program")
    assert spec.program == ProgramNeed("fakemd", ">=2020")
    assert spec.entry == "support.authors:simulate"
    shown = {port.name: describe(port.type) for port in spec.inputs}
    assert shown == {
        "conf": "File",
        "seed": "int",
        "nsteps": "int",
        "temperature": "float (K)",
        "ensemble": "'nvt' | 'npt'",
    }
    assert [port.required for port in spec.inputs] == [True, True, False, False, False]
    assert spec.input("temperature").default == 300.0
    assert spec.extends == {"nsteps"}
    assert [(p.name, p.required) for p in spec.outputs] == [("xtc", True), ("log", False)]


def test_docs_come_from_the_docstring() -> None:
    assert simulate.spec.doc == "Run a simulation.\n\nIt is not a real one."
    assert simulate.spec.input("conf").doc == "Where it starts, with velocities."
    assert simulate.spec.output("xtc").doc == "The trajectory."
    assert build.spec.output("count").doc == "How many frames."


def test_a_tasks_outputs_are_its_returned_dataclass_or_result() -> None:
    assert [port.name for port in build.spec.outputs] == ["count", "seeds", "table"]
    assert [(p.name, p.type) for p in score.spec.outputs] == [("result", FloatType())]
    assert [(p.name, p.type) for p in add.spec.outputs] == [
        ("total", IntType()),
        ("parts", ListType(IntType())),
    ]
    assert build.spec.cache
    assert build.spec.program == ProgramNeed("module/toy", "==1.2")


def test_markers_make_latest_inputs_and_final_outputs() -> None:
    assert add.spec.input("values").latest
    assert add.spec.input("values").type == ListType(IntType())
    assert [port.final for port in adaptive.spec.outputs] == [False, True]


def test_the_net_is_no_input() -> None:
    assert [port.name for port in adaptive.spec.inputs] == ["starts", "generations"]


def test_a_function_stays_callable() -> None:
    assert add([1, 2]) == {"total": 3, "parts": [1, 2]}
    assert add.__name__ == "add"


def test_specs_travel() -> None:
    for function in authors.module.functions.values():
        raw = msgspec.msgpack.encode(function.spec)
        assert msgspec.msgpack.decode(raw, type=FunctionSpec) == function.spec


def _no_hint(x) -> int:
    return x


def _set(x: set[int]) -> int:
    return len(x)


def _default(x: int = "three") -> int:  # type: ignore[assignment]
    return x


def _star(*x: int) -> int:
    return len(x)


def _reserved(key: int) -> int:
    return key


def _unknown(x: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_no_hint, "_no_hint: input x has no type hint"),
        (_set, "no port can have the type set"),
        (_default, "input x: expected int, got str 'three'"),
        (_star, "cannot be a port"),
        (_reserved, "an input cannot be called 'key'"),
        (_unknown, "a type hint cannot be read: name 'Nowhere' is not defined"),
    ],
)
def test_what_cannot_be_a_port_is_told(body: Any, said: str) -> None:
    with pytest.raises(BadDefinition, match=said):
        task(body)


def test_on_change_must_name_inputs_and_known_words() -> None:
    def mdrun(nsteps: int) -> Command:
        raise NotImplementedError

    mdrun.__qualname__ = "mdrun"
    with pytest.raises(BadDefinition, match="on_change names steps"):
        program("p", outputs={}, on_change={"steps": "extend"})(mdrun)
    with pytest.raises(BadDefinition, match="write 'finish', 'cancel' or 'extend'"):
        program("p", outputs={}, on_change={"nsteps": "stop"})(mdrun)  # type: ignore[dict-item]
    with pytest.raises(BadDefinition, match="is no version range"):
        program("p", "later", outputs={})


def test_a_workflow_is_async_and_takes_the_net() -> None:
    with pytest.raises(BadDefinition, match="async def"):
        workflow(_no_hint)

    async def nothing() -> None: ...

    with pytest.raises(BadDefinition, match="first parameter must be the net"):
        workflow(nothing)


def test_a_local_function_cannot_be_sent() -> None:
    def local(x: int) -> int:
        return x

    with pytest.raises(BadDefinition, match="top level"):
        task(local)


def test_a_modules_name_version_and_functions_are_checked() -> None:
    with pytest.raises(BadDefinition, match="'my mod' is no name"):
        Module("my mod", "1", [])
    with pytest.raises(BadDefinition, match="'new' is no version"):
        Module("toy", "new", [add])
    with pytest.raises(BadDefinition, match="decorate it"):
        Module("toy", "1", [_set])  # type: ignore[list-item]
    with pytest.raises(BadDefinition, match="belongs to module toy, not to other"):
        Module("other", "1", [add])
    with pytest.raises(BadDefinition, match=r"toy.add twice"):
        Module("toy", "1.2", [add, add])


def test_hints_of_the_facade_are_port_types() -> None:
    async def flow(net: Net, a: Latest[list[File]], b: Any) -> None: ...

    spec = workflow(outputs={"c": Final[File]})(flow).spec
    assert [p.type for p in spec.inputs] == [ListType(FileType()), AnyType()]
    assert spec.output("c").final
