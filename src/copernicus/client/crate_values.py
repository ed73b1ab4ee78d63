"""Values of a project as entities of a crate: each once, however many activations share it."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from copernicus.engine.showing import shorten
from copernicus.engine.state import ProjectState
from copernicus.model.functions import Port
from copernicus.model.network import Collect, Literal
from copernicus.model.types import (
    BoolType,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    PortType,
    StrType,
)
from copernicus.model.values import File, digest, files_in

PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/ro/wfrun/provenance/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_LONG = 10_000
Reference = dict[str, str]
Found = tuple[str, str, dict[str, Any]]


def parameter_id(tool: str, side: str, port: str) -> str:
    """The formal parameter of a port of a function."""
    return f"{tool}-{side}-{port}"


class Values:
    """Collects values and parameters; ``entities`` gives them when everything was seen."""

    def __init__(self) -> None:
        self.with_files = False
        self.files: dict[str, File] = {}
        self.gone: set[str] = set()
        self.tools: dict[str, dict[str, Any]] = {}
        self._ports: dict[str, Port] = {}
        self._examples: dict[str, dict[str, None]] = {}
        self._entities: dict[str, tuple[str, dict[str, Any]]] = {}

    def know_ports(self, tool: str, side: str, ports: Iterable[Port]) -> None:
        """Ports of which there may be values."""
        for port in ports:
            self._ports[parameter_id(tool, side, port.name)] = port

    def of(self, values: Mapping[str, Any], tool: str = "", side: str = "") -> list[Reference]:
        """References to values by port; what was not set is none."""
        found: dict[str, None] = {}
        for port, value in values.items():
            if value is not None:
                found.update(dict.fromkeys(self._value(value, port, tool, side)))
        return [{"@id": entity} for entity in found]

    def _value(self, value: Any, port: str, tool: str, side: str) -> list[str]:
        parameter = parameter_id(tool, side, port)
        files = list(files_in(value))
        made = [self._file(file) for file in files] if files else [self._plain(value, port)]
        if parameter in self._ports:
            examples = self._examples.setdefault(parameter, {})
            for entity in made:
                examples[entity] = None
        return made

    def _file(self, file: File) -> str:
        name = file.name.replace("\\", "/").rpartition("/")[2]
        safe = name if name not in ("", ".", "..") else "file"
        if self.with_files and file.sha256 not in self.gone:
            entity = f"files/{file.sha256[:16]}/{safe}"
        else:
            raw = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).decode().rstrip("=")
            entity = f"ni:///sha-256;{raw}"
        if entity not in self._entities:
            known = {
                "name": file.name,
                "contentSize": str(file.size),
                "sha256": file.sha256,
                "encodingFormat": mimetypes.guess_type(safe)[0] or "application/octet-stream",
            }
            if file.sha256 in self.gone:
                known["description"] = "removed by a rule of retention; its activation made it"
            else:
                self.files[entity] = file
            self._entities[entity] = ("File", known)
        return entity

    def _plain(self, value: Any, port: str) -> str:
        entity = f"#value-{port}-{digest(value)[:24]}"
        if entity not in self._entities:
            scalar = isinstance(value, bool | int | float | str)
            text = value if scalar else msgspec.json.encode(value).decode()
            if isinstance(text, str) and len(text) > _LONG:
                text = f"{shorten(value)} (sha256 of its JSON: {digest(value)})"
            self._entities[entity] = ("PropertyValue", {"name": port, "value": text})
        return entity

    def set_by_hand(self, state: ProjectState) -> list[Reference]:
        """What users have set at the top of the network."""
        found: dict[str, None] = {}
        for instance in state.instances.values():
            if instance.owner is not None:
                continue
            for port, source in instance.inputs.items():
                items = source.items if isinstance(source, Collect) else ()
                plain = [source, *(item.source for item in items)]
                for one in plain:
                    if isinstance(one, Literal):
                        found.update({ref["@id"]: None for ref in self.of({port: one.value})})
        return [{"@id": entity} for entity in found]

    def standing(self, state: ProjectState) -> list[Reference]:
        """What the instances at the top of the network have given, as it stands now."""
        found: dict[str, None] = {}
        for instance in state.instances.values():
            if instance.owner is None:
                for element in instance.elements.values():
                    made = state.activations.get(element.success or "")
                    if made is not None:
                        found.update({ref["@id"]: None for ref in self.of(made.outputs)})
        return [{"@id": entity} for entity in found]

    def entities(self) -> Iterator[Found]:
        """Kind, id and properties of all values, parameters and tools."""
        of_value: dict[str, list[Reference]] = {}
        for parameter, examples in self._examples.items():
            for entity in examples:
                of_value.setdefault(entity, []).append({"@id": parameter})
            port = self._ports[parameter]
            yield (
                "FormalParameter",
                parameter,
                {
                    "name": port.name,
                    "additionalType": _kind(port.type),
                    "valueRequired": port.required,
                    "conformsTo": {"@id": _PARAMETER},
                    "workExample": [{"@id": entity} for entity in examples],
                },
            )
        for entity, (kind, fields) in self._entities.items():
            works = of_value.get(entity)
            yield kind, entity, {**fields, **({"exampleOfWork": works} if works else {})}
        yield "CreativeWork", _PARAMETER, {"name": "FormalParameter", "version": "1.0-RELEASE"}
        for tool, fields in self.tools.items():
            sides = {"input": f"{tool}-in-", "output": f"{tool}-out-"}
            ports = {
                side: [{"@id": p} for p in self._examples if p.startswith(start)]
                for side, start in sides.items()
            }
            yield "SoftwareApplication", tool, {**fields, **ports}


def _kind(port_type: PortType) -> str:
    match port_type:
        case OptionalType(item=inner) | ListType(item=inner):
            return _kind(inner)
        case FileType():
            return "File"
        case IntType():
            return "Integer"
        case FloatType():
            return "Float"
        case BoolType():
            return "Boolean"
        case StrType():
            return "Text"
    return "PropertyValue"
