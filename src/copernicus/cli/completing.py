"""What a shell offers on the Tab key: commands, options, and names that the server knows.

The completion scripts call ``cpc __complete WORDS``; the last word is the one under the cursor. The
server is asked for at most a second, its answers are kept for some, and nothing that goes wrong is
ever said: a Tab then just offers less.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
import typing
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.cli.app import COMMANDS, GROUPS
from copernicus.cli.entries import Entry

if TYPE_CHECKING:
    from copernicus.client import Client, Project

PATIENCE_S = 1.0
FRESH_S = 10.0
_CACHE = "completion.json"
_MOST = 500

Offer = tuple[str, str]
"""A word, and what it is. One that ends in ``.`` or ``/`` is to be continued."""

_SOURCES: dict[tuple[str, str], str] = {
    ("connect", "source"): "outputs",
    ("connect", "target"): "inputs",
    ("set", "path"): "inputs",
    ("set-file", "path"): "inputs",
    ("append", "path"): "inputs",
    ("unset", "path"): "inputs",
    ("get", "path"): "ports",
    ("trace", "path"): "ports",
    ("add", "path"): "",
    ("copy", "target"): "",
    ("project create", "name"): "",
    ("project info", "name"): "projects",
    ("project use", "name"): "projects",
    ("project delete", "name"): "projects",
    ("profile use", "name"): "profiles",
    ("user remove", "name"): "",
    ("user add", "name"): "",
    ("functions info", "name"): "functions",
    ("demo", "name"): "demos",
}
_BY_PARAMETER = {
    "path": "instances",
    "function": "functions",
    "worker": "workers",
    "job": "jobs",
    "project": "projects",
    "profile": "profiles",
    "source": "instances",
}


def complete(words: Sequence[str]) -> list[Offer]:
    """What may stand in the place of the last word; empty where files, or nothing, may."""
    *before, current = words or [""]
    entry, rest = _command(before)
    if entry is None:
        return _starting(_commands(before), current)
    parameters = _parameters(entry)
    options = _options(parameters)
    last = rest[-1] if rest else ""
    if last in options and _takes_value(options[last]):
        return _starting(_values(entry, options[last], words, current), current)
    if current.startswith("-"):
        given = set(rest)
        offers = [(flag, doc) for flag, doc in _documented(entry, options) if flag not in given]
        return _starting(offers, current)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    place = _places(rest, options)
    for_more = positional and positional[-1].kind == inspect.Parameter.VAR_POSITIONAL
    if place >= len(positional) and not for_more:
        return []
    wanted = positional[min(place, len(positional) - 1)]
    return _starting(_values(entry, wanted, words, current), current)


def _starting(offers: Iterable[Offer], current: str) -> list[Offer]:
    return [offer for offer in offers if offer[0].startswith(current)][:_MOST]


# --- commands and options ---------------------------------------------------------------------


def _command(before: Sequence[str]) -> tuple[Entry | None, Sequence[str]]:
    by_name = {entry.name: entry for entry in COMMANDS}
    for length in range(1, len(before) + 1):
        name = " ".join(before[:length])
        if name in by_name and name not in GROUPS:
            return by_name[name], before[length:]
        if name not in GROUPS:
            break
    return None, before


def _commands(before: Sequence[str]) -> list[Offer]:
    group = " ".join(before)
    named = [(entry.name, entry.summary) for entry in COMMANDS]
    commands = {entry.name for entry in COMMANDS}
    named += [(name, said) for name, (said, _) in GROUPS.items() if name not in commands]
    found = [
        (name.rpartition(" ")[2], summary)
        for name, summary in named
        if name.rpartition(" ")[0] == group
    ]
    return found if before else sorted(found)


def _parameters(entry: Entry) -> list[inspect.Parameter]:
    function = entry.load()
    hints = typing.get_type_hints(function, include_extras=True)
    return [
        parameter.replace(annotation=hints.get(parameter.name, Any))
        for parameter in inspect.signature(function).parameters.values()
    ]


def _options(parameters: Iterable[inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Each way to write an option, with what it stands for."""
    found: dict[str, inspect.Parameter] = {}
    for parameter in parameters:
        if parameter.name == "options":
            hints = typing.get_type_hints(parameter.annotation, include_extras=True)
            fields = [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint)
                for name, hint in hints.items()
            ]
            found |= _options(fields)
        elif parameter.kind == parameter.KEYWORD_ONLY:
            found |= dict.fromkeys(_flags(parameter), parameter)
    return found


def _flags(parameter: inspect.Parameter) -> list[str]:
    for extra in getattr(parameter.annotation, "__metadata__", ()):
        names = getattr(extra, "name", None)
        if names:
            return [names] if isinstance(names, str) else list(names)
    return [f"--{parameter.name.replace('_', '-')}"]


def _bare(parameter: inspect.Parameter) -> Any:
    hint = parameter.annotation
    return typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint


def _takes_value(parameter: inspect.Parameter) -> bool:
    return _bare(parameter) is not bool


def _documented(entry: Entry, options: dict[str, inspect.Parameter]) -> list[Offer]:
    doc = inspect.getdoc(entry.load()) or ""
    said = dict(
        line.strip().split(": ", 1) for line in doc.splitlines() if ": " in line and line[0] == " "
    )
    return [(flag, said.get(found.name, "")) for flag, found in options.items()] + [("--help", "")]


def _places(rest: Sequence[str], options: dict[str, inspect.Parameter]) -> int:
    """How many words that are no options stand before the cursor."""
    count, skip = 0, False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in options and _takes_value(options[word])
        else:
            count += 1
    return count


# --- values -----------------------------------------------------------------------------------


