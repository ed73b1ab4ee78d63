"""References: what stands for a value before there is one. Awaiting one gives the value."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NoReturn, TypeVar

import msgspec

from copernicus.errors import BadDefinition
from copernicus.model.evaluation import Await
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, InRef, OutRef, Source
from copernicus.sdk.convert import revive
from copernicus.sdk.recording import BranchState, author_line

T = TypeVar("T")


class Asking(Generic[T]):
    """An awaitable that asks the engine, and reads its answer."""

    def __init__(self, ask: Callable[[str], Await], read: Callable[[Any], T]) -> None:
        self.ask = ask
        self.read = read

    def __await__(self) -> Generator[Await, Any, T]:
        answer = yield self.ask(author_line())
        return self.read(answer)


def asking_values(
    sources: Sequence[Source], kind: Literal["value", "latest", "peek"] = "value"
) -> Asking[list[Any]]:
    """Wait for the values of all sources (``latest``: whatever version there is)."""
    asked = tuple(sources)
    return Asking(
        lambda line: Await(kind, asked, line=line),
        lambda answer: [revive(value) for value in answer],
    )


class Ref:
    """An output of a call, or an input of the workflow: connect it, or await its value.

    ``ref.member`` and ``ref[3]`` are references to a part of the value.
    """

    __iter__ = None
    __contains__ = None

    def __init__(self, source: OutRef | InRef) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._step(name)

    def __getitem__(self, index: int | str) -> Ref:
        return self._step(index)

    def _step(self, step: int | str) -> Ref:
        return Ref(msgspec.structs.replace(self._source, steps=(*self._source.steps, step)))

    def __bool__(self) -> NoReturn:
        raise BadDefinition(f"{self!r} is a reference, not yet a value: await it before testing it")

    def __repr__(self) -> str:
        side = "out" if isinstance(self._source, OutRef) else "in"
        steps = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in self._source.steps)
        return f"<{self._source.path}.{side}.{self._source.port}{steps}>"

    def __await__(self) -> Generator[Await, Any, Any]:
        values = yield from asking_values([self._source]).__await__()
        return values[0]


class Collected:
    """A list made of references and values, in order."""

    def __init__(self, source: Collect) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"<list of {len(self._source.items)}>"

    @property
    def late(self) -> Collected:
        """What the list has left out and is there by now: for ``net.latest`` and Latest ports.

        Raises:
            BadDefinition: The list leaves nothing out.
        """
        if not self._source.decided:
            raise BadDefinition("only a list with at_least or tolerate leaves something out")
        return Collected(msgspec.structs.replace(self._source, late=True))

    def __await__(self) -> Generator[Await, Any, list[Any]]:
        if self._source.late:
            raise BadDefinition("what is late only grows: read it with net.latest")
        values = yield from asking_values([self._source]).__await__()
        found: list[Any] = values[0]
        return found


AnyRef = Ref | Collected


def source_of(ref: AnyRef) -> OutRef | InRef | Collect:
    """The plain form of a reference."""
    return ref._source  # noqa: SLF001 - kept from the author's eyes, since names are members


class Outs:
    """The outputs of a call, by name."""

    def __init__(self, path: str, spec: FunctionSpec | None) -> None:
        self._path = path
        self._spec = spec

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Ref:
        if self._spec is not None:
            known = [port.name for port in self._spec.outputs]
            if name not in known:
                raise BadDefinition(
                    f"{self._spec.name} has no output {name!r}; it has: {', '.join(known)}"
                )
        return Ref(OutRef(self._path, name))


class Inputs:
    """The inputs of the workflow itself, as references: connected, they are not read."""

    def __init__(self, path: str, eid: str, spec: FunctionSpec) -> None:
        self._path = path
        self._eid = eid
        self._spec = spec

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Ref:
        known = [port.name for port in self._spec.inputs]
        if name not in known:
            raise BadDefinition(
                f"{self._spec.name} has no input {name!r}; it has: {', '.join(known)}"
            )
        return Ref(InRef(self._path, name, self._eid))


class Call:
    """A declared call. ``call.out.port`` is a reference; awaited, it gives all outputs by name."""

    def __init__(self, name: str, path: str, spec: FunctionSpec | None) -> None:
        self.name = name
        self.path = path
        self.out = Outs(path, spec)
        self._spec = spec

    def __repr__(self) -> str:
        return f"<call {self.path}>"

    def __await__(self) -> Generator[Await, Any, dict[str, Any]]:
        if self._spec is None:
            raise BadDefinition(f"{self!r}: which outputs it has is not known here: await one")
        names = [port.name for port in self._spec.outputs]
        sources = [OutRef(self.path, name) for name in names]
        values = yield from asking_values(sources).__await__()
        return dict(zip(names, values, strict=True))


class Branch(Generic[T]):
    """A spawned branch; awaiting it gives what its coroutine returned."""

    def __init__(self, state: BranchState) -> None:
        self._state = state

    @property
    def name(self) -> str:
        """The branch's name, as positions have it."""
        return self._state.name

    def __repr__(self) -> str:
        return f"<branch {self.name}>"

    def __await__(self) -> Generator[Await, Any, T]:
        yield Await("branch", branch=self._state.name, line=author_line())
        result: T = self._state.result
        return result


@dataclass(frozen=True)
class Outcome:
    """What became of something: its value, or why there is none."""

    value: Any = None
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.failure is None
