"""Program jobs and tasks on a real worker process, against a scripted server."""

from __future__ import annotations

import itertools

import pytest

from copernicus.model.jobs import (
    CheckpointRef,
    Command,
    Done,
    Line,
    Number,
    Output,
    Placed,
    Progress,
    StoredFile,
)
from support.worker_process import wait_until, worker
from support.worker_server import program_job, scripted_server, sh

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with scripted_server(folder) as server, worker(server, folder / "w") as running:
        yield server, running


@pytest.fixture
def run(site):
    server, _ = site

    def run(command, **fields):
        number = next(_NUMBERS)
        server.add(program_job(number, command, **fields))
        return server.result(f"p.a{number}#1")

    return run


def test_program_job_end_to_end(site, run):
    server, running = site
    text = server.blobs.put_bytes(b"hello " * 10)
    big = server.blobs.put_bytes(b"0123456789" * 300_000)
    command = Command(
        lines=(
            sh("cat a.txt b/big.bin > out.bin; echo made; wc -c < out.bin > n.txt"),
            sh("exit 3", ok=(3,)),
        ),
        files=(
            Placed("a.txt", file={"$file": text.sha256, "size": text.size, "name": "x"}),
            Placed("b/big.bin", file={"$file": big.sha256, "size": big.size, "name": "y"}),
            Placed("note.txt", text="hi"),
        ),
        outputs=(
            Output("out", pattern="out.bin"),
            Output("n", how="number", pattern="n.txt"),
            Output("log", how="text", pattern="job.log"),
            Output("code", how="exit_code"),
            Output("all", how="files", pattern="*.txt"),
        ),
    )
    result = run(command)
    assert result.outcome == "completed", result.failure
    assert result.outputs["n"] == 3_000_060
    assert result.outputs["log"] == "made\n"
    assert result.outputs["code"] == 3
    assert [f["name"] for f in result.outputs["all"]] == ["a.txt", "n.txt", "note.txt"]
    content = server.content(result.attempt, result.outputs["out"])
    assert content == b"hello " * 10 + b"0123456789" * 300_000
    assert result.record.worker == "w1"
    wait_until(lambda: not list((running.work_dir / "attempts").iterdir()), "an empty folder")


def test_fatal_words_become_the_reason(run):
    command = Command(
        lines=(sh("echo step 7; echo 'Fatal: water exploded' >&2; exit 1"),),
        done_when=Done(fatal={"water exploded": "the system is unstable"}),
    )
    failure = run(command).failure
    assert failure.reason == "the system is unstable"
    assert failure.exit_code == 1
    assert failure.cause == "job_error"
    assert "step 7" in failure.log


def test_fault_36_an_output_that_is_a_link_is_refused(run):
    command = Command(
        lines=(sh("ln -s /etc/passwd out; ln -s / up; mkfifo pipe"),),
        outputs=(Output("out", pattern="out"),),
    )
    through = Command(lines=(sh("ln -s / up"),), outputs=(Output("out", pattern="up/etc/passwd"),))
    wild = Command(
        lines=(sh("ln -s /etc/passwd a.txt"),), outputs=(Output("o", how="files", pattern="**"),)
    )
    assert "no regular file" in run(command).failure.reason
    assert run(through).outcome == "failed"
    assert "'**'" in run(wild).failure.reason


def test_missing_output_names_the_pattern(run):
    command = Command(lines=(sh("true"),), outputs=(Output("trj", pattern="*.xtc"),))
    assert run(command).failure.reason == "output trj: no file matches '*.xtc'"


@pytest.mark.parametrize(
    ("script", "words", "cause"),
    [
        ("kill -SEGV $$", "crashed (segmentation fault)", "job_error"),
        ("kill -FPE $$", "crashed (arithmetic error)", "job_error"),
        ("kill -KILL $$", "lack of memory", "resource"),
        ("kill -TERM $$", "outside of Copernicus", "infrastructure"),
        ("exit 139", "crashed (segmentation fault)", "job_error"),
        ("exit 4", "ended with exit code 4", "job_error"),
    ],
)
def test_ends_are_told_in_words(run, script, words, cause):
    failure = run([sh(script)]).failure
    assert words in failure.reason
    assert failure.cause == cause