def _values(
    entry: Entry, parameter: inspect.Parameter, words: Sequence[str], current: str
) -> list[Offer]:
    choices = _choices(_bare(parameter))
    if choices:
        return [(choice, "") for choice in choices]
    if Path in (_bare(parameter), *typing.get_args(_bare(parameter))):
        return []
    source = _SOURCES.get((entry.name, parameter.name), _BY_PARAMETER.get(parameter.name, ""))
    if source == "profiles":
        return _profiles()
    if source == "demos":
        return [(name, "") for name in import_module("copernicus.demo").DEMOS]
    return _Live(words).offers(source, current) if source else []


def _choices(hint: Any) -> list[str]:
    if typing.get_origin(hint) is typing.Literal:
        return [str(choice) for choice in typing.get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(choice.value) for choice in hint]
    inner = [_choices(arg) for arg in typing.get_args(hint) if arg is not type(None)]
    return inner[0] if len(inner) == 1 else []


def _profiles() -> list[Offer]:
    from copernicus.client.profiles import Profiles

    try:
        return [(name, profile.urls[0]) for name, profile in Profiles().all().items()]
    except Exception:  # noqa: BLE001  # a Tab never complains
        return []


class _Live:
    """Asks the server: briefly, and not for every key."""

    def __init__(self, words: Sequence[str]) -> None:
        self._profile = _given(words, "--profile") or os.environ.get("CPC_PROFILE")
        self._project = _given(words, "--project", "-p") or os.environ.get("CPC_PROJECT")

    def offers(self, source: str, current: str) -> list[Offer]:
        """What a source has for a word that begins so."""
        instance, dot, _ = current.partition(".")
        if source in ("inputs", "outputs", "ports") and dot:
            return self._asked(
                f"{source} {instance}", lambda c: _ports(self._of(c), instance, source)
            )
        found = self._asked(source, _ASK.get(source, self._instances))
        if source in ("instances", "inputs", "outputs", "ports"):
            return _one_level(found, current, more="" if source == "instances" else ".")
        return found

    def _instances(self, client: Client) -> list[Offer]:
        return [
            (view.path, f"{view.function}, {view.state}") for view in self._of(client).instances()
        ]

    def _of(self, client: Client) -> Project:
        return client.project(self._project, check=False)

    def _asked(self, key: str, ask: Callable[[Client], list[Offer]]) -> list[Offer]:
        cache = _Cache(f"{self._profile} {self._project} {key}")
        known = cache.get()
        if known is not None:
            return known
        found: list[list[Offer]] = []
        thread = threading.Thread(target=lambda: found.append(self._ask(ask)), daemon=True)
        thread.start()
        thread.join(PATIENCE_S)
        if found and found[0]:
            cache.put(found[0])
        return found[0] if found else []

    def _ask(self, ask: Callable[[Client], list[Offer]]) -> list[Offer]:
        from copernicus.client import Client

        try:
            with Client(self._profile) as client:
                return ask(client)
        except Exception:  # noqa: BLE001  # a Tab never complains
            return []


def _ports(project: Project, instance: str, source: str) -> list[Offer]:
    detail = project.instance_detail(instance, 0, 1)
    inputs = [(f"{instance}.in.{port.name}", port.type) for port in detail.inputs]
    outputs = [(f"{instance}.out.{port.name}", port.type) for port in detail.outputs]
    return {"inputs": inputs, "outputs": outputs, "ports": outputs + inputs}[source]


def _one_level(found: Iterable[Offer], current: str, more: str) -> list[Offer]:
    """Paths down to the next ``/`` after what is typed: not all that workflows ever made."""
    offers: dict[str, str] = {}
    for path, what in found:
        if path.startswith(current):
            head, slash, _ = path[len(current) :].partition("/")
            name = current + head
            offers.setdefault(f"{name}/" if slash and head else f"{path}{more}", what)
    return list(offers.items())


_ASK: dict[str, Callable[[Client], list[Offer]]] = {
    "projects": lambda client: [(p.name, p.owner) for p in client.projects()],
    "workers": lambda client: [(w.id, f"{w.host}, {w.state}") for w in client.workers()],
    "jobs": lambda client: [(j.id.rpartition(".")[2], j.path) for j in client.jobs()],
    "functions": lambda client: [
        (f.spec.name, f.spec.doc.strip().split("\n")[0])
        for f in client.project_functions() + client.functions()
        if not f.problem
    ],
}


def _given(words: Sequence[str], *flags: str) -> str | None:
    for flag, value in pairwise(words):
        if flag in flags:
            return value
    return None


class _Cache:
    """The last answers, in a file that only its owner reads."""

    def __init__(self, key: str) -> None:
        from copernicus.client.profiles import config_folder
        from copernicus.client.values import cache_folder

        self._key = f"{config_folder()} {key}"
        self._path = cache_folder().parent / _CACHE

    def get(self) -> list[Offer] | None:
        """What is known and fresh."""
        at, offers = self._all().get(self._key, (0.0, []))
        return [(word, what) for word, what in offers] if time.time() - at < FRESH_S else None

    def put(self, offers: list[Offer]) -> None:
        """Keep an answer; older ones go."""
        import msgspec

        from copernicus.security.files import make_private_folder, write_private

        now = time.time()
        kept = {key: value for key, value in self._all().items() if now - value[0] < FRESH_S}
        try:
            make_private_folder(self._path.parent)
            write_private(self._path, msgspec.json.encode({**kept, self._key: (now, offers)}))
        except Exception:  # noqa: BLE001  # without a cache it is only slower
            return

    def _all(self) -> dict[str, tuple[float, list[Offer]]]:
        import msgspec

        kind = dict[str, tuple[float, list[tuple[str, str]]]]
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError):
            return {}
