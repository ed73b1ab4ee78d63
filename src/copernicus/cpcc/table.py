"""The table of all commands of the old client: those there are, and those that are gone."""

from __future__ import annotations

from pathlib import Path

from copernicus.cpcc import building
from copernicus.cpcc import commands as do
from copernicus.cpcc.commands import Command

_AT_ONCE = "everything is kept at once, and settings are read at the start of the server"
_SERVERS = "servers are connected by their administrators, not by this client"

COMMANDS: tuple[Command, ...] = (
    Command(("add-server",), "[-n name] host [port]", 1, 2, do.add_server, ("-n",)),
    Command(("list-server",), "", 0, 0, do.list_servers),
    Command(("use-server",), "name", 1, 1, do.use_server),
    Command(("login",), "[-stdin] user", 1, 1, do.login, flags=("-stdin",)),
    Command(("add-user",), "user", 1, 1, do.as_it_is("user", "add")),
    Command(("delete-user",), "user", 1, 1, do.as_it_is("user", "remove")),
    Command(("users",), "", 0, 0, do.as_it_is("user", "list")),
    Command(("grant-access",), "user", 1, 1, do.grant),
    Command(("projects", "p"), "", 0, 0, do.as_it_is("project", "list")),
    Command(("start",), "name", 1, 1, do.as_it_is("project", "create")),
    Command(("remove", "rm"), "name", 1, 1, do.remove),
    Command(("cd", "set-default"), "name", 1, 1, do.as_it_is("project", "use")),
    Command(("pwd", "get-default"), "", 0, 0, do.current),
    Command(("list", "ls"), "[item]", 0, 1, do.list_item),
    Command(("get",), "item", 1, 1, do.get),
    Command(("getf", "get-file"), "[-f file] item", 1, 1, do.get_file, ("-f",)),
    Command(("info",), "function|module", 1, 1, do.info),
    Command(("log",), "instance", 1, 1, do.on_instance("log")),
    Command(("graph",), "[instance]", 0, 1, do.graph),
    Command(("list-modules",), "", 0, 0, do.list_modules),
    Command(("import",), "module", 1, 1, do.import_module),
    Command(("instance",), "function name", 2, 2, do.building_command(building.place, str, str)),
    Command(("connect",), "source target", 2, 2, do.building_command(building.connect, str, str)),
    Command(("set",), "item value", 2, 2, do.building_command(building.set_value, str, str)),
    Command(
        ("setf", "set-file"), "item file", 2, 2, do.building_command(building.set_file, str, Path)
    ),
    Command(("transact",), "", 0, 0, do.begin),
    Command(("commit",), "", 0, 0, do.end(commit=True)),
    Command(("rollback",), "", 0, 0, do.end(commit=False)),
    Command(("activate",), "[instance]", 0, 1, do.on_instance("activate")),
    Command(("deactivate", "hold"), "[instance]", 0, 1, do.on_instance("hold")),
    Command(("clear-error",), "[instance]", 0, 1, do.clear_error),
    Command(("force-rerun",), "instance", 1, 1, do.on_instance("retry")),
    Command(("save",), "project [file]", 1, 2, do.save),
    Command(("load",), "file name", 2, 2, do.load),
    Command(("status", "s"), "[project]", 0, 1, do.with_project("status")),
    Command(("queue", "q"), "", 0, 0, do.as_it_is("queue")),
    Command(("running", "r"), "", 0, 0, do.as_it_is("queue")),
    Command(("heartbeats", "h"), "", 0, 0, do.as_it_is("worker", "list")),
    Command(("server-info", "ping"), "", 0, 0, do.as_it_is("whoami")),
    Command(("version",), "", 0, 0, do.as_it_is("--version")),
)

GONE: dict[str, str] = {
    "upload": "a program is described in a TOML file (cpc define FILE), a workflow in Python",
    "promote-user": "an administrator is made as one: cpc user add NAME --admin",
    "demote-user": "remove the administrator, and add the user again: cpc user remove NAME",
    "debug": "cpc show NAME, cpc why NAME and cpc trace PATH say what is there",
    "command-failed": "a lost worker is noticed by itself; cpc worker revoke takes its jobs back",
    "readconf": _AT_ONCE,
    "save-state": _AT_ONCE,
    "stop-server": "cpc server stop, on the server's machine",
    "trust": _SERVERS,
    "revoke": _SERVERS,
    "connect-server": _SERVERS,
    "connected-servers": _SERVERS,
    "cs": _SERVERS,
    "change-node-priority": _SERVERS,
    "set-pri": _SERVERS,
    "network": _SERVERS,
    "network-graph": _SERVERS,
}


def usage() -> str:
    """All commands, one a line."""
    lines = [f"  {', '.join(c.names)} {c.usage}".rstrip() for c in COMMANDS]
    head = "cpcc takes the commands of the first Copernicus. What is new is in cpc --help.\n"
    return "\n".join([head, *lines, "", "Of a project that is not the current one: -p PROJECT"])
