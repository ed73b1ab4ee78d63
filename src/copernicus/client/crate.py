"""A project as a research object: RO-Crate by the Provenance Run Crate profile, with rocrate.

The network is the crate's workflow, functions are its tools, activations its actions. A file that
is not in the crate is named by its SHA-256 (RFC 6920), so that whoever has it knows it again.
"""

from __future__ import annotations

import secrets
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rocrate.model import ContextEntity, DataEntity
from rocrate.rocrate import ROCrate

from copernicus.client.crate_values import PROFILES, Values
from copernicus.client.files import Progress
from copernicus.client.history import History, read_history
from copernicus.client.project import Project
from copernicus.client.values import RemoteFile
from copernicus.engine.absence import element_name
from copernicus.engine.instances import Activation
from copernicus.errors import BadValue, Conflict
from copernicus.model.jobs import AttemptRecord
from copernicus.version import __version__

WORKFLOW = "workflow.json"
README = "README.md"
UNSTATED = "not stated: ask the owners of the project"
_CRATE = "https://w3id.org/ro/crate/1.1"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_STATUS = {"succeeded": "Completed", "": "Active"}
Entity = dict[str, Any]


class CrateWriter:
    """Collects the entities of one project; all of it is linear in the activations."""

    def __init__(self, history: History, name: str, license_text: str) -> None:
        self.history = history
        self.state = history.state
        self.crate = ROCrate(version="1.1")
        # The words of RO-Crate 1.1 are older than this one of schema.org.
        self.crate.metadata.extra_terms["sha256"] = "http://schema.org/sha256"
        self.name = name
        self.values = Values()
        self.actions: list[str] = []
        self.controls: list[str] = []
        self.steps: dict[str, int] = {}
        self.functions: dict[str, None] = {}
        self._known: set[str] = set()
        root = self.crate.root_dataset
        root["name"] = f"Project {name} of Copernicus"
        root["description"] = f"Network, activations, inputs and results of the project {name}."
        root["license"] = {"@id": "#license"}
        root["datePublished"] = _time(history.last)
        self._owner = f"#user-{self.state.owner}"
        root["author"] = {"@id": self._owner}
        self._add("#license", "CreativeWork", name=license_text, description=license_text)
        self._add(self._owner, "Person", name=self.state.owner)
        self._add(
            "#copernicus", "SoftwareApplication", name="Copernicus", softwareVersion=__version__
        )

    def build(self) -> None:
        """Everything but the files' bytes.

        Raises:
            Conflict: Nothing has run yet.
        """
        if not self.state.activations:
            raise Conflict("The project has run nothing yet: there is nothing to export")
        for made in self.state.activations.values():
            self._activation(made)
        self._network()
        self._run()
        for kind, entity, fields in self.values.entities():
            self._add(entity, kind, **fields)
        root = self.crate.root_dataset
        root["conformsTo"] = [{"@id": profile} for profile in PROFILES]
        for profile in PROFILES:
            name, version = profile.rstrip("/").split("/")[-2:]
            self._add(profile, "CreativeWork", name=f"{name} profile", version=version)
        self.crate.metadata["conformsTo"] = [{"@id": _CRATE}, {"@id": _WORKFLOW_CRATE}]
        root["mainEntity"] = {"@id": WORKFLOW}
        root["mentions"] = [{"@id": "#run"}, *({"@id": a} for a in self.actions)]

    def _activation(self, made: Activation) -> None:
        found = self.state.instances.get(made.path)
        function = found.function if found else (made.job.function if made.job else made.path)
        tool = f"#function-{function}-{made.version}"
        self._function(tool, function, made.version)
        action = f"#{made.id}"
        self.actions.append(action)
        objects = self.values.of(made.inputs, tool, "in")
        results = self.values.of(made.outputs, tool, "out")
        name = element_name(found, made.eid) if found else made.path
        left_out = "; ".join(r for reasons in made.left_out.values() for r in reasons)
        fields: Entity = {
            "name": f"{name}: {function} {made.version} ({made.id})",
            "instrument": {"@id": tool},
            "object": objects,
            "result": results,
            "agent": {"@id": self._owner},
            "actionStatus": f"http://schema.org/{_STATUS.get(made.outcome, 'Failed')}ActionStatus",
            "startTime": _time(self._started(made)),
        }
        if made.id in self.history.ended:
            fields["endTime"] = _time(self.history.ended[made.id])
        if made.failure:
            fields["error"] = made.failure.reason
        said = [f"{function} {made.version} at {name}"]
        if made.parent:
            said.append(f"continues {made.parent}")
        if left_out:
            said.append(f"left out: {left_out}")
        fields["description"] = ". ".join(said)
        self._add(action, "CreateAction", **fields)
        for attempt in made.attempts:
            self._attempt(made, attempt)
        position = self.steps.setdefault(made.path, len(self.steps) + 1)
        step = f"#step-{position}"
        if step not in self._known:
            self._add(
                step, "HowToStep", name=made.path, position=position, workExample={"@id": tool}
            )
        control = f"#control-{made.id}"
        self.controls.append(control)
        self._add(
            control,
            "ControlAction",
            name=f"orchestrate {name}",
            instrument={"@id": step},
            object={"@id": action},
        )

    def _started(self, made: Activation) -> float:
        first = min((a.started for a in made.attempts if a.started), default=0.0)
        return first or self.history.opened.get(made.id, self.history.began)

    def _attempt(self, made: Activation, attempt: AttemptRecord) -> None:
        need = made.job.program.name if made.job else "program"
        program = f"#program-{need}-{attempt.program_version or 'unknown'}"
        host = f"#host-{attempt.host or attempt.worker}"
        self._add(
            program,
            "SoftwareApplication",
            name=need,
            softwareVersion=attempt.program_version or "unknown",
        )
        self._add(host, "Place", name=attempt.host or attempt.worker)
        code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
        times = {"startTime": _time(attempt.started), "endTime": _time(attempt.ended)}
        self._add(
            f"#{made.id}-attempt-{attempt.number}",
            "Action",
            name=f"attempt {attempt.number} of {made.id}",
            description=f"{attempt.outcome}, {attempt.cores} cores, worker {attempt.worker}{code}",
            instrument={"@id": program},
            location={"@id": host},
            object={"@id": f"#{made.id}"},
            **{name: at for name, at in times.items() if at},
        )

    def _function(self, tool: str, function: str, version: str) -> None:
        if tool in self.functions:
            return
        self.functions[tool] = None
        spec = self.state.functions.get(function, {}).get(version)
        fields: Entity = {"name": function, "softwareVersion": version}
        if spec is not None:
            fields["description"] = spec.doc or function
            for side, ports in (("in", spec.inputs), ("out", spec.outputs)):
                self.values.know_ports(tool, side, ports)
        self.values.tools[tool] = fields

    def _network(self) -> None:
        types = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
        self.crate.add(
            DataEntity(
                self.crate,
                WORKFLOW,
                properties={
                    "@type": types,
                    "name": "The network of the project",
                    "version": str(self.state.revision),
                    "conformsTo": {"@id": _WORKFLOW_PROFILE},
                    "encodingFormat": "application/json",
                    "programmingLanguage": {"@id": "#network"},
                    "hasPart": _plainly([{"@id": tool} for tool in self.functions]),
                    "step": _plainly([{"@id": f"#step-{n}"} for n in self.steps.values()]),
                },
            )
        )
        self._add("#network", "ComputerLanguage", name="Network of Copernicus")
        self._add(_WORKFLOW_PROFILE, "CreativeWork", name="ComputationalWorkflow", version="1.0")
        about = {"about": {"@id": "./"}, "encodingFormat": "text/markdown"}
        self._add(README, "File", name="What is in this crate", **about)

    def _run(self) -> None:
        first = {"startTime": _time(self.history.began), "endTime": _time(self.history.last)}
        self._add(
            "#run",
            "CreateAction",
            name="All that the project has run",
            description=f"{len(self.actions)} activations of {len(self.steps)} instances.",
            instrument={"@id": WORKFLOW},
            agent={"@id": self._owner},
            object=self.values.set_by_hand(self.state),
            result=self.values.standing(self.state),
            **first,
        )
        self._add(
            "#organize",
            "OrganizeAction",
            name="Orchestration by Copernicus",
            instrument={"@id": "#copernicus"},
            object=[{"@id": control} for control in self.controls],
            result={"@id": "#run"},
            **first,
        )

    def _add(self, entity: str, kind: str, **fields: Any) -> None:
        if entity in self._known:
            return
        self._known.add(entity)
        make = DataEntity if kind == "File" else ContextEntity
        told = {name: _plainly(value) for name, value in fields.items()}
        self.crate.add(make(self.crate, entity, properties={"@type": kind, **told}))

    def readme(self) -> str:
        """What a person who opens the crate reads first."""
        return (
            f"# Project {self.name} of Copernicus\n\n"
            f"All that the project has run: {len(self.actions)} activations of {len(self.steps)} "
            "instances, with their inputs, results, machines and times.\n\n"
            f"- `{WORKFLOW}`: the network, with its inputs.\n"
            "- `ro-crate-metadata.json`: what was run, by the Provenance Run Crate profile of "
            "RO-Crate (https://www.researchobject.org/workflow-run-crate/).\n"
            "- `files/`, where they were asked for: inputs and results. A file that is not here is "
            "named by its SHA-256.\n"
        )

    def network(self) -> bytes:
        """The content of the workflow file."""
        told = {
            "functions": {n: sorted(versions) for n, versions in self.state.functions.items()},
            "instances": [
                {
                    "path": instance.path,
                    "function": instance.function,
                    "version": instance.version,
                    "mapped": instance.mapped,
                    "inputs": instance.inputs,
                }
                for instance in self.state.instances.values()
            ],
        }
        return msgspec.json.format(msgspec.json.encode(told))


