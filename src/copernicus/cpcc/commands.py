"""The old client's commands, each as what is done now."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from copernicus.cli.main import main as cpc
from copernicus.client import Client
from copernicus.cpcc import building
from copernicus.cpcc.functions import function_now
from copernicus.cpcc.session import OldProject, Session
from copernicus.cpcc.words import function_name, read_item
from copernicus.errors import BadValue, NotFound

Handler = Callable[["Call"], int]


class Call(NamedTuple):
    """One use of a command: its arguments, its options, the project that ``-p`` named."""

    arguments: tuple[str, ...]
    options: dict[str, str]
    project: str

    @property
    def first(self) -> str:
        """The first argument, or ``""``."""
        return self.arguments[0] if self.arguments else ""

    @property
    def in_project(self) -> list[str]:
        """The option of ``cpc`` that names the project."""
        return ["-p", self.project] if self.project else []

    def opened(self) -> OldProject:
        """The project, with the transaction that is open in it."""
        client = Client()
        return OldProject(client, self.project or client.current_project(), Session())


class Command(NamedTuple):
    """A command: names, arguments as they are shown, how many, options with a value, flags."""

    names: tuple[str, ...]
    usage: str
    least: int
    most: int
    run: Handler
    valued: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def say(text: str) -> int:
    """Print a line; 0."""
    print(text)
    return 0


# --- servers and logins


def add_server(call: Call) -> int:
    """``add-server``: the address is used by the next login."""
    host = call.first
    port = call.arguments[1] if len(call.arguments) > 1 else "14807"
    session, name = Session(), call.options.get("-n", host)
    if name in session.kept.servers:
        raise BadValue(f"There is a server {name!r} already: cpcc use-server {name}")
    local = host.startswith("https://") or Path(host).is_file()
    session.kept.servers[name] = host if local else f"https://{host}:{port}"
    session.kept.server = name
    session.save()
    return say(f"{name} is {session.kept.servers[name]}: cpcc login USER")


def list_servers(call: Call) -> int:
    """``list-server``."""
    del call
    for name, address in Session().kept.servers.items():
        print(f"{name}  {address}")
    return cpc(["profile", "list"])


def use_server(call: Call) -> int:
    """``use-server``: a server that was added, or a login of ``cpc profile list``."""
    session = Session()
    if call.first not in session.kept.servers:
        return cpc(["profile", "use", call.first])
    session.kept.server = call.first
    session.save()
    return say(f"{call.first} is {session.kept.servers[call.first]}: cpcc login USER")


def login(call: Call) -> int:
    """``login``: at the server that was chosen, else that of the current login."""
    session = Session()
    address = session.kept.servers.get(session.kept.server, "")
    if not address:
        from copernicus.client.profiles import Profiles

        address = Profiles().get()[1].urls[0]
    stdin = ["--password-file", "-"] if "-stdin" in call.options else []
    return cpc(["login", address, "--user", call.first, *stdin])


# --- projects


def current(call: Call) -> int:
    """``pwd``."""
    del call
    return say(Client().current_project())


def remove(call: Call) -> int:
    """``remove``: asks at a terminal; a script means it."""
    sure = [] if sys.stdin.isatty() else ["--yes"]
    return cpc(["project", "delete", call.first, *sure])


def save(call: Call) -> int:
    """``save``."""
    file = call.arguments[1] if len(call.arguments) > 1 else f"{call.first}.cpcproject"
    return cpc(["project", "save", file, "-p", call.first])


def import_module(call: Call) -> int:
    """``import``: modules are there from the start; one that is not is an error."""
    module = function_name(call.first)
    known = sorted({view.spec.name.rpartition(".")[0] for view in Client().functions()})
    if module not in known:
        raise NotFound(f"The server has no module {module!r}; it has: {', '.join(known)}")
    return say(f"{module} is there")


def list_modules(call: Call) -> int:
    """``list-modules``."""
    del call
    return say("\n".join(sorted({v.spec.name.rpartition(".")[0] for v in Client().functions()})))


def info(call: Call) -> int:
    """``info``: a function, or the functions of a module."""
    name = function_name(call.first)
    inside = [view.spec.name for view in Client().functions()]
    inside = [found for found in inside if found.rpartition(".")[0] == name]
    if inside:
        return say("\n".join(inside))
    return cpc(["functions", "info", function_now(call.first).function])


# --- building and looking


def building_command(do: Callable[..., str], *kinds: type) -> Handler:
    """A command that changes the network, with a line that says what was done."""

    def run(call: Call) -> int:
        project = call.opened()
        given = [kind(word) for kind, word in zip(kinds, call.arguments, strict=True)]
        done = do(project, *given)
        waits = project.waiting is not None and do is not building.place
        return say(f"{done} (at cpcc commit)" if waits else done)

    return run


def begin(call: Call) -> int:
    """``transact``."""
    project = call.opened()
    project.begin()
    return say(f"A transaction is open in {project.name}: set, set-file and connect wait for it")


def end(*, commit: bool) -> Handler:
    """``commit`` or ``rollback``."""

    def run(call: Call) -> int:
        count = call.opened().end(commit=commit)
        return say(f"{count} changes {'are made' if commit else 'are forgotten'}")

    return run


def list_item(call: Call) -> int:
    """``list``: the project, an instance, or a value."""
    if not call.first:
        return cpc(["status", *call.in_project])
    item = read_item(call.first)
    return get(call) if item.port else cpc(["show", item.instance, *call.in_project])


def get(call: Call) -> int:
    """``get``: a value; files by their names, nothing as ``None``."""
    item = read_item(call.first)
    if item.side == "msg":
        word = "log" if item.port == "log" else "why"
        return cpc([word, item.instance, *call.in_project])
    if not item.side:
        return cpc(["show", item.instance, *call.in_project])
    from copernicus.cli.values import text_of

    project = call.opened()
    view = project.value(building.path_of(project, item))
    return say("None" if view.state in ("unset", "waiting") else text_of(_named(view.value)))


def _named(value: object) -> object:
    from copernicus.model.values import is_file

    if isinstance(value, dict):
        if is_file(value):
            return value["name"]
        return {name: _named(inner) for name, inner in value.items()}
    return [_named(inner) for inner in value] if isinstance(value, list) else value


def get_file(call: Call) -> int:
    """``get-file``: to standard output, unless ``-f`` names a file."""
    from copernicus.client import RemoteFile

    project = call.opened()
    path = building.path_of(project, read_item(call.first))
    file = project.get(path)
    if not isinstance(file, RemoteFile):
        raise BadValue(f"{path} is no file: cpcc get {call.first}")
    target = call.options.get("-f")
    if target:
        file.download(target)
    else:
        sys.stdout.buffer.write(file.read_bytes())
        sys.stdout.buffer.flush()
    return 0


def graph(call: Call) -> int:
    """``graph``: the network for Graphviz."""
    project = call.opened()
    lines = []
    for view in project.instances():
        if view.parent == call.first.replace(":", "/"):
            lines.append(f'  "{view.path}" [label="{view.path}\\n{view.function}", shape=box];')
            for port in project.instance_detail(view.path, count=1).inputs:
                source, out, output = port.source.partition(".out.")
                if out:
                    start = source.partition("[")[0]
                    lines.append(f'  "{start}" -> "{view.path}" [label="{output}:{port.name}"];')
    return say("\n".join(["digraph network {", *lines, "}"]))


def on_instance(*words: str) -> Handler:
    """A command of ``cpc`` that takes an instance, or none for all."""

    def run(call: Call) -> int:
        path = [read_item(call.first).path()] if call.first else []
        return cpc([*words, *path, *call.in_project])

    return run


def as_it_is(*words: str) -> Handler:
    """A command of ``cpc`` that takes the same arguments."""
    return lambda call: cpc([*words, *call.arguments])


def with_project(*words: str) -> Handler:
    """A command of ``cpc`` about a project, named as argument or by ``-p``."""

    def run(call: Call) -> int:
        named = ["-p", call.first] if call.first else call.in_project
        return cpc([*words, *named])

    return run


def clear_error(call: Call) -> int:
    """``clear-error``: what failed, in an instance or anywhere, runs again."""
    if call.first:
        return cpc(["retry", read_item(call.first).path(), "--failed", *call.in_project])
    call.opened().retry("", failed=True)
    return say("What failed runs again")


def load(call: Call) -> int:
    """``load``."""
    return cpc(["project", "load", call.arguments[0], "--name", call.arguments[1]])


def grant(call: Call) -> int:
    """``grant-access``."""
    return cpc(["project", "share", call.first, *call.in_project])
