"""Writes the reference pages that follow from the code.

python docs/reference/generate.py            write them
python docs/reference/generate.py --check    say which are not up to date (exit code 1)
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from copernicus.cli.app import COMMANDS, GROUPS
from copernicus.cli.entries import Entry
from copernicus.errors import CopernicusError
from copernicus.model import edits, events
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.types import describe
from copernicus.registry import discover
from copernicus.settings import ENVIRONMENT_PREFIX, ServerSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "src" / "copernicus"
RELIABILITY = HERE.parent / "explanation" / "reliability.md"
FAULT_TEST = re.compile(r"^ *(?:async )?def (test_fault_(\d\d)_\w+)\(", re.MULTILINE)
FAULT_ROW = re.compile(r"^\| (\d+) \| .* \| (.*) \|$", re.MULTILINE)
NOTE = "<!-- Written by docs/reference/generate.py from the code: do not edit by hand. -->\n"
MODULES = ("gromacs", "openmm", "analysis")


def cli() -> str:
    """All commands."""
    parts = [
        "# Commands",
        "All commands have `--help` and `--json` (one JSON document on standard output; errors as "
        '`{"error": {"code", "message"}}` on standard error). Commands that ask a server have '
        "`--profile NAME` (`CPC_PROFILE`) and `--on PEER` (`CPC_ON`), those about a project "
        "`--project NAME` (`-p`, `CPC_PROJECT`).",
        "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no login, 4 the server does not "
        "answer. `CPC_CONFIG_DIR` is the folder with the logins, `CPC_SERVER_DIR` the default "
        "folder of a server, `CPC_WORK_DIR` that of a worker; `CPC_DEBUG=1` shows where an error "
        "comes from.",
        "A *path* names what is meant: `run` (an instance), `run[3]` (one element of a mapped "
        "one), `run.in.nsteps` (an input), `prep.in.conf[+]` (the next element of a list), "
        "`run.out.xtc[0]` (an element of an output), `fe/coulomb` (inside a workflow). Quote paths "
        "with brackets: shells read them.",
    ]
    titles = {group: title for group, (_, title) in GROUPS.items()}
    by_title: dict[str, list[Entry]] = {}
    for entry in COMMANDS:
        owner = entry.name.partition(" ")[0]
        by_title.setdefault(entry.group or titles[owner], []).append(entry)
    for title, entries in by_title.items():
        parts.append(f"## {title}")
        parts += [_command(entry) for entry in entries]
    return "\n\n".join(parts)


def _command(entry: Entry) -> str:
    function = entry.load()
    hints = typing.get_type_hints(function, include_extras=True)
    documented = _arguments_of(function.__doc__ or "")
    words, rows = [f"cpc {entry.name}"], []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "options":
            continue
        shown, placed = _argument(parameter, hints[parameter.name])
        words += placed
        rows.append(f"| `{shown}` | {documented.get(parameter.name, '')} |")
    lines = [f"### cpc {entry.name}", "", entry.summary, "", "```", " ".join(words), "```"]
    if rows:
        lines += ["", "| argument | meaning |", "|---|---|", *rows]
    examples = "Examples" if len(entry.examples) > 1 else "Example"
    lines += ["", f"{examples}:", "", "```", *entry.examples, "```"]
    return "\n".join(lines)


def _argument(parameter: inspect.Parameter, hint: Any) -> tuple[str, list[str]]:
    """An argument as the table shows it, and as it stands in the usage line (required ones)."""
    given = parameter.default is not inspect.Parameter.empty
    extras = [extra for extra in getattr(hint, "__metadata__", ()) if hasattr(extra, "name")]
    bare = typing.get_args(hint)[0] if extras else hint
    word = parameter.name.upper()
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{word}...", [f"[{word}...]"]
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return word, [f"[{word}]" if given else word]
    names = extras[0].name if extras and extras[0].name else None
    listed = [names] if isinstance(names, str) else list(names or ())
    flags = ", ".join(listed or [f"--{parameter.name.replace('_', '-')}"])
    if bare is bool:
        return flags, []
    value = parameter.name.upper().replace("_", "-")
    choices = typing.get_args(bare) if typing.get_origin(bare) is typing.Literal else ()
    shown = f"{flags} {' / '.join(choices) if choices else value}"
    return shown, [] if given else [shown]


def _arguments_of(doc: str) -> dict[str, str]:
    section = doc.partition("Args:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + section).splitlines():
        head = re.match(r"(\w+): (.*)", line)
        if head:
            name = head[1]
            found[name] = head[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def errors() -> str:
    """All errors."""
    _import_errors()
    rows = []
    for cls in _walk(CopernicusError):
        code, status, leaves = cls.code, cls.status, cls.exit_code
        rows.append(f"| `{code}` | {status} | {leaves} | {_flat(cls.__doc__)} |")
    return "\n\n".join(
        [
            "# Errors",
            "Every refusal has a stable code, which stays when the sentence changes: in `--json` "
            "output, in the body of an HTTP answer (`{code, message}`), and as a class of "
            "`copernicus.errors` in Python. *Status* is that of HTTP, *exit* the exit code of "
            "`cpc`.",
            "| code | status | exit | meaning |\n|---|---|---|---|\n" + "\n".join(rows),
            "`cpc` itself adds `usage` (exit 2: the command was written wrongly) and `timeout` "
            "(exit 1: `cpc wait --timeout` is over; the project goes on).",
            "How the work of a project fails is another matter: a *failure* stands on its instance "
            "(`cpc why`), and the rest of the project goes on. Its causes are listed in the "
            "[failure model](../explanation/failure-model.md#why-a-job-failed).",
        ]
    )


def _import_errors() -> None:
    """Import every module that has an error class of its own."""
    for file in sorted(SOURCE.rglob("*.py")):
        if re.search(r"^    code(: .*)? = \"", file.read_text(encoding="utf-8"), re.MULTILINE):
            import_module(".".join(("copernicus", *file.relative_to(SOURCE).with_suffix("").parts)))


def _walk(cls: type[CopernicusError]) -> Iterator[type[CopernicusError]]:
    yield cls
    ours = [c for c in cls.__subclasses__() if c.__module__.startswith("copernicus.")]
    for child in sorted(ours, key=lambda c: (c.__module__ != "copernicus.errors", c.__module__)):
        yield from _walk(child)


def settings() -> str:
    """All settings of a server."""
    documented = _attributes(ServerSettings.__doc__ or "")
    rows = []
    for field in dataclasses.fields(ServerSettings):
        default = msgspec.json.encode(field.default).decode()
        rows.append(f"| `{field.name}` | `{default}` | {documented[field.name]} |")
    return "\n\n".join(
        [
            "# Settings of a server",
            "In `server.toml` in the server's folder (`lease_s = 60`), or in the environment of "
            f"the server (`{ENVIRONMENT_PREFIX}LEASE_S=60`), or, some, as arguments of "
            "`cpc server start`; the later wins. A wrong one stops the server at its start. Times "
            "are in seconds, sizes in bytes.",
            "| setting | default | meaning |\n|---|---|---|\n" + "\n".join(rows),
            "A worker is set by the arguments of [`cpc worker start`](cli.md#cpc-worker-start).",
        ]
    )


def _attributes(doc: str) -> dict[str, str]:
    return _arguments_of(doc.replace("Attributes:\n", "Args:\n"))


def journal() -> str:
    """All edits and events."""
    return "\n\n".join(
        [
            "# Edits and events",
            "What somebody asks for is an *edit*; what then holds is an *event*. Events are "
            "appended to the project's journal and never changed; the state of a project is what "
            "its journal tells, folded from the start. `GET /v1/projects/{project}/journal` gives "
            "them with their positions, `/events` as they happen (`cpc watch --json`). Each is an "
            "object whose `type` is the name below.",
            "## Edits",
            "Sent as a list, which is one transaction: all are carried out, or none "
            "(`POST /v1/projects/{project}/edits`).",
            *(_struct(cls) for cls in typing.get_args(edits.Edit)),
            "## Events",
            *(_struct(cls) for cls in typing.get_args(events.Event)),
        ]
    )


def _struct(cls: type[msgspec.Struct]) -> str:
    tag = cls.__struct_config__.tag
    fields = ", ".join(f"`{name}`" for name in cls.__struct_fields__) or "none"
    return f"### {tag}\n\n{_flat(cls.__doc__)} Fields: {fields}."


def functions() -> str:
    """All functions of the modules in this repository."""
    found = discover()
    if found.broken:
        raise SystemExit(f"modules that cannot be imported: {found.broken}")
    parts = [
        "# Functions",
        "The functions of the modules that come with Copernicus, as `cpc functions info NAME` "
        "shows them. A port with a default, or of a type `T | None`, may be left unset. *extends*: "
        "a change of this input continues work instead of starting it again.",
    ]
    for name in MODULES:
        module = found.modules[name]
        parts.append(f"## {name}\n\n{module.doc}")
        parts += [_function(f.spec) for f in module.functions.values()]
    return "\n\n".join(parts)


def _function(spec: FunctionSpec) -> str:
    needs = spec.program
    asks = (
        f", runs {needs.name} {needs.versions}".rstrip() if needs and spec.kind == "program" else ""
    )
    lines = [f"### {spec.name}", "", f"*{spec.kind}{asks}*", "", spec.doc.strip()]
    for title, ports in (("input", spec.inputs), ("output", spec.outputs)):
        if ports:
            lines += ["", f"| {title} | type | meaning |", "|---|---|---|"]
            lines += [_port(port, is_input=title == "input") for port in ports]
    return "\n".join(lines)


def _port(port: Port, *, is_input: bool) -> str:
    said = [_flat(port.doc)] if port.doc else []
    if is_input and not port.required and port.default is not None:
        said.append(f"Default: `{msgspec.json.encode(port.default).decode()}`.")
    if port.on_change != "finish":
        said.append(
            {"extend": "*Extends.*", "cancel": "A change stops work under way."}[port.on_change]
        )
    kind = describe(port.type).replace("|", "\\|")
    return f"| `{port.name}` | `{kind}` | {' '.join(said)} |"


def http_api() -> str:
    """All routes."""
    doc = inspect.cleandoc(import_module("copernicus.server.http").__doc__ or "")
    routes = doc.partition("\n\n")[2]
    return "\n\n".join(
        [
            "# HTTP API",
            "A running server describes its user port as OpenAPI 3.1 at "
            "`https://HOST:14807/schema/openapi.json`; that is the full reference, with all "
            "fields. Here are the routes. The bodies are the structs of `copernicus/protocol/`. "
            "There is no web interface yet.",
            "The version of the protocol is in the path (`/v1`). TLS 1.3 only; the server's "
            "certificate is signed by its own authority, whose certificate is in `client.cpc`.",
            routes,
        ]
    )


def python() -> str:
    """The Python client."""
    client = import_module("copernicus.client")
    parts = [
        "# Python",
        "The client in Python; the [guide](../how-to/use-python.md) shows it at work. `Client` and "
        "`AsyncClient` are also in `copernicus`, all else is in `copernicus.client`; errors are in "
        "`copernicus.errors` ([list](errors.md)), what is shown of things in "
        "`copernicus.protocol`.",
    ]
    for name in _PYTHON:
        cls = getattr(client, name)
        parts += [f"## {name}", _prose(cls)]
        parts += [_member(cls, member) for member in _members(cls)]
    parts += ["## asyncio"]
    for name in ("AsyncClient", "AsyncProject"):
        cls = getattr(client, name)
        own = [m for m in _members(cls) if not _is_awaited(inspect.getattr_static(cls, m))]
        parts += [f"### {name}", _prose(cls), *(_member(cls, member) for member in own)]
    return "\n\n".join(part for part in parts if part)


_PYTHON = ("Client", "Project", "Instance", "Input", "Output", "RemoteFile", "Record", "FileCache")


_OWNERS = {"RemoteFile": "file", "FileCache": "cache", "AsyncProject": "project"}


def _members(cls: type) -> list[str]:
    ours = [c for c in cls.__mro__ if c.__module__.startswith("copernicus.client")]
    return [n for c in reversed(ours) for n in vars(c) if not n.startswith("_") and _said(cls, n)]


def _said(cls: type, name: str) -> str:
    member = inspect.getattr_static(cls, name)
    return inspect.getdoc(member) or "" if callable(member) or _is_special(member) else ""


def _is_special(member: object) -> bool:
    return isinstance(member, property | classmethod)


def _is_awaited(member: object) -> bool:
    """Whether it is a method of the synchronous class, awaited: described there."""
    return hasattr(member, "__wrapped__") and not inspect.isasyncgenfunction(member.__wrapped__)


def _member(cls: type, name: str) -> str:
    member = inspect.getattr_static(cls, name)
    owner = _OWNERS.get(cls.__name__, cls.__name__.lower())
    if isinstance(member, property):
        head = f"{owner}.{name}"
    else:
        function = member.__func__ if isinstance(member, classmethod) else member
        before = f"{cls.__name__}." if isinstance(member, classmethod) else f"{owner}."
        head = f"{before}{name}{_signature(function)}"
    return f"`{head}`\n\n{_prose(member)}"


def _signature(function: Callable[..., Any]) -> str:
    found = inspect.signature(function)
    kept = [p for name, p in found.parameters.items() if name not in ("self", "cls")]
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(found.replace(parameters=kept)))


def _prose(thing: object) -> str:
    """A docstring as text, its sections as lists."""
    lines = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        section = re.fullmatch(r"(Args|Returns|Raises|Attributes):", line)
        entry = re.fullmatch(r"    (\w+): (.*)", line)
        if section:
            lines.append(f"{section[1]}:\n")
        elif entry:
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(line if not line.startswith("    ") else f"  {line.strip()}")
    return "\n".join(lines)


def _flat(doc: str | None) -> str:
    return " ".join((doc or "").replace("``", "`").split())


def reliability() -> str:
    """The page of faults with the tests of each row in its last column; the rest is by hand."""
    found: dict[int, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name, number in FAULT_TEST.findall(path.read_text(encoding="utf-8")):
            found.setdefault(int(number), set()).add(name)

    def fill(row: re.Match[str]) -> str:
        names = sorted(found.get(int(row[1]), ()))
        return f"{row[0][: row.start(2) - row.start()]}{_tests(names)} |"

    return FAULT_ROW.sub(fill, RELIABILITY.read_text(encoding="utf-8"))


def _tests(names: list[str]) -> str:
    return "<br>".join(f"`{name}`" for name in names) or "open"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli,
    "errors.md": errors,
    "settings.md": settings,
    "events.md": journal,
    "functions.md": functions,
    "http-api.md": http_api,
    "python.md": python,
}


def _written() -> dict[Path, str]:
    """What each page should be."""
    pages = {HERE / name: _page(made) for name, made in PAGES.items()}
    return {**pages, RELIABILITY: reliability()}


def outdated() -> list[str]:
    """The pages whose text is not what the code says."""
    return [
        str(path.relative_to(ROOT))
        for path, text in _written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _page(made: Callable[[], str]) -> str:
    text = re.sub(r"(?<!`)``(?!`)", "`", made()).replace("::\n", ":\n")
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return f"{NOTE}\n{text}\n"


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    if parser.parse_args().check:
        found = outdated()
        for name in found:
            print(f"{name} is not up to date: python docs/reference/generate.py")
        return 1 if found else 0
    for path, text in _written().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