def export_crate(
    project: Project,
    target: Path,
    *,
    with_files: bool = False,
    license_text: str = UNSTATED,
    progress: Progress | None = None,
) -> int:
    """Write a crate: a folder, or a zip file if the name ends in ``.zip``; how many activations.

    Raises:
        Conflict: The target exists, or nothing has run yet.
        BadValue: It cannot be written.
    """
    if target.exists():
        raise Conflict(f"{target} exists: remove it, or choose another name")
    writer = CrateWriter(read_history(project), project.name, license_text)
    writer.values.with_files, writer.values.gone = with_files, writer.history.gone
    writer.build()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        (part / WORKFLOW).write_bytes(writer.network())
        (part / README).write_text(writer.readme(), encoding="utf-8")
        for where, file in writer.values.files.items() if with_files else ():
            place = part / where
            place.parent.mkdir(parents=True, exist_ok=True)
            RemoteFile(file.sha256, file.size, file.name, project.files).download(place, progress)
        writer.crate.metadata.write(part)
        _put(part, target)
    except OSError as error:
        raise BadValue(f"Cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(writer.actions)


def _put(part: Path, target: Path) -> None:
    if target.suffix != ".zip":
        part.replace(target)
        return
    whole = part.with_name(f"{part.name}.zip")
    try:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(part.rglob("*")):
                archive.write(path, path.relative_to(part))
        whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)


def _plainly(value: Any) -> Any:
    """A list of one as that one, as RO-Crate recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") if at else ""
