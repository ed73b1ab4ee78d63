"""Handles on what is in a network: instances, their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from copernicus.errors import BadValue
from copernicus.model.paths import written_step
from copernicus.protocol import InstanceDetail, ValueView, WhyView

if TYPE_CHECKING:
    import pandas as pd

    from copernicus.client.project import Project


class Place:
    """An input or output, an element or a member of it; ``path`` is its address."""

    def __init__(self, project: Project, path: str) -> None:
        self.project = project
        self.path = path

    @property
    def value(self) -> Any:
        """What it holds now; files as ``RemoteFile``, records as ``Record``.

        Raises:
            NotFound: It has no value yet.
        """
        return self.project.get(self.path)

    @property
    def unit(self) -> str:
        """The unit of its numbers; empty if they have none."""
        return self.view().unit

    def view(self) -> ValueView:
        """Its value as plain data, with its type, its unit and whether it is current."""
        return self.project.value(self.path)

    def table(self) -> pd.DataFrame:
        """Its value as a pandas ``DataFrame``: see ``Project.table``."""
        return self.project.table(self.path)

    def _repr_html_(self) -> str:
        from copernicus.client.display import value_html

        return value_html(self)


class Output(Place):
    """An output: to connect, or to look at."""

    def __repr__(self) -> str:
        return f"<Output {self.path}>"

    def __getitem__(self, step: int | str) -> Output:
        return Output(self.project, _deeper(self.path, step))

    def __iter__(self) -> Iterator[Output]:
        raise BadValue(f"{self.path} is an output: its elements are known only when it has a value")


class Outputs:
    """The outputs of an instance: ``run.out.xtc``."""

    def __init__(self, project: Project, instance: str) -> None:
        self._project = project
        self._instance = instance

    def __getattr__(self, port: str) -> Output:
        if port.startswith("_"):
            raise AttributeError(port)
        return self[port]

    def __getitem__(self, port: str) -> Output:
        return Output(self._project, f"{self._instance}.out.{port}")

    def __dir__(self) -> list[str]:
        detail = self._project.instance_detail(self._instance, 0, 1)
        return [port.name for port in detail.outputs]


class Input(Place):
    """An input: ``prep["conf"]``, or ``prep.inputs.conf``; ``prep["conf"][2]`` is an element."""

    def __repr__(self) -> str:
        return f"<Input {self.path}>"

    def __getitem__(self, step: int | str) -> Input:
        return Input(self.project, _deeper(self.path, step))

    def __setitem__(self, step: int | str, value: Any) -> None:
        self.project.set(_deeper(self.path, step), value)

    def __delitem__(self, step: int | str) -> None:
        self.project.unset(_deeper(self.path, step))

    def __iter__(self) -> Iterator[Input]:
        raise BadValue(f"{self.path} is an input: its elements are in its .value")

    def append(self, value: Any) -> None:
        """Add one element to a list; only what is new runs."""
        self.project.append(self.path, value)

    def extend(self, values: list[Any]) -> None:
        """Add elements to a list, in one transaction."""
        self.project.extend(self.path, values)


class Inputs:
    """The inputs of an instance, as attributes: ``run.inputs.nsteps = 1000`` sets one."""

    def __init__(self, project: Project, instance: str) -> None:
        object.__setattr__(self, "_instance", Instance(project, instance))

    def __getattr__(self, port: str) -> Input:
        if port.startswith("_"):
            raise AttributeError(port)
        return self[port]

    def __setattr__(self, port: str, value: Any) -> None:
        self[port] = value

    def __delattr__(self, port: str) -> None:
        del self[port]

    def __getitem__(self, port: str) -> Input:
        return self._owner[port]

    def __setitem__(self, port: str, value: Any) -> None:
        self._owner[port] = value

    def __delitem__(self, port: str) -> None:
        del self._owner[port]

    def __dir__(self) -> list[str]:
        return [port.name for port in self._owner.detail(count=1).inputs]

    @property
    def _owner(self) -> Instance:
        owner: Instance = object.__getattribute__(self, "_instance")
        return owner


class Instance:
    """An instance: ``run["tpr"] = prep.out.tpr`` connects, ``run["nsteps"] = 1000`` sets."""

    def __init__(self, project: Project, path: str) -> None:
        self.project = project
        self.path = path

    def __repr__(self) -> str:
        return f"<Instance {self.path}>"

    def __getitem__(self, port: str) -> Input:
        return Input(self.project, f"{self.path}.in.{port}")

    def __setitem__(self, port: str, value: Any) -> None:
        self.project.set(f"{self.path}.in.{port}", value)

    def __delitem__(self, port: str) -> None:
        self.project.unset(f"{self.path}.in.{port}")

    @property
    def inputs(self) -> Inputs:
        """Its inputs, as attributes: ``run.inputs.nsteps = 1000`` is ``run["nsteps"] = 1000``."""
        return Inputs(self.project, self.path)

    @property
    def out(self) -> Outputs:
        """Its outputs, as attributes."""
        return Outputs(self.project, self.path)

    @property
    def outputs(self) -> Outputs:
        """The same as ``out``."""
        return self.out

    @property
    def state(self) -> str:
        """Its state now: held, waiting, queued, running, done, stale, failed, skipped, retired."""
        return self.detail(count=1).summary.state

    def detail(self, start: int = 0, count: int = 100) -> InstanceDetail:
        """Everything about it, with a page of its elements."""
        return self.project.instance_detail(self.path, start, count)

    def wait(self, timeout: float | None = None, *, show: bool | None = None) -> None:
        """Wait until it is done: see ``Project.wait``."""
        self.project.wait(self.path, timeout, show=show)

    def why(self) -> WhyView:
        """Why it is not done: see ``Project.why``."""
        return self.project.why(self.path)

    def _repr_html_(self) -> str:
        from copernicus.client.display import instance_html

        return instance_html(self)

    def activate(self) -> None:
        """Let it fire."""
        self.project.activate(self.path)

    def hold(self) -> None:
        """Let it fire no more; what runs finishes."""
        self.project.hold(self.path)

    def retry(self, *, failed: bool = False) -> None:
        """Fire again; with ``failed`` everything that failed in it."""
        self.project.retry(self.path, failed=failed)

    def cancel(self) -> None:
        """Stop its work."""
        self.project.cancel(self.path)

    def skip(self) -> None:
        """Accept that it has no value."""
        self.project.skip(self.path)

    def remove(self) -> None:
        """Take it out of the network."""
        self.project.remove(self.path)

    def rename(self, name: str) -> Instance:
        """Give it another name; returns the handle for that."""
        self.project.rename(self.path, name)
        folder, _, _ = self.path.rpartition("/")
        return Instance(self.project, f"{folder}/{name}" if folder else name)


def _deeper(path: str, step: int | str) -> str:
    if isinstance(step, int) and step < 0:
        raise BadValue(f"{path}[{step}]: positions count from the front, from 0")
    return path + written_step(step)
