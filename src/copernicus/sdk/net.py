"""The net: what a workflow function declares its calls with and waits at.

Everything here only writes down (``recording``); the evaluator hands it to the engine when the
function rests at an await.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from copernicus.errors import UserError
from copernicus.model.evaluation import Await, Declaration
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef, Single, Source
from copernicus.model.paths import Key, child, key_name
from copernicus.model.resources import Resources, check_resources
from copernicus.model.types import ListType, OptionalType, check
from copernicus.model.values import digest, to_plain
from copernicus.sdk.convert import revive
from copernicus.sdk.functions import Function
from copernicus.sdk.recording import Recorder
from copernicus.sdk.refs import (
    AnyRef,
    Asking,
    Branch,
    Call,
    Collected,
    Inputs,
    Outcome,
    Ref,
    asking_values,
    source_of,
)

T = TypeVar("T")

_LATE = "what is late only grows: read it with net.latest, or connect it to a Latest port"


class Net:
    """The network inside one element of a workflow instance, as its function declares it."""

    def __init__(self, recorder: Recorder) -> None:
        start = recorder.start
        self._recorder = recorder
        self.inputs = Inputs(start.path, start.eid, recorder.spec)

    # --- declaring ------------------------------------------------------------------------------

    def call(
        self,
        function: Function[..., Any] | str,
        /,
        *,
        key: Key,
        mapped: Sequence[str] = (),
        resources: Resources | None = None,
        **inputs: Any,
    ) -> Call:
        """Declare a call. The same key names the same instance for ever.

        Args:
            function: What to call, or its full name.
            key: A name, a number or a tuple of them; no other call here may have it.
            mapped: The list inputs that are mapped over: one run for every element.
            resources: What its jobs ask for, instead of what the function says.
            **inputs: References or values by port.

        Raises:
            BadDefinition: The key is not new, or an input does not fit its port.
        """
        spec = None if isinstance(function, str) else function.spec
        called = function if isinstance(function, str) else function.spec.name
        name = self._key(key)
        if resources is not None:
            check_resources(resources, f"the call {name}")
        mapped = (mapped,) if isinstance(mapped, str) else tuple(mapped)
        optional = _optional_ports(spec)
        sources = {
            port: self._source(value, f"{called} (key {name}), input {port}")
            for port, value in inputs.items()
            if value is not None or port in optional
        }
        if spec is not None:
            self._check_call(spec, name, sources, mapped)
        self._recorder.declare(Declaration(name, called, sources, mapped, resources))
        start = self._recorder.start
        return Call(name, child(start.path, start.eid, name), spec)

    def output(self, **values: Any) -> None:
        """Say where outputs of the workflow come from: a reference connects, a value sets."""
        known = {port.name: port for port in self._recorder.spec.outputs}
        for name, value in values.items():
            if name not in known:
                raise self._recorder.refuse(
                    f"{self._recorder.spec.name} has no output {name!r}; it has: "
                    f"{', '.join(known) or 'none'}"
                )
            source = self._source(value, f"output {name}")
            if isinstance(source, Collect) and source.late:
                raise self._recorder.refuse(f"output {name}: {_LATE}")
            self._check_literal(known[name], source, f"output {name}")
            self._recorder.bind(name, source)

    def collect(
        self,
        refs: Iterable[Any],
        at_least: float | None = None,
        tolerate: float | None = None,
    ) -> Collected:
        """One list of many references (or values).

        What is left out is listed with the result; ``.late`` of the list has what comes later.

        Args:
            refs: The elements, in order.
            at_least: How many (int) or which part of them (float, 0.9) must be there for the list
                to be decided, once; the others are left out.
            tolerate: How many (int) or which part of them (float, 0.1) may have failed for good,
                when all others are there.
        """
        items = self._items(list(refs))
        if at_least is None and tolerate is None:
            return Collected(Collect(items))
        if at_least is not None and tolerate is not None:
            raise self._recorder.refuse("collect: give at_least or tolerate, not both")
        count = None if at_least is None else _part(at_least, len(items), math.ceil)
        failures = None if tolerate is None else _part(tolerate, len(items), math.floor)
        number = count if failures is None else failures
        if number is None or not 0 <= number <= len(items):
            word = f"at_least={at_least}" if failures is None else f"tolerate={tolerate}"
            raise self._recorder.refuse(
                f"collect: {word} of {len(items)} elements can never be there"
            )
        start = self._recorder.start
        owner, decision = (start.path, start.eid), self._recorder.decision()
        return Collected(Collect(items, count, decision, owner, tolerate=failures))

    def seed(self, *key: str | int) -> int:
        """A random seed (1 to 2^31 - 1) of this workflow element and this key, always the same."""
        start = self._recorder.start
        text = f"{start.seed}\n{child(start.path, start.eid, self._key(key))}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return number % (2**31 - 1) + 1

    def spawn(self, key: Key, coroutine: Coroutine[Any, Any, T]) -> Branch[T]:
        """Run a coroutine as a branch of its own, which waits for its own answers.

        Raises:
            BadDefinition: The branch that runs now has spawned one with this key already.
        """
        if not inspect.iscoroutine(coroutine):
            raise self._recorder.refuse(
                f"spawn({key!r}) needs a coroutine: call the async function"
            )
        return Branch(self._recorder.spawn(self._key(key), coroutine))

    # --- waiting --------------------------------------------------------------------------------

    def gather(self, *refs: AnyRef) -> Asking[list[Any]]:
        """Wait for all values, in the order of the references."""
        return asking_values(self._sources(refs, "gather"))

    def latest(self, ref: AnyRef) -> Asking[Any]:
        """The newest version there is, stale or not, without waiting for a current one."""
        asking = asking_values(self._sources([ref], "latest", late=True), "latest")
        return Asking(asking.ask, lambda answer: asking.read(answer)[0])

    def peek(self, ref: AnyRef) -> Asking[Any]:
        """What there is so far of an output whose job runs; its value, if it is done.

        Waits for the first of it. What was seen is recorded at this place: it stays the answer,
        also when the job is lost or done.
        """
        asking = asking_values(self._sources([ref], "peek"), "peek")
        return Asking(asking.ask, lambda answer: asking.read(answer)[0])

    def first(self, *refs: AnyRef) -> Asking[tuple[AnyRef, Any]]:
        """Wait for whichever value comes first: the reference and its value."""
        sources = self._sources(refs, "first")
        if not sources:
            raise self._recorder.refuse("first() of nothing would wait for ever")

        def read(answer: Any) -> tuple[AnyRef, Any]:
            index, value = answer
            return refs[index], revive(value)

        return Asking(lambda line: Await("first", sources, line=line), read)

    async def as_completed(self, refs: Iterable[AnyRef]) -> AsyncIterator[tuple[AnyRef, Any]]:
        """All values in the order in which they come, each with its reference."""
        left = list(refs)
        while left:
            ref, value = await self.first(*left)
            left = [other for other in left if other is not ref]
            yield ref, value

    def settle(self, refs: Iterable[AnyRef]) -> Asking[list[Outcome]]:
        """Wait until each has a value or has failed for good: the outcomes, in order."""
        sources = self._sources(list(refs), "settle")
        return Asking(
            lambda line: Await("settle", sources, line=line),
            lambda answer: [_outcome(each) for each in answer],
        )

    # --- inside ---------------------------------------------------------------------------------

    def _key(self, key: Key) -> str:
        parts = key if isinstance(key, tuple) else (key,)
        whole = all(isinstance(p, str | int) and not isinstance(p, bool) for p in parts)
        if not parts or not whole:
            raise self._recorder.refuse(
                f"{key!r} is no key: write a name, a whole number, or a tuple of them "
                "(of a fraction x for example round(1000 * x))"
            )
        return key_name(key)

    def _sources(self, refs: Sequence[Any], what: str, *, late: bool = False) -> tuple[Source, ...]:
        wrong = next((ref for ref in refs if not isinstance(ref, Ref | Collected)), None)
        if wrong is not None:
            raise self._recorder.refuse(
                f"{what}: {wrong!r} is no reference: write for example call.out.NAME"
            )
        sources = tuple(source_of(ref) for ref in refs)
        if not late and any(isinstance(s, Collect) and s.late for s in sources):
            raise self._recorder.refuse(f"{what}: {_LATE}")
        return sources

    def _source(self, value: Any, where: str) -> Source:
        if isinstance(value, Ref | Collected):
            return source_of(value)
        if isinstance(value, list | tuple) and any(isinstance(v, Ref | Collected) for v in value):
            return Collect(self._items(value))
        return self._literal(value, where)

    def _literal(self, value: Any, where: str) -> Literal:
        if isinstance(value, Call | Branch) or inspect.iscoroutine(value):
            raise self._recorder.refuse(
                f"{where}: {value!r} is no value: connect one of its outputs, call.out.NAME"
            )
        try:
            plain = to_plain(value)
            msgspec.json.encode(plain)
        except (TypeError, UserError) as error:
            raise self._recorder.refuse(
                f"{where}: {value!r} is neither a reference nor a plain value ({error})"
            ) from None
        return Literal(plain)

    def _items(self, values: Sequence[Any]) -> tuple[Item, ...]:
        items, seen = [], dict[str, int]()
        for value in values:
            source = self._source(value, "an element of a list")
            if isinstance(source, Collect):
                raise self._recorder.refuse(
                    "a list of lists cannot be collected: join the references in one list"
                )
            eid = self._eid(source)
            seen[eid] = seen.get(eid, 0) + 1
            items.append(Item(eid if seen[eid] == 1 else f"{eid}~n{seen[eid]}", source))
        return tuple(items)

    def _eid(self, source: Single) -> str:
        """The identity of a list's element: it follows from where the element comes from."""
        if isinstance(source, Literal):
            return f"~v{digest(source.value)[:12]}"
        steps = "".join(f"~p{step}" for step in source.steps)
        if isinstance(source, InRef):
            return f"~i{source.port}{steps}"
        element = f"~e{source.element}" if isinstance(source, OutRef) and source.element else ""
        return f"{source.path.rpartition('/')[2]}{element}{steps}"

    def _check_call(
        self,
        spec: FunctionSpec,
        name: str,
        sources: Mapping[str, Source],
        mapped: tuple[str, ...],
    ) -> None:
        ports = {port.name: port for port in spec.inputs}
        if "." not in spec.name:
            raise self._recorder.refuse(f"{spec.name} is in no module: list it in its Module(...)")
        for side in (sources, mapped):
            unknown = [port for port in side if port not in ports]
            if unknown:
                raise self._recorder.refuse(
                    f"{spec.name} has no input {unknown[0]!r}; it has: {', '.join(ports)}"
                )
        missing = [p.name for p in spec.inputs if p.required and p.name not in sources]
        if missing:
            raise self._recorder.refuse(f"{spec.name} (key {name}) needs {', '.join(missing)}")
        for port, source in sources.items():
            wanted = ports[port]
            if port in mapped:
                wanted = msgspec.structs.replace(wanted, type=ListType(wanted.type))
            self._check_literal(wanted, source, f"{spec.name} (key {name}), input {port}")

    def _check_literal(self, port: Port, source: Source, where: str) -> None:
        if isinstance(source, Literal):
            try:
                check(port.type, source.value, where)
            except UserError as error:
                raise self._recorder.refuse(error.message) from None


def _optional_ports(spec: FunctionSpec | None) -> set[str]:
    """The inputs for which nothing is a value; elsewhere ``None`` means that it is not given."""
    if spec is None:
        return set()
    return {port.name for port in spec.inputs if isinstance(port.type, OptionalType)}


def _part(number: float, whole: int, rounded: Callable[[float], int]) -> int:
    return rounded(number * whole) if isinstance(number, float) else int(number)


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    if answer.get("failure") is not None:
        return Outcome(failure=msgspec.convert(answer["failure"], Failure))
    return Outcome(revive(answer["value"]))
