"""How a worker calls a task function: plain inputs in, plain outputs out."""

from __future__ import annotations

import dataclasses
import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from copernicus.errors import BadDefinition, BadValue, NotFound
from copernicus.model import values
from copernicus.model.functions import FunctionSpec
from copernicus.model.types import check
from copernicus.model.values import to_plain
from copernicus.protocol import ProgressReport
from copernicus.sdk.convert import arguments
from copernicus.sdk.files import File
from copernicus.sdk.functions import Function

Fetch = Callable[[values.File], Path]
Store = Callable[[Path, str], values.File]


def _nobody(report: ProgressReport) -> None:
    """Progress that nobody listens to."""


@dataclasses.dataclass(frozen=True)
class Task:
    """The running task: its work folder, the cores it may use, and whom it tells how far it is."""

    folder: Path
    cores: int = 1
    report: Callable[[ProgressReport], None] = _nobody

    def report_progress(
        self,
        step: float,
        total: float | None = None,
        rate: float | None = None,
        unit: str = "",
    ) -> None:
        """Say how far the work is: ``step`` of ``total``, at ``rate`` in ``unit``."""
        self.report(ProgressReport(step=step, total=total, rate=rate, unit=unit))


_CURRENT: ContextVar[Task | None] = ContextVar("copernicus_task", default=None)


def current_task() -> Task:
    """The task that calls this; outside of a worker one that works in the present folder."""
    return _CURRENT.get() or Task(Path.cwd())


def report_progress(
    step: float, total: float | None = None, rate: float | None = None, unit: str = ""
) -> None:
    """Say how far the running task is: ``step`` of ``total``, at ``rate`` in ``unit``."""
    current_task().report_progress(step, total, rate, unit)


@contextmanager
def running(task: Task) -> Iterator[Task]:
    """Make ``task`` the one that ``current_task`` gives."""
    token = _CURRENT.set(task)
    try:
        yield task
    finally:
        _CURRENT.reset(token)


def resolve(entry: str) -> Function[..., Any]:
    """The function at ``module:qualified_name``.

    Raises:
        NotFound: There is no such Python module or name.
        BadDefinition: It is no function of Copernicus.
    """
    module_name, _, qualname = entry.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise NotFound(f"there is no function {entry} here: {error}") from None
    if not isinstance(found, Function):
        raise BadDefinition(f"{entry} is no function of Copernicus: decorate it with @task")
    return found


def call_task(
    entry: str,
    inputs: Mapping[str, Any],
    fetch: Fetch,
    store: Store,
    task: Task | None = None,
) -> dict[str, Any]:
    """Call the task function at ``entry`` and return its plain outputs by port.

    Args:
        entry: ``module:qualified_name`` of a function made with ``@task``.
        inputs: Plain values by port.
        fetch: Gives a local copy of a stored file.
        store: Stores a local file under a name and gives what it is stored as.
        task: What ``current_task`` gives inside; by default one in the present folder.

    Raises:
        NotFound: There is no such function or port.
        BadValue: An input or an output does not have the type of its port.
    """
    function = resolve(entry)
    if function.spec.kind != "task":
        raise BadDefinition(f"{entry} is a {function.spec.kind} function, not a task")
    given = arguments(function.body, function.spec, inputs, lambda file: File.at(file, fetch(file)))
    with running(task or Task(Path.cwd())):
        returned = function.body(**given)
    return outputs_of(function.spec, returned, store)


def outputs_of(spec: FunctionSpec, returned: Any, store: Store) -> dict[str, Any]:
    """The plain, checked outputs of what a task returned; its new files are stored.

    Raises:
        BadValue: Something is missing, unknown, or of another type.
    """
    found = _by_port(spec, returned)
    unknown = sorted(set(found) - {port.name for port in spec.outputs})
    if unknown:
        raise BadValue(f"{spec.name} returned {', '.join(unknown)}, which is none of its outputs")
    outputs: dict[str, Any] = {}
    for port in spec.outputs:
        value = found.get(port.name)
        if value is None and not port.required:
            outputs[port.name] = None
            continue
        if port.name not in found:
            raise BadValue(f"{spec.name} returned no value for its output {port.name}")
        outputs[port.name] = check(
            port.type, to_plain(_stored(value, store)), f"{spec.name}.out.{port.name}"
        )
    return outputs


def _by_port(spec: FunctionSpec, returned: Any) -> dict[str, Any]:
    names = [port.name for port in spec.outputs]
    if not names:
        return {}
    if dataclasses.is_dataclass(returned) and not isinstance(returned, type):
        fields = [field.name for field in dataclasses.fields(returned)]
        if names != ["result"] or fields == names:
            return {name: getattr(returned, name) for name in fields}
    if names == ["result"]:
        return {"result": returned}
    if isinstance(returned, Mapping) and (len(names) > 1 or set(returned) <= set(names)):
        return dict(returned)
    if len(names) == 1:
        return {names[0]: returned}
    raise BadValue(
        f"{spec.name} must return its outputs {', '.join(names)} as a dict or a dataclass, "
        f"not {type(returned).__name__}"
    )


def _stored(value: Any, store: Store) -> Any:
    """``value`` with every new file in it stored."""
    if isinstance(value, File) and value.is_new:
        return _keep(value.path, value.name, store)
    if isinstance(value, Path):
        return _keep(value, value.name, store)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _stored(getattr(value, f.name), store) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _stored(inner, store) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(inner, store) for inner in value]
    return value


def _keep(path: Path, name: str, store: Store) -> values.File:
    if not path.is_file():
        raise BadValue(f"the task returned the file {path.name}, which it did not write")
    return store(path, name)


def short_traceback(error: BaseException, limit: int = 12) -> str:
    """The last ``limit`` frames of an error, as text."""
    shown = traceback.format_exception(type(error), error, error.__traceback__, limit=-limit)
    return "".join(shown)
