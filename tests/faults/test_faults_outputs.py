"""What jobs and lying workers leave behind: names that lead elsewhere, links, pipes, floods."""

from __future__ import annotations

import itertools
import unicodedata

import psutil
import pytest

from copernicus.model.jobs import Command, Output, StoredFile
from copernicus.protocol import CheckpointRequest, ResultRequest
from support.server_client import (
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)
from support.worker_process import worker as real_worker
from support.worker_server import program_job, scripted_server, sh

_NUMBERS = itertools.count(1)

CANARY = "the canary must not leave its cage"

ELSEWHERE = (
    "../evil",
    "../../etc/passwd",
    "a/../../evil",
    "a/..",
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "//etc/passwd",
    "./a",
    "a//b",
    "a/",
    "a/./b",
    "C:\\evil",
    "C:evil",
    "\\\\host\\share",
    "..\\..\\evil",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1b[2Jb",
    "a\x7fb",
    "a\u202eb",
    "a\u2028b",
    "a\ud800b",
    "x" * 256,
    "é" * 128,
    "a/" + "x" * 256,
    "con",
    "CON",
    "con.txt",
    "Prn.log",
    "aux",
    "nul.dat",
    "a/NUL/b",
    " a",
    "a ",
    "a?",
    "a*",
    "a|b",
    "a<b",
    "a>b",
    'a"b',
    "a:b",
    "file:///etc/passwd",
    "~\\x",
)
"""As a path in a checkpoint, none of them may be placed."""

FINE = ("a", "a.b", "a/b/c.txt", "é.dat", "x" * 255, "...", "-rf", "a b", "con1", "~", "$HOME")

NAMES = tuple(
    name
    for name in ELSEWHERE
    if name in ("", ".", "..")
    or len(name.encode("utf-8", "replace")) > 255
    or any(c in "/\\" or c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in name)
)
"""As the name of a file, which stands for itself and is no path, only these are impossible."""


def sendable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


# --- 35: a lying worker, a lying user -----------------------------------------------------------


@pytest.fixture(scope="module")
def admin(server):
    user = User(server, "admin")
    user.call("POST", "/v1/projects", {"name": "p"})
    user.edit("p", define(echo_function()), add("one"), set_input("one.in.text", "x"))
    yield user
    user.close()


@pytest.fixture(scope="module")
def liar(server, admin, tmp_path_factory):
    made = ScriptedWorker(server, admin, tmp_path_factory.mktemp("liar"))
    (made.job,) = made.lease()
    made.stored = made.upload(CANARY.encode())
    yield made
    made.close()


@pytest.mark.parametrize("path", list(filter(sendable, ELSEWHERE)))
def test_fault_35_a_checkpoint_is_not_placed_elsewhere(admin, liar, path):
    files = (StoredFile(path, liar.stored, len(CANARY)),)
    key = liar.job.spec.checkpoint_key
    lie = CheckpointRequest(liar.job.attempt, next(liar._seq), key, files, 1.0)
    assert liar.refused(422, "checkpoint", lie)["code"] == "bad_value"


@pytest.mark.parametrize("name", list(filter(sendable, NAMES)))
def test_fault_35_a_result_s_file_is_not_called_by_a_path(admin, liar, name):
    before = admin.get("/v1/projects/p/journal")
    file = {"$file": liar.stored, "size": len(CANARY), "name": name}
    lie = ResultRequest(liar.job.attempt, next(liar._seq), "completed", {"said": file})
    assert liar.refused(422, "result", lie)["code"] == "bad_value"
    assert admin.get("/v1/projects/p/journal") == before


@pytest.mark.parametrize("name", list(filter(sendable, NAMES)))
def test_fault_35_a_user_s_file_is_not_called_by_a_path(admin, name):
    file = {**admin.upload("p", CANARY.encode()), "name": name}
    edits = {"edits": [set_input("one.in.data", file)]}
    said = admin.refused(422, "bad_value", "POST", "/v1/projects/p/edits", edits)
    assert "name of a file" in said


@pytest.mark.parametrize("path", FINE)
def test_fault_35_unusual_names_are_no_attack(admin, liar, path):
    files = (StoredFile(path, liar.stored, len(CANARY)),)
    key = liar.job.spec.checkpoint_key
    liar.ask(
        "checkpoint", CheckpointRequest(liar.job.attempt, next(liar._seq), key, files, 1.0), None
    )


# --- 35, 36: a job ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with scripted_server(folder) as scripted, real_worker(scripted, folder / "w") as running:
        yield scripted, running


@pytest.fixture
def run(site):
    scripted, _ = site

    def run(script: str, *outputs: Output, **fields):
        number = next(_NUMBERS)
        command = Command(lines=(sh(script),), outputs=outputs)
        scripted.add(program_job(number, command, **fields))
        return scripted.result(f"p.a{number}#1")

    return run


ALL = Output("all", how="files", pattern="**")
ONE = Output("one", pattern="out")


@pytest.fixture
def cage(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(CANARY)
    return path


@pytest.mark.parametrize(
    "script",
    [
        "ln -s {cage} out",
        "ln -s {cage} a; ln -s a out",
        "ln -s /proc/self/environ out",
        "ln -s /proc/$PPID/mem out",
        "ln -s /dev/zero out",
        "mkfifo out",
        "mknod out c 1 5",
        "mknod out b 7 0",
        "mkdir out",
        "ln -s out out",
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('out')\"",
    ],
    ids=lambda script: script.split(";")[0][:24],
)
def test_fault_36_what_is_no_regular_file_is_no_output(run, cage, script):
    """Above all it does not hang: a fifo has no end, ``/dev/zero`` neither."""
    result = run(script.format(cage=cage), ONE)
    assert result.outcome == "failed"
    assert CANARY.encode() not in b"".join(result.inline.values())
    assert "one" in result.failure.reason


def test_fault_36_a_link_in_the_way_is_not_followed(run, cage):
    script = f"ln -s {cage.parent} up; mkdir real; echo fine > real/a.txt; ln -s real way"
    through = run(script, Output("one", pattern=f"up/{cage.name}"))
    assert through.outcome == "failed"
    wild = run(script, Output("all", how="files", pattern="**/*.txt"))
    assert wild.outcome == "completed"
    assert [file["name"] for file in wild.outputs["all"]] == ["a.txt"]


def test_fault_36_a_file_that_is_swapped_for_a_link_all_the_time_never_leaks(run, cage):
    """A process of the job goes on for as long as it can, while its outputs are read."""
    script = (
        "echo harmless > out; echo harmless > keep;"
        f"(while :; do ln -sf {cage} link; mv -T link out; cp keep new; mv -T new out; done) &"
        "sleep 0.2"
    )
    for _ in range(5):
        result = run(script, Output("one", how="text", pattern="out", optional=True))
        assert CANARY not in str(result.outputs)
        stolen = run(script, ONE)
        assert CANARY.encode() not in b"".join(stolen.inline.values())


def test_fault_36_a_hard_link_to_what_the_job_can_read_is_its_own_affair(run):
    """It names bytes that the job could have copied: nothing is gained."""
    result = run("echo mine > a; ln a out", ONE)
    assert result.outcome == "completed"


def test_fault_35_ten_thousand_files_are_all_taken(run):
    script = "mkdir d; cd d; i=0; while [ $i -lt 10000 ]; do : > f$i.dat; i=$((i+1)); done"
    result = run(script, Output("all", how="files", pattern="d/*.dat"))
    assert result.outcome == "completed", result.failure
    assert len(result.outputs["all"]) == 10_000
    assert len({file["$file"] for file in result.outputs["all"]}) == 1


@pytest.mark.parametrize(
    "name", ["a\\nb", "a\\033[2Jb", "a\\377b", "a\\\\b", "a:b", " a", "con", "a\\177"]
)
def test_fault_35_a_job_s_file_with_an_impossible_name_is_told_not_taken(run, name):
    result = run(f"mkdir d; printf x > \"d/$(printf '{name}')\"", ALL)
    assert result.outcome == "failed"
    assert "all" in result.failure.reason
    assert all(c.isprintable() for c in result.failure.reason.replace("\n", ""))


def test_fault_35_names_that_only_some_machines_tell_apart_are_both_there(run):
    nfc, nfd = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    result = run(f"echo 1 > A; echo 2 > a; echo 3 > {nfc}; echo 4 > {nfd}", ALL)
    assert {file["name"] for file in result.outputs["all"]} >= {"A", "a", nfc, nfd}


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("printf '\\377\\376\\000' > out", "text"),
        ("printf '\\377\\376' > out", "json"),
        ("head -c 100000 /dev/zero | tr '\\0' '[' > out", "json"),
        ("echo '{\"a\": NaN}' > out", "json"),
        ("head -c 6000 /dev/zero | tr '\\0' '9' > out", "number"),
        ("echo '1e999999999' > out", "number"),
        ("echo 'twelve' > out", "number"),
        ("printf '' > out", "number"),
    ],
)
def test_fault_34_a_value_in_a_job_s_file_that_is_none_ends_the_job_alone(run, script, how):
    result = run(script, Output("v", how=how, pattern="out"))
    assert result.outcome in ("completed", "failed")
    if result.outcome == "failed":
        assert "v" in result.failure.reason
    assert run("echo 7 > out", Output("v", how="number", pattern="out")).outputs["v"] == 7


def test_fault_34_text_that_is_read_from_a_sparse_file_of_20_gb_is_bounded(run):
    result = run("truncate -s 20G out; echo end >> out", Output("t", how="text", pattern="out"))
    assert result.outcome == "completed", result.failure
    assert len(result.outputs["t"]) <= 64 << 20
    assert result.outputs["t"].endswith("end\n")


def test_fault_34_a_big_sparse_file_is_sent_as_the_one_chunk_that_it_is(site, run):
    scripted, running = site
    process = psutil.Process(running.process.pid)
    before, sent = process.memory_info().rss, scripted.bytes_uploaded
    result = run("truncate -s 1G out", ONE)
    assert result.outcome == "completed", result.failure
    assert result.outputs["one"]["size"] == 1 << 30
    assert scripted.bytes_uploaded - sent <= 2 << 20
    assert process.memory_info().rss - before < 100 << 20