def test_resume_placeholders_and_own_cores(site, run):
    server, _ = site
    state = server.blobs.put_bytes(b"4\n")
    command = Command(
        lines=(
            sh("echo fresh >> seen", when="fresh"),
            sh("echo resume >> seen", when="resume"),
            Line(
                (
                    "{program}",
                    "-c",
                    'echo "$@" $OMP_NUM_THREADS $X >> seen; grep Cpus_allowed_list '
                    "/proc/self/status > cpus; cat >> seen; touch part10 part9",
                    "x",
                    "{cores}",
                    "{job}",
                    "part{part}",
                    "{unknown}",
                ),
                stdin="from stdin {part}\n",
            ),
            Line(("{program}", "-c", 'echo "$@"', "x", "{glob:part*}"), stdout="globbed"),
        ),
        outputs=(
            Output("seen", how="text", pattern="seen"),
            Output("globbed", how="text", pattern="globbed"),
            Output("state", how="text", pattern="deep/state.cpt"),
        ),
        environment={"X": "of {part}"},
    )
    ref = CheckpointRef(
        "key", "p.a1", 1, 1, (StoredFile("deep/state.cpt", state.sha256, state.size),), 4.0
    )
    result = run(command, checkpoint=ref, part=3, job="p.x")
    assert result.outcome == "completed", result.failure
    assert result.outputs["seen"].splitlines() == [
        "resume",
        "1 p.x part3 {unknown} 1 of 3",
        "from stdin 3",
    ]
    assert result.outputs["globbed"] == "part9 part10\n"
    assert result.outputs["state"] == "4\n"


@pytest.mark.parametrize(
    ("line", "environment"),
    [
        (Line(("/bin/sh", "-c", "true")), {}),
        (sh("true"), {"LD_PRELOAD": "./evil.so"}),
        (sh("true"), {"PATH": "."}),
    ],
)
def test_only_configured_programs_run(run, line, environment):
    assert run(Command(lines=(line,), environment=environment)).failure.cause == "definition"


@pytest.mark.parametrize("path", ["../out", "/abs", "a/../../b", "x\n", "con"])
def test_fault_35_paths_out_of_the_folder_are_refused(run, path):
    command = Command(lines=(sh("true"),), files=(Placed(path, text="x"),))
    assert run(command).failure.cause == "definition"


def test_not_complete_is_told_although_the_exit_code_is_zero(run):
    number = Number("md.log", r"step (\d+)")
    command = Command(
        lines=(sh("echo step 5 > md.log"), sh("touch joined", when="complete")),
        done_when=Done(number=number, at_least=10),
    )
    failure = run(command).failure
    assert "it is at 5 of 10" in failure.reason


def test_flood_of_output_is_bounded(site, run):
    server, _ = site
    command = Command(
        lines=(sh("yes | head -c 30000000; echo the end"),),
        outputs=(Output("log", pattern="job.log"),),
    )
    result = run(command)
    assert result.outputs["log"]["size"] <= 10 << 20
    assert server.content(result.attempt, result.outputs["log"]).endswith(b"the end\n")


def test_the_standard_input_can_be_a_file_of_the_folder(run):
    command = Command(
        lines=(Line(("{program}", "-c", "tr a-z A-Z"), stdin_file="in.txt", stdout="out.txt"),),
        files=(Placed("in.txt", text="quiet"),),
        outputs=(Output("y", how="text", pattern="out.txt"),),
    )
    assert run(command).outputs == {"y": "QUIET"}


def test_a_script_is_refused_without_consent_even_if_a_server_sends_it(site, run):
    server, _ = site
    server.grants_all = True
    try:
        result = run([Line(("{program}", "-c", "print('run')"))], program="python")
    finally:
        server.grants_all = False
    assert result.outcome == "failed"
    assert "does not offer python" in result.failure.reason
    assert result.failure.cause == "infrastructure"


def test_an_attempt_that_takes_longer_than_its_limit_fails(run):
    result = run(Command(lines=(sh("echo begun; sleep 100"),), timeout_s=2.0))
    assert result.outcome == "failed"
    assert "sh took longer than 2 s" in result.failure.reason
    assert "begun" in result.failure.log


EVIL = r"^(a|aa)+$"
LINE = f"echo '{'a' * 80}!' > md.log"


def test_an_expression_that_backtracks_ends_its_job_alone(site, run):
    server, running = site
    command = Command(
        lines=(sh(LINE),), outputs=(Output("n", how="number", pattern="md.log", regex=EVIL),)
    )
    failure = run(command).failure
    assert failure.cause == "definition"
    assert "did not come to an end" in failure.reason
    command = Command(
        lines=(sh(f"{LINE}; while [ ! -e enough ]; do sleep 0.05; done"),),
        progress=Progress("md.log", EVIL),
        outputs=(Output("log", how="text", pattern="md.log"),),
    )
    number = next(_NUMBERS)
    server.add(program_job(number, command, heartbeat_s=0.1))
    attempt = f"p.a{number}#1"
    here = f"attempts/p_a{number}_*/work/md.log"
    wait_until(lambda: list(running.work_dir.glob(here)), "it runs")
    (log,) = running.work_dir.glob(here)
    before = len(server.beats)
    wait_until(lambda: len(server.beats) > before + 3, "it is heard, though it is looked at")
    (log.parent / "enough").touch()
    assert server.result(attempt).outcome == "completed"
    assert running.process.poll() is None
