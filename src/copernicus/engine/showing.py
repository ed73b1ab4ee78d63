"""Values and edits in at most one line, for lists and histories."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model import edits as ed
from copernicus.model.network import Collect, Literal, OutRef, Source
from copernicus.model.values import is_file

SHORT = 72


def shorten(value: Any) -> str:
    """A value in at most one line."""
    if is_file(value):
        return f"{value['name']} ({_size(value['size'])})"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} elements: {shorten(value[0])}, ..., {shorten(value[-1])}"
    if isinstance(value, list):
        return "[" + ", ".join(shorten(element) for element in value) + "]"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHORT else text[: SHORT - 3] + "..."


def _size(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def summarise(edit: ed.Edit) -> str:
    """One line about an edit, for the history."""
    match edit:
        case ed.AddInstance(path=path, function=function):
            return f"add {path} ({function})"
        case ed.SetInput(target=target, value=value):
            return f"set {target} = {shorten(value)}"
        case ed.Connect(source=source, target=target):
            return f"connect {source} -> {target}"
        case ed.RenameInstance(path=path, name=name):
            return f"rename {path} to {name}"
        case ed.CopyInstances(names=names):
            return "copy " + ", ".join(f"{path} to {name}" for path, name in names.items())
        case ed.SetSource(path=path, port=port, source=source):
            return _source_in_words(f"{path}.in.{port}", source)
        case ed.Define(spec=spec):
            return f"define {spec.name}"
        case ed.ClearInput(target=target):
            return f"clear {target}"
        case ed.SetBudget() | ed.SetRetries():
            return _rules(edit)
    return _in_words(edit)


def _rules(edit: ed.SetBudget | ed.SetRetries) -> str:
    if isinstance(edit, ed.SetRetries):
        return f"retries {', '.join(f'{n} = {shorten(v)}' for n, v in edit.fields.items())}"
    told = (f"{n} {'unlimited' if v is None else f'{v:g}'}" for n, v in edit.limits.items())
    return f"budget {', '.join(told)}"


def _source_in_words(target: str, source: Source | None) -> str:
    match source:
        case None:
            return f"clear {target}"
        case Literal(value=value):
            return f"set {target} = {shorten(value)}"
        case OutRef(path=path, port=port):
            return f"connect {path}.out.{port} -> {target}"
        case Collect(items=items):
            return f"set {target}, a list of {len(items)}"
    return f"set {target}"


def _in_words(edit: Any) -> str:
    if isinstance(edit, ed.RemoveInstance):
        return f"remove {edit.path}"
    word = type(edit).__name__.lower()
    return word if isinstance(edit, ed.Pause | ed.Resume) else f"{word} {edit.path or 'everything'}"
