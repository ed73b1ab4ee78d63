"""How a worker calls tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from copernicus.errors import BadDefinition, BadValue, NotFound
from copernicus.model.functions import Port
from copernicus.model.types import IntType
from copernicus.model.values import File, files_in
from copernicus.protocol import ProgressReport
from copernicus.sdk import File as AuthorsFile
from copernicus.sdk.calling import Task, call_task, current_task, outputs_of
from support import authors

A, B = (File(letter * 64, 3, f"{letter}.xtc") for letter in "ab")


class Blobs:
    """Files by content, for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: dict[str, str] = {}

    def fetch(self, file: File) -> Path:
        path = self.folder / f"fetched-{file.name}"
        path.write_text(f"<{file.name}>")
        return path

    def store(self, path: Path, name: str) -> File:
        self.stored[name] = path.read_text()
        return File("c" * 64, len(self.stored[name]), name)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path)


def call(blobs: Blobs, name: str, task: Task | None = None, **inputs: Any) -> dict[str, Any]:
    return call_task(
        f"support.authors:{name}", inputs, blobs.fetch, blobs.store, task or Task(blobs.folder)
    )


def test_files_come_and_go(blobs: Blobs) -> None:
    outputs = call(blobs, "build", trajs=[A.plain(), B.plain()], weights={"a.xtc": 2}, lag=None)
    assert outputs == {
        "count": 14,
        "seeds": [
            {"conf": A.plain(), "weight": 2.0},
            {"conf": B.plain(), "weight": 0.5},
        ],
        "table": {"$file": "c" * 64, "size": 14, "name": "all.txt"},
    }
    assert blobs.stored == {"all.txt": "<a.xtc><b.xtc>"}
    assert len(list(files_in(outputs))) == 3


def test_records_are_rebuilt_with_their_defaults(blobs: Blobs) -> None:
    assert call(blobs, "score", model={"conf": A.plain()}) == {"result": 1.0}


def test_named_outputs(blobs: Blobs) -> None:
    assert call(blobs, "add", values=[1, 2]) == {"total": 3, "parts": [1, 2]}


@pytest.mark.parametrize("returned", [{"n": 3}, 3])
def test_the_only_output_may_be_returned_itself(blobs: Blobs, returned: object) -> None:
    spec = msgspec.structs.replace(authors.add.spec, outputs=(Port("n", IntType()),))
    assert outputs_of(spec, returned, blobs.store) == {"n": 3}


def test_progress_is_reported_and_the_folder_known(blobs: Blobs) -> None:
    reports: list[ProgressReport] = []
    task = Task(blobs.folder, cores=2, report=reports.append)
    call(blobs, "build", task, trajs=[])
    assert reports == [ProgressReport(step=1, total=2, unit="files")]
    assert current_task().folder == Path.cwd()


@pytest.mark.parametrize(
    ("name", "inputs", "error", "said"),
    [
        ("absent", {}, NotFound, "there is no function support.authors:absent here"),
        ("FILE", {}, NotFound, "there is no function"),
        ("module", {}, BadDefinition, "no function of Copernicus"),
        ("simulate", {}, BadDefinition, "is a program function, not a task"),
        ("add", {"values": ["x"]}, BadValue, "expected int at toy.add.in.values.0., got str 'x'"),
        ("add", {"value": [1]}, NotFound, "toy.add has no input 'value'"),
        ("add", {}, BadValue, "toy.add needs values"),
        (
            "careless",
            {"how": "type"},
            BadValue,
            "expected File at toy.careless.out.result, got int",
        ),
        ("careless", {"how": "unwritten"}, BadValue, "the file gone.txt, which it did not write"),
        ("careless", {"how": "none"}, BadValue, "expected File at toy.careless.out.result"),
        ("forgetful", {"how": "unknown"}, BadValue, "returned other, which is none of its outputs"),
        ("forgetful", {"how": "missing"}, BadValue, "returned no value for its output b"),
        ("forgetful", {"how": "list"}, BadValue, "must return its outputs a, b as a dict"),
    ],
)
def test_what_does_not_fit_is_told(
    blobs: Blobs, name: str, inputs: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        call(blobs, name, **inputs)


def test_a_path_is_a_new_file(blobs: Blobs) -> None:
    (blobs.folder / "gone.txt").write_text("here")
    assert call(blobs, "careless", how="unwritten")["result"]["name"] == "gone.txt"


def test_files_have_no_local_copy_outside_of_tasks(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="only a @task can read files"):
        _ = AuthorsFile.of(A).path
    with pytest.raises(BadValue, match="is not stored"):
        AuthorsFile.new(tmp_path / "x").plain()
