"""A network as TOML: to read, to compare line by line, to keep in a repository, to make again."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import msgspec

from copernicus.client.diff import path_of
from copernicus.errors import BadDefinition, BadValue, CopernicusError
from copernicus.model.document import InstanceDocument, NetworkDocument, readable
from copernicus.model.functions import FunctionSpec
from copernicus.model.network import Collect, Item, Literal, OutRef, Single, Source
from copernicus.model.paths import check_name, parse
from copernicus.model.resources import Resources
from copernicus.model.toml_text import read_toml
from copernicus.model.values import File, files_in

FORMAT = 1
_FILE = frozenset(("file", "size", "sha256"))
_INSTANCE = ("function", "version", "map", "held", "resources", "set", "connect")
_INSIDE = ("held", "set", "connect")


def write_network(network: NetworkDocument, project: str) -> str:
    """The text of a network; equal networks give equal text, but for the line that names them."""
    import tomli_w

    whole: dict[str, Any] = {"format": FORMAT}
    if network.instances:
        whole["instance"] = {
            path: _instance(one, network) for path, one in network.instances.items()
        }
    inside = _inside(network)
    if inside:
        whole["inside"] = inside
    if network.functions:
        whole["function"] = {spec.name: _function(spec) for spec in network.functions}
    head = f"# The network of {project} at revision {network.revision}: cpc network import FILE\n"
    return head + tomli_w.dumps(whole)


def files_of(network: NetworkDocument) -> list[File]:
    """The files that the inputs hold, each once."""
    sources = [s for one in network.instances.values() for s in one.inputs.values()]
    found = {}
    for source in (*sources, *network.pins.values()):
        for file in files_in(msgspec.to_builtins(source)):
            found[file.sha256, file.name] = file
    return list(found.values())


def _function(spec: FunctionSpec) -> dict[str, Any]:
    facts = _without_nothing(msgspec.to_builtins(spec))
    return {key: _written(fact) for key, fact in facts.items() if key != "name"}


def _without_nothing(value: Any) -> Any:
    """Without what is not said, since it is so by default; values of ports are left as they are."""
    if isinstance(value, dict):
        return {
            key: one if key == "default" else _without_nothing(one)
            for key, one in value.items()
            if one is not None
        }
    return [_without_nothing(one) for one in value] if isinstance(value, list | tuple) else value


def _instance(one: InstanceDocument, network: NetworkDocument) -> dict[str, Any]:
    table: dict[str, Any] = {"function": one.function}
    if one.version:
        table["version"] = one.version
    if one.mapped:
        table["map"] = list(one.mapped)
    if one.held:
        table["held"] = True
    if one.resources is not None:
        table["resources"] = msgspec.to_builtins(one.resources) or {"cores": one.resources.cores}
    return {**table, **_sources(one.inputs, network)}


def _sources(inputs: Mapping[str, Source], network: NetworkDocument) -> dict[str, Any]:
    values: dict[str, Any] = {}
    connections: dict[str, Any] = {}
    for port, source in sorted(inputs.items()):
        found = readable(source, network.elements)
        if isinstance(found, Literal):
            values[port] = _written(found.value)
        elif isinstance(found, Collect):
            connections[port] = [_item(item.source) for item in found.items]
        else:
            connections[port] = path_of(found)
    return {k: v for k, v in (("set", values), ("connect", connections)) if v}


def _item(source: Single) -> Any:
    return {"value": _written(source.value)} if isinstance(source, Literal) else path_of(source)


def _inside(network: NetworkDocument) -> dict[str, Any]:
    held: dict[str, dict[str, Any]] = {path: {"held": True} for path in network.held_inside}
    pinned: dict[str, dict[str, Source]] = {}
    for target, source in network.pins.items():
        address = parse(target)
        pinned.setdefault(address.instance, {})[str(address.port)] = source
    return {
        path: {**held.get(path, {}), **_sources(pinned.get(path, {}), network)}
        for path in sorted({*held, *pinned})
    }


def _written(value: Any) -> Any:
    """Plain data as TOML has it: files and nothing as small tables that cannot be anything else."""
    if value is None:
        return {"null": True}
    if isinstance(value, list | tuple):
        return [_written(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$file", "size", "name"}:
        return {"file": value["name"], "size": value["size"], "sha256": value["$file"]}
    inside = {key: _written(inner) for key, inner in value.items()}
    return {"value": inside} if _is_marked(inside) else inside


def _is_marked(table: Mapping[str, Any]) -> bool:
    return set(table) in (_FILE, {"value"}) or dict(table) == {"null": True}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if set(value) == _FILE:
        return {"$file": value["sha256"], "size": value["size"], "name": value["file"]}
    if value == {"null": True}:
        return None
    if set(value) == {"value"} and isinstance(value["value"], dict):
        return {key: _read(inner) for key, inner in value["value"].items()}
    return {key: _read(inner) for key, inner in value.items()}


class _Reader:
    """Reads one text; what is wrong is told with its line."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def wrong(self, keys: tuple[str, ...], reason: str) -> NoReturn:
        line = _line_of(self.text, keys)
        place = f", line {line}" if line else ""
        raise BadDefinition(f"{self.name}{place}: {'.'.join(keys)}: {reason}")

    def table(self, value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.wrong(keys, f"write a table, as in [{'.'.join(keys)}], not {value!r}")
        return value

    def known(
        self, table: Mapping[str, Any], names: tuple[str, ...], keys: tuple[str, ...]
    ) -> None:
        for key in table:
            if key not in names:
                near = get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it may be: {', '.join(names)}"
                self.wrong((*keys, key), f"this is not known here; {hint}")

    def network(self) -> NetworkDocument:
        try:
            whole = read_toml(self.text)
        except tomllib.TOMLDecodeError as error:
            raise BadDefinition(f"{self.name}: this is no TOML: {error}") from None
        self.known(whole, ("format", "instance", "inside", "function"), ())
        if whole.get("format") != FORMAT:
            self.wrong(("format",), f"this reads format = {FORMAT}, not {whole.get('format')!r}")
        inside = self.table(whole.get("inside", {}), ("inside",))
        instances = self.table(whole.get("instance", {}), ("instance",))
        pins: dict[str, Source] = {}
        for path, given in inside.items():
            keys = ("inside", path)
            self.known(self.table(given, keys), _INSIDE, keys)
            found = self.sources(given, keys)
            pins |= {f"{path}.in.{port}": source for port, source in found.items()}
        return NetworkDocument(
            instances={path: self.instance(path, given) for path, given in instances.items()},
            functions=tuple(self.functions(whole.get("function", {}))),
            held_inside=tuple(p for p, given in inside.items() if given.get("held")),
            pins=pins,
        )

    def functions(self, given: Any) -> Iterator[FunctionSpec]:
        for name, table in self.table(given, ("function",)).items():
            keys = ("function", name)
            try:
                spec = {"name": name, **_read(self.table(table, keys))}
                yield msgspec.convert(spec, FunctionSpec)
            except msgspec.ValidationError as error:
                self.wrong(keys, f"this is no function: {error}")

    def instance(self, path: str, given: Any) -> InstanceDocument:
        keys = ("instance", path)
        try:
            check_name(path)
        except CopernicusError as error:
            self.wrong(keys, error.message)
        table = self.table(given, keys)
        self.known(table, _INSTANCE, keys)
        if not isinstance(table.get("function"), str):
            self.wrong(keys, 'it lacks its function: write function = "module.name"')
        facts = {
            "function": table["function"],
            "version": table.get("version", ""),
            "mapped": table.get("map", []),
            "held": table.get("held", False),
        }
        try:
            if "resources" in table:
                facts["resources"] = msgspec.convert(table["resources"], Resources)
            made = msgspec.convert(facts, InstanceDocument)
        except msgspec.ValidationError as error:
            self.wrong(keys, str(error))
        return msgspec.structs.replace(made, inputs=self.sources(table, keys))

    def sources(self, table: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Source]:
        values = self.table(table.get("set", {}), (*keys, "set"))
        connections = self.table(table.get("connect", {}), (*keys, "connect"))
        found: dict[str, Source] = {}
        for port, value in values.items():
            found[port] = Literal(self.value(value, (*keys, "set", port)))
        for port, source in connections.items():
            where = (*keys, "connect", port)
            if port in found:
                self.wrong(where, "it is set already, under set: keep one of them")
            found[port] = self.connection(source, where)
        return found

    def value(self, given: Any, where: tuple[str, ...]) -> Any:
        read = _read(given)
        try:
            msgspec.json.encode(read)
            return msgspec.json.decode(msgspec.json.encode(read))
        except (TypeError, ValueError) as error:
            self.wrong(where, f"this is no value of a port: {error}")

    def connection(self, given: Any, where: tuple[str, ...]) -> Source:
        if isinstance(given, list):
            return Collect(tuple(Item("", self.item(one, where)) for one in given))
        return self.reference(given, where)

    def item(self, given: Any, where: tuple[str, ...]) -> Single:
        if isinstance(given, dict) and set(given) == {"value"}:
            return Literal(self.value(given["value"], where))
        return self.reference(given, where)

    def reference(self, given: Any, where: tuple[str, ...]) -> OutRef:
        remedy = 'write an output, as in "prep.out.tpr" or "prep.out.tpr[0]"'
        if not isinstance(given, str):
            self.wrong(where, f"{remedy}, not {given!r}")
        try:
            address = parse(given)
        except BadValue as error:
            self.wrong(where, error.message)
        if address.side != "out" or address.port is None or "+" in address.steps:
            self.wrong(where, f"{given!r} is no output: {remedy}")
        return OutRef(address.instance, address.port, steps=address.steps)


def read_network(text: str, name: str) -> NetworkDocument:
    """The network that a text tells.

    Raises:
        BadDefinition: It is no such text; the message names the line, the key and the remedy.
    """
    return _Reader(text, name).network()


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line of a key, or of the nearest table around it; 0 if neither is found."""
    lines = text.split("\n")
    here, best, deepest = "", 0, 0
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[+([^\]]+)\]", line)
        key = re.match(r'\s*("[^"]*"|[\w$-]+)\s*=', line)
        if header:
            here = header[1].replace('"', "")
            place = here
        elif key:
            place = f"{here}.{key[1].strip(chr(34))}".lstrip(".")
        else:
            continue
        wanted = ".".join(keys)
        fits = wanted == place or wanted.startswith(f"{place}.")
        if fits and len(place) > deepest:
            best, deepest = number, len(place)
    return best
