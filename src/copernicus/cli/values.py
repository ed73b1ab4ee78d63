"""Commands that set and fetch values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from copernicus.cli.committing import report
from copernicus.cli.options import IN_EDIT, IN_PROJECT, InEdit, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.reading import read_document, read_text, read_word, write_toml
from copernicus.cli.session import editing_project, project_for, transfers
from copernicus.errors import BadValue, NotFound
from copernicus.model.paths import APPEND, Address, parse
from copernicus.model.types import (
    AnyType,
    FileType,
    ListType,
    PortType,
    describe,
    strip_optional,
    type_inside,
    unit_of,
)

if TYPE_CHECKING:
    from copernicus.client import Project, RemoteFile


_MOST_LEFT_OUT = 20
FromFile = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]


def set_value(
    path: str,
    value: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    json_file: FromFile = None,
    toml: FromFile = None,
    text_file: FromFile = None,
    options: InEdit = IN_EDIT,
) -> None:
    """Set an input.

    Args:
        path: The input, or a part of it: run.in.nsteps, prep.in.settings.dt, fe.in.lambdas[+]
        value: Text, JSON, a number with a unit ("25 degC"), or @FILE.json (.toml), by the type.
        json_file: Take the value from a file of JSON (-: standard input).
        toml: Take the value from a file of TOML; files that it names lie beside it.
        text_file: Take the text of a file as it is, line ends too.
        options: Common ones.
    """
    project = editing_project(options)
    given = [source for source in (value, json_file, toml, text_file) if source is not None]
    if len(given) != 1:
        raise BadValue(f"Give one value for {path}: cpc set {path} VALUE, or --toml FILE")
    address = _input(path)
    port_type = _type_of(project, address)
    if value is not None:
        read = read_word(value, port_type, str(address))
    elif text_file is not None:
        read = read_text(text_file)
    else:
        file = json_file or toml
        assert file is not None
        read = read_document(file, port_type, str(address), toml=toml is not None)
    with transfers(project, "sending"), project.transaction(preview=options.preview) as transaction:
        project.set(path, read)
    shown = value if value is not None else f"what {given[0]} says"
    unit = unit_of(port_type)
    if unit and isinstance(read, str) and transaction.reply and transaction.reply.changed:
        shown += _converted(project, address, unit)
    report(options, transaction, f"{path} = {shown}")


def _converted(project: Project, address: Address, unit: str) -> str:
    """What a quantity has become; nothing of an element that has no position yet."""
    if APPEND in address.steps:
        return ""
    return f" ({text_of(project.value(str(address)).value)} {unit})"


def set_file(
    path: str,
    file: Annotated[Path, Parameter(show_default=False)],
    /,
    *more: Path,
    options: InEdit = IN_EDIT,
) -> None:
    """Set an input to files; what the server has already is not sent again.

    Args:
        path: The input: prep.in.mdp, prep.in.conf, prep.in.conf[2], prep.in.conf[+]
        file: The file.
        more: More files, for a list.
        options: Common ones.
    """
    project = editing_project(options)
    address = _input(path)
    inner = strip_optional(_type_of(project, address))
    files = [file, *more]
    listed = isinstance(inner, ListType) or (isinstance(inner, AnyType) and len(files) > 1)
    if len(files) > 1 and not listed and APPEND not in address.steps:
        raise BadValue(f"{path} takes one {describe(inner)}, not {len(files)}")
    _check_files(files)
    with transfers(project, "sending"), project.transaction(preview=options.preview) as transaction:
        if address.steps and address.steps[-1] == APPEND:
            project.extend(path.removesuffix("[+]"), list(files))
        else:
            project.set(path, list(files) if listed else file)
    shown = file.name if len(files) == 1 else f"{len(files)} files"
    report(options, transaction, f"{path} = {shown}")


def append(path: str, /, *values: str, options: InEdit = IN_EDIT) -> None:
    """Append to a list input.

    Args:
        path: The list: prep.in.conf
        values: Files where the list is one of files; else values, as in cpc set.
        options: Common ones.
    """
    if not values:
        raise BadValue(f"Nothing to append to {path}: cpc append {path} VALUE")
    project = editing_project(options)
    target = path.removesuffix("[+]")
    address = _input(f"{target}[+]")
    item_type = _type_of(project, address)
    if isinstance(strip_optional(item_type), FileType):
        _check_files([Path(value) for value in values])
        read: list[Any] = [Path(value) for value in values]
    else:
        read = [read_word(value, item_type, f"{target}[+]") for value in values]
    with transfers(project, "sending"), project.transaction(preview=options.preview) as transaction:
        project.extend(target, read)
    report(options, transaction, f"{target}: {len(read)} appended")


def unset(path: str, /, *, options: InEdit = IN_EDIT) -> None:
    """Unset an input.

    Args:
        path: The input, an element of a list (prep.in.conf[2]), or a member that is not needed.
        options: Common ones.
    """
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.unset(path)
    report(options, transaction, f"{path} is unset")


def get(
    path: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    toml: Annotated[bool, Parameter(show_default=False)] = False,
    partial: Annotated[bool, Parameter(show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Print a value; with files in it, fetch them.

    Args:
        path: An output or input, or a part of it: run.out.xtc[0]
        output: Where to put the file; for several, the folder. Default: here.
        toml: Print TOML, which cpc set --toml takes.
        partial: What its running job has made of it so far.
        options: Common ones.
    """
    from copernicus.client.values import revive

    project = project_for(options)
    if partial:
        from copernicus.cli.peeking import get_partial

        with transfers(project, "fetching"):
            get_partial(project, path, output, options)
        return
    view = project.value(path)
    if view.state in ("unset", "waiting"):
        reason = f" (waits for {'; '.join(view.left_out)})" if view.left_out else ""
        raise NotFound(f"{path} has no value yet{reason}: cpc why {parse(path).instance}")
    if view.state == "stale":
        note(f"cpc: {path}: the newest value, but not the last: work under way may change it")
    if toml:
        print(write_toml(view.value, path), end="")
        _tell_left_out(view.left_out)
        return
    value = revive(view.value, project.files)
    files = files_in(value)
    if not files or (options.json and output is None):
        emit(options.json, view if options.json else None, lambda: text_of(value, view.unit))
        _tell_left_out(view.left_out)
        return
    with transfers(project, "fetching"):
        written = fetch(value, files, path, output, project)
    emit(options.json, {"files": [str(p) for p in written]}, "\n".join(str(p) for p in written))
    _tell_left_out(view.left_out)


