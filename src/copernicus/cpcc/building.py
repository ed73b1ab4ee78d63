"""Placing, connecting and setting, as the old client did it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from copernicus.cli.reading import read_word
from copernicus.cpcc.functions import EDITOR, SETTINGS, function_now, port_now
from copernicus.cpcc.session import OldProject, Pair
from copernicus.cpcc.words import Item, read_item
from copernicus.errors import BadValue, NotFound
from copernicus.model import edits
from copernicus.model.paths import parse, written_step
from copernicus.model.types import AnyType, ListType, PortType, strip_optional, type_inside
from copernicus.protocol import InstanceDetail, PortView


def place(project: OldProject, function: str, name: str) -> str:
    """``instance``: at once, also while a transaction is open, as it always was."""
    now = function_now(function)
    path = read_item(name).instance
    made = edits.AddInstance(path, now.function, now.mapped)
    project.at_once(made)
    mapped = f", mapped over {', '.join(now.mapped)}" if now.mapped else ""
    return f"{path} is {now.function}{mapped} (held)"


def connect(project: OldProject, source: str, target: str) -> str:
    """``connect``."""
    start = _output(project, read_item(source))
    end, _ = _input(project, read_item(target))
    project.connect(start, end)
    return f"{start} -> {end}"


def set_file(project: OldProject, item: str, file: Path) -> str:
    """``set-file``.

    Raises:
        NotFound: There is no such file.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}")
    path, port_type = _input(project, read_item(item))
    whole_list = isinstance(strip_optional(port_type), ListType)
    project.set(path, [file] if whole_list else file)
    return f"{path} = {file.name}"


def set_value(project: OldProject, item: str, value: str) -> str:
    """``set``."""
    read = read_item(item)
    detail = project.instance_detail(read.instance, count=1)
    if read.side == "in" and read.port == "settings" and detail.summary.function in SETTINGS:
        return _set_setting(project, detail, read, value)
    if read.port == "resources" and read.steps[-1:] == (".cores",):
        read = Item(read.instance, read.side, "cores")
    path, port_type = _input(project, read)
    project.set(path, read_word(value, port_type, path))
    return f"{path} = {value}"


def path_of(project: OldProject, item: Item) -> str:
    """The path of an item that is looked at."""
    if item.side == "in":
        return _input(project, item, look=True)[0]
    return _output(project, item) if item.side == "out" else item.instance


def _output(project: OldProject, item: Item) -> str:
    if item.side != "out" or not item.port:
        raise BadValue(f"{item.path()} is no output: write for example {item.instance}:out.tpr")
    function = project.instance_detail(item.instance, count=1).summary.function
    return item.path(port_now(function, item.port))


def _input(project: OldProject, item: Item, *, look: bool = False) -> tuple[str, PortType]:
    if item.side != "in" or not item.port:
        raise BadValue(f"{item.path()} is no input: write for example {item.instance}:in.conf")
    detail = project.instance_detail(item.instance, count=1)
    editor = _editor_of(project, detail)
    if editor and item.port == "mdp":
        item, detail = item._replace(instance=editor), project.instance_detail(editor, count=1)
    port = _port(detail, port_now(detail.summary.function, item.port))
    steps = item.steps
    if _is_shared(detail, port, steps):
        if not look and steps[0] != "[0]" and (steps[0] != "[+]" or _is_set(project, item, port)):
            raise BadValue(
                f"{item.instance} takes one {port.name} for all: it is mapped over "
                f"{', '.join(detail.summary.mapped)} only (cpc add {item.instance} "
                f"{detail.summary.function} --map {detail.summary.mapped[0]} {port.name})"
            )
        steps = steps[1:]
    path = item.path(port.name, steps)
    found = type_inside(port.port_type or AnyType(), parse(path).steps)
    if found is None:
        raise NotFound(f"{path}: {port.name} is {port.type}, which has no such part")
    return path, found


def _is_shared(detail: InstanceDetail, port: PortView, steps: tuple[str, ...]) -> bool:
    """Whether ``port[0]`` is the one value for all elements of what was an array of functions."""
    mapped = detail.summary.mapped
    if not mapped or port.name in mapped or not steps or not steps[0].startswith("["):
        return False
    listed = isinstance(strip_optional(port.port_type or AnyType()), ListType)
    return not listed or len(steps) > 1


def _is_set(project: OldProject, item: Item, port: PortView) -> bool:
    target = f"{item.instance}.in.{port.name}"
    waiting = any(
        getattr(edit, "target", "").partition("[")[0] == target for edit in project.waiting or ()
    )
    return waiting or (port.state != "unset" and "(default)" not in port.shown)


def _port(detail: InstanceDetail, name: str) -> PortView:
    for port in detail.inputs:
        if port.name == name:
            return port
    known = ", ".join(port.name for port in detail.inputs)
    raise NotFound(f"{detail.summary.path} has no input {name!r}; it has: {known}")


# --- settings: what grompp changed in its mdp file, a function of its own changes now


def _set_setting(project: OldProject, detail: InstanceDetail, item: Item, value: str) -> str:
    if len(item.steps) != 2 or item.steps[1] not in (".name", ".value"):
        raise BadValue(f"{item.path()}: write settings[0].name and settings[0].value")
    key = f"{project.key} {item.instance} {item.steps[0]}"
    pair = project.session.kept.pairs.setdefault(key, Pair())
    if item.steps[1] == ".name":
        pair.name = value
    else:
        pair.value = value
    editor = detail.summary.path
    if detail.summary.function != EDITOR:
        editor = _editor_of(project, detail) or _place_editor(project, detail)
    project.session.save()
    if not pair.name or pair.value is None:
        return f"{item.path()} = {value}"
    target = f"{editor}.in.settings{written_step(pair.name.replace('-', '_'))}"
    project.set(target, pair.value)
    return f"{target} = {pair.value}"


def _editor_name(detail: InstanceDetail) -> str:
    return f"{detail.summary.path}_mdp"


def _editor_of(project: OldProject, detail: InstanceDetail) -> str:
    """The instance that edits the mdp file of a grompp; ``""`` if there is none."""
    if detail.summary.function != "gromacs.grompp":
        return ""
    name = _editor_name(detail)
    return name if any(view.path == name for view in project.instances()) else ""


def _place_editor(project: OldProject, detail: InstanceDetail) -> str:
    name = _editor_name(detail)
    held = detail.summary.held
    made: list[edits.Edit] = [edits.AddInstance(name, EDITOR, held=held)]
    old, new = f"{detail.summary.path}.in.mdp", f"{name}.in.mdp"
    port = _port(detail, "mdp")
    if port.source:
        made.append(edits.Connect(port.source, new))
    elif port.state != "unset":
        made.append(edits.SetInput(new, project.value(old).value))
    made.append(edits.Connect(f"{name}.out.mdp", old))
    project.at_once(*made)
    project.keep([_moved(edit, old, new) for edit in project.waiting or ()])
    return name


def _moved(edit: edits.Edit, old: str, new: str) -> edits.Edit:
    if isinstance(edit, edits.SetInput | edits.Connect) and edit.target == old:
        return msgspec.structs.replace(edit, target=new)
    return edit
