"""Exported research objects: what the Provenance Run Crate profile requires, and what happened."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile

import pytest

from copernicus.client import Client
from copernicus.client.crate import CrateWriter, export_crate
from copernicus.client.history import History
from copernicus.errors import Conflict
from copernicus.model.functions import Port
from copernicus.model.types import AnyType
from copernicus.server.embedded import EmbeddedServer
from support import crates
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    connect,
    define,
    echo_function,
    set_input,
)
from support.world import World, task_spec

PROFILE = "https://w3id.org/ro/wfrun/provenance/0.5"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crates")
    _, server = EmbeddedServer.make(folder / "server", PASSWORD)
    with server:
        admin = User(server, "admin")
        worker = ScriptedWorker(server, admin, folder, host="node7")
        config = folder / "config"
        with Client.login(server.folder / "client.cpc", "admin", PASSWORD, config=config) as client:
            yield admin, worker, client
        worker.close()
        admin.close()


def finish(worker, said="said"):
    while jobs := worker.lease(wait_s=0.0):
        for job in jobs:
            worker.complete(job, {"said": said})


def entities(metadata):
    found = {e["@id"]: e for e in json.loads(metadata)["@graph"]}
    assert len(found) == len(json.loads(metadata)["@graph"])
    return found


def ids(value):
    listed = value if isinstance(value, list) else [value] if value else []
    return [one["@id"] for one in listed]


def of_type(graph, kind):
    return [e for e in graph.values() if kind in [e["@type"], *e["@type"]]]


def check_profile(graph):
    """The MUSTs of the profile and of those that it builds on."""
    root = graph["./"]
    assert PROFILE in ids(root["conformsTo"])
    assert all(profile in graph for profile in ids(root["conformsTo"]))
    assert root["license"]
    workflow = graph[root["mainEntity"]["@id"]]
    wanted = {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}
    assert wanted == set(workflow["@type"])
    assert graph[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    tools = ids(workflow["hasPart"])
    runs = of_type(graph, "CreateAction")
    assert any(run["instrument"]["@id"] == root["mainEntity"]["@id"] for run in runs)
    assert {run["instrument"]["@id"] for run in runs} >= set(tools)
    steps = ids(workflow["step"])
    for step in steps:
        assert graph[step]["workExample"]["@id"] in tools
        assert isinstance(graph[step]["position"], int)
    controls = of_type(graph, "ControlAction")
    for control in controls:
        assert control["instrument"]["@id"] in steps
        assert graph[control["object"]["@id"]] in runs
    (organized,) = of_type(graph, "OrganizeAction")
    assert set(ids(organized["object"])) == {control["@id"] for control in controls}
    assert graph[organized["result"]["@id"]] in runs
    for parameter in of_type(graph, "FormalParameter"):
        assert parameter["additionalType"]
        assert all(value in graph for value in ids(parameter["workExample"]))
    for entity in graph.values():
        for name in ("object", "result", "agent", "instrument", "location", "exampleOfWork"):
            assert all(one in graph for one in ids(entity.get(name))), (entity["@id"], name)


def test_a_crate_has_what_the_profile_asks_for_and_what_happened(story, tmp_path):
    admin, worker, client = story
    admin.call("POST", "/v1/projects", {"name": "two"})
    data = admin.upload("two", b"start " * 50, "start.dat")
    admin.edit("two", define(echo_function()), add("one"), add("next"))
    given = set_input("one.in.text", "hello"), set_input("one.in.data", data)
    admin.edit("two", connect("one.out.said", "next.in.text"), *given)
    finish(worker)
    count = export_crate(client.project("two"), tmp_path / "crate", with_files=True)
    assert count == 2
    graph = entities((tmp_path / "crate" / "ro-crate-metadata.json").read_bytes())
    check_profile(graph)
    made = graph["#a2"]
    assert "mine.echo" in made["name"]
    assert made["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert made["startTime"] <= made["endTime"]
    assert [graph[one]["value"] for one in ids(made["result"])] == ["said"]
    # What one made is what the other took: one entity.
    assert set(ids(graph["#a1"]["result"])) & set(ids(graph["#a2"]["result"]))
    (attempt,) = [e for e in of_type(graph, "Action") if e["object"]["@id"] == "#a1"]
    assert graph[attempt["location"]["@id"]]["name"] == "node7"
    program = graph[attempt["instrument"]["@id"]]
    assert (program["name"], program["softwareVersion"]) == ("echo", "1.0")
    (file,) = [e for e in of_type(graph, "File") if "sha256" in e]
    stored = (tmp_path / "crate" / file["@id"]).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == file["sha256"] == data["$file"]
    network = json.loads((tmp_path / "crate" / "workflow.json").read_text())
    assert {i["path"] for i in network["instances"]} == {"one", "next"}
    with pytest.raises(Conflict, match="exists"):
        export_crate(client.project("two"), tmp_path / "crate")


def test_a_zip_without_files_names_them_by_their_digest(story, tmp_path):
    _, _, client = story
    export_crate(client.project("two"), tmp_path / "two.zip")
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        assert sorted(archive.namelist()) == [
            "README.md",
            "ro-crate-metadata.json",
            "workflow.json",
        ]
        graph = entities(archive.read("ro-crate-metadata.json"))
    check_profile(graph)
    (file,) = [e for e in of_type(graph, "File") if "sha256" in e]
    assert file["@id"].startswith("ni:///sha-256;")
    assert list(tmp_path.iterdir()) == [tmp_path / "two.zip"]


@pytest.mark.crate_validator
@pytest.mark.parametrize(("name", "with_files"), [("whole", True), ("named.zip", False)])
def test_the_validator_of_the_community_finds_nothing_against_a_crate(
    story, tmp_path, name, with_files
):
    _, _, client = story
    export_crate(client.project("two"), tmp_path / name, with_files=with_files)
    assert list(crates.judged(tmp_path / name, "REQUIRED")) == []
    # Recommended, but not known here: addresses of programs and people's organizations.
    advice = {check for check, _, _ in crates.judged(tmp_path / name, "RECOMMENDED")}
    assert advice <= {
        "process-run-crate-0.5_3.2",  # programs have a url
        "process-run-crate-0.5_5.1",  # programs are named by a url
        "ro-crate-1.1_22.3",  # there is a publisher
        "ro-crate-1.1_28.1",  # when a file that is elsewhere was looked at
        "ro-crate-1.1_30.2",  # the author has an affiliation
        "ro-crate-1.1_30.3",
        "workflow-ro-crate-1.0_7.1",  # a check that asks for a wrong address
    }


@pytest.mark.crate_validator
def test_the_validator_finds_what_is_missing(story, tmp_path):
    _, _, client = story
    export_crate(client.project("two"), tmp_path / "crate")
    metadata = tmp_path / "crate" / "ro-crate-metadata.json"
    told = json.loads(metadata.read_text())
    for entity in told["@graph"]:
        if entity["@id"] == "workflow.json":
            del entity["step"]
    metadata.write_text(json.dumps(told))
    found = {check for check, _, _ in crates.judged(tmp_path / "crate", "REQUIRED")}
    assert "provenance-run-crate-0.5_4.1" in found


def test_a_project_that_did_nothing_has_nothing_to_export(story, tmp_path):
    admin, _, client = story
    admin.call("POST", "/v1/projects", {"name": "empty"})
    with pytest.raises(Conflict, match="has run nothing"):
        export_crate(client.project("empty"), tmp_path / "x")


def test_a_thousand_activations_take_seconds():
    world = World(task_spec("m.one", "x"), task_spec("m.all", [Port("xs", AnyType())]))
    world.add("run", "m.one", mapped=["x"], x=list(range(1000)))
    world.add("all", "m.all", xs="run.out.y")
    world.work(lambda _function, inputs: inputs.get("x", 0))
    began = time.monotonic()
    writer = CrateWriter(History(world.state, began=1.0, last=2.0), "wide", "CC0-1.0")
    writer.build()
    graph = entities(json.dumps(writer.crate.metadata.generate()))
    assert time.monotonic() - began < 10
    check_profile(graph)
    assert len(of_type(graph, "CreateAction")) == 1002
    assert len(graph) < 5200