def _tell_left_out(left_out: tuple[str, ...]) -> None:
    for reason in left_out[:_MOST_LEFT_OUT]:
        note(f"cpc: left out: {reason}")
    if len(left_out) > _MOST_LEFT_OUT:
        note(f"cpc: left out: {len(left_out) - _MOST_LEFT_OUT} more (--json has all)")


def fetch(
    value: Any, files: list[RemoteFile], path: str, output: Path | None, project: Project
) -> list[Path]:
    """Bring the files of a value here; where they lie."""
    from copernicus.client.files import distinct_names, target_for

    if len(files) == 1 and not isinstance(value, list | dict):
        target = target_for(files[0].name, output or Path())
        return [files[0].download(target, project.progress)]
    address = parse(path)
    folder = output or Path(f"{address.instance.replace('/', '-')}-{address.port}")
    if folder.exists() and not folder.is_dir():
        raise BadValue(f"{path} is {len(files)} files, but {folder} is no folder: -o FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    names = distinct_names(files)
    return [
        file.download(target_for(name, folder), project.progress)
        for file, name in zip(files, names, strict=True)
    ]


def files_in(value: Any) -> list[RemoteFile]:
    """All files of a value."""
    from copernicus.client.values import RemoteFile

    if isinstance(value, RemoteFile):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [file for part in inner for file in files_in(part)]


def text_of(value: Any, unit: str = "") -> str:
    """A value as it is printed: text as it is, else JSON; with its unit at a terminal."""
    import msgspec

    if isinstance(value, str):
        return value
    if unit and value is not None and sys.stdout.isatty():
        # A person wants the unit; a program that reads the number knows it from --json.
        return f"{text_of(value)} {unit}"
    return msgspec.json.format(
        msgspec.json.encode(value), indent=2 if _is_deep(value) else 0
    ).decode()


def _is_deep(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(part, dict | list) for part in inner)


def _input(path: str) -> Address:
    address = parse(path)
    if address.side != "in" or not address.port:
        raise BadValue(f"{path!r} is no input: write for example {address.instance}.in.PORT")
    return address


def _type_of(project: Project, address: Address) -> PortType:
    detail = project.instance_detail(address.instance, count=1)
    for port in detail.inputs:
        if port.name == address.port:
            found = type_inside(port.port_type or AnyType(), address.steps)
            if found is None:
                raise NotFound(f"{address}: {port.name} is {port.type}, which has no such part")
            return found
    known = ", ".join(port.name for port in detail.inputs) or "none"
    raise NotFound(f"{address.instance} has no input {address.port!r}; it has: {known}")


def _check_files(files: list[Path]) -> None:
    for file in files:
        if file.is_dir():
            raise BadValue(f"{file} is a folder, not a file")
        if not file.exists():
            raise NotFound(f"There is no file {file}")
