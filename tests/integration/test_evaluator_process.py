"""The evaluator as a process: frames, authors' prints, broken modules, crashes, hangs, its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.evaluator.frames import (
    Begin,
    Catalog,
    Continue,
    Describe,
    Description,
    End,
    Gone,
    Hello,
    Refused,
    Rested,
)
from copernicus.model.evaluation import ROOT, Answer, Start
from copernicus.model.network import Literal
from copernicus.model.values import File
from support.evaluators import TESTS, EvaluatorProcess, evaluator, install

TOY = "support.authors"
FILE = File("ab" * 32, 3, "a.gro")


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[EvaluatorProcess]:
    install(tmp_path, {"toy": TOY})
    with evaluator(tmp_path) as process:
        yield process


def start(entry: str, number: int = 1, **inputs: object) -> Start:
    return Start("wf", "", number, f"{TOY}:{entry}", "1.2", inputs, seed=7)


def test_hello_tells_all_functions_and_broken_modules(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise RuntimeError('licence expired')\n")
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(3)\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "clumsy.py").write_text(
        "from copernicus.sdk import Module, task\n"
        "@task\ndef f(x: set) -> int: return 1\nmodule = Module('clumsy', '1', [f])\n"
    )
    broken = ["raising", "leaving", "empty", "clumsy", "absent"]
    install(tmp_path, {"toy": TOY, "second": TOY, **{name: name for name in broken}})
    with evaluator(tmp_path) as process:
        catalog = process.ask(Hello())
    assert isinstance(catalog, Catalog)
    names = {spec.name for spec in catalog.functions if spec.module == "toy"}
    assert names >= {f"toy.{name}" for name in ("simulate", "build", "adaptive", "broken")}
    assert catalog.broken["raising"] == "RuntimeError: licence expired"
    assert catalog.broken["leaving"] == "SystemExit: 3"
    assert "no attribute 'module'" in catalog.broken["empty"]
    assert "f: input x: no port can have the type" in catalog.broken["clumsy"]
    assert "No module named 'absent'" in catalog.broken["absent"]
    assert "called 'toy' too" in catalog.broken["toy"]


def test_a_program_is_described(toy: EvaluatorProcess) -> None:
    inputs = {"conf": FILE.plain(), "seed": 5, "nsteps": None, "temperature": 310}
    reply = toy.ask(Describe("a1", f"{TOY}:simulate", inputs))
    assert isinstance(reply, Description)
    assert reply.id == "a1"
    assert reply.command is not None
    assert reply.command.lines[0].argv == ("{program}", "-n", "1000", "-t", "310")
    conf, seed = reply.command.files
    assert (conf.file, seed.text) == (FILE.plain(), "5")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"nsteps": -1}, "ValueError: nsteps is -1"),
        ({"nsteps": 13}, "TypeError: toy.simulate must return a Command, not NoneType"),
        ({"nsteps": "x"}, "expected int at toy.simulate.in.nsteps, got str 'x'"),
        ({"other": 1}, "toy.simulate has no input 'other'"),
    ],
)
def test_a_program_that_cannot_be_described(
    toy: EvaluatorProcess, inputs: dict[str, object], said: str
) -> None:
    given = {"conf": FILE.plain(), "seed": 5, **inputs}
    reply = toy.ask(Describe("a1", f"{TOY}:simulate", given))
    assert isinstance(reply, Description)
    assert reply.failure is not None
    assert said in reply.failure.reason
    assert reply.failure.where.startswith("support/authors.py:")


@pytest.mark.parametrize("entry", ["os:system", f"{TOY}:module", f"{TOY}:build", "x", ""])
def test_only_registered_functions_are_run(toy: EvaluatorProcess, entry: str) -> None:
    described = toy.ask(Describe("a1", entry, {}))
    assert isinstance(described, Description)
    assert described.failure is not None
    assert "no installed module has the program function" in described.failure.reason
    begun = toy.ask(Begin(Start("wf", "", 1, entry, "1", {}, 1)))
    assert isinstance(begun, Rested)
    assert begun.ended
    assert begun.rest.segments[0].failure is not None


def test_an_evaluation_rests_goes_on_and_ends(toy: EvaluatorProcess) -> None:
    first = toy.ask(Begin(start("adaptive", starts=[FILE.plain()])))
    assert isinstance(first, Rested)
    assert [call.name for call in first.rest.segments[0].declarations] == ["md-0-0", "msm-0"]
    answer = Answer(ROOT, 0, [[{"conf": FILE.plain(), "weight": 1.0}]])
    second = toy.ask(Continue("wf", "", 1, answer))
    assert isinstance(second, Rested)
    assert not second.ended
    again = toy.ask(Continue("wf", "", 1, answer))
    assert isinstance(again, Rested)
    assert again.rest.segments == ()
    wrong = toy.ask(Continue("wf", "", 1, Answer(ROOT, 7, [[]])))
    assert isinstance(wrong, Refused)
    assert "waits at 1, not at 7" in wrong.message
    last = toy.ask(Continue("wf", "", 1, Answer(ROOT, 1, answer.value)))
    assert isinstance(last, Rested)
    assert last.ended
    assert toy.ask(Continue("wf", "", 1, answer)) == Gone("wf", "", 1)


def test_recovery_in_another_process_gives_the_same_segments(tmp_path: Path) -> None:
    install(tmp_path, {"toy": TOY})
    begin = start("adaptive", starts=[FILE.plain()])
    answer = Answer(ROOT, 0, [[{"conf": FILE.plain(), "weight": 1.0}]])
    with evaluator(tmp_path) as process:
        live = [process.ask(Begin(begin)), process.ask(Continue("wf", "", 1, answer))]
        process.process.send_signal(signal.SIGKILL)
    begin = Start("wf", "", 1, begin.entry, "1.2", begin.inputs, 7, answers=(answer,))
    with evaluator(tmp_path) as process:
        recovered = process.ask(Begin(begin))
    assert isinstance(recovered, Rested)
    told = [
        segment for reply in live if isinstance(reply, Rested) for segment in reply.rest.segments
    ]
    assert list(recovered.rest.segments) == told


def test_numbers_fence_evaluations(toy: EvaluatorProcess) -> None:
    toy.ask(Begin(start("adaptive", 3, starts=[FILE.plain()])))
    late = toy.ask(Begin(start("adaptive", 2, starts=[FILE.plain()])))
    assert isinstance(late, Refused)
    assert "evaluation 3 is here" in late.message
    toy.ask(End("wf", "", 2))
    assert isinstance(toy.ask(Continue("wf", "", 3, Answer("x", 0, []))), Refused)
    toy.ask(Begin(start("adaptive", 4, starts=[FILE.plain()])))
    assert toy.ask(Continue("wf", "", 3, Answer(ROOT, 0, []))) == Gone("wf", "", 3)
    toy.ask(End("wf", "", 4))
    assert toy.ask(Continue("wf", "", 4, Answer(ROOT, 0, []))) == Gone("wf", "", 4)


def test_what_authors_print_never_harms_the_frames(toy: EvaluatorProcess, tmp_path: Path) -> None:
    reply = toy.ask(Begin(start("broken", how="print")))
    assert isinstance(reply, Rested)
    assert reply.rest.segments[0].outputs == {"result": Literal(1)}
    toy.ask(Describe("a1", f"{TOY}:simulate", {"conf": FILE.plain(), "seed": 5}))
    assert isinstance(toy.ask(Hello()), Catalog)
    assert toy.process.stdin
    toy.process.stdin.close()
    assert toy.process.wait(10) == 0
    assert (tmp_path / "stderr").read_text() == "straight to the descriptordescribing\n"


def test_a_crash_ends_the_stream(toy: EvaluatorProcess) -> None:
    assert toy.ask(Begin(start("broken", how="crash"))) is None
    assert toy.process.wait(10) == 9


def test_an_endless_loop_is_ended_by_the_owner(toy: EvaluatorProcess) -> None:
    assert isinstance(toy.ask(Hello()), Catalog)
    toy.send(Begin(start("broken", how="hang")))
    with pytest.raises(subprocess.TimeoutExpired):
        toy.process.wait(0.3)
    toy.process.kill()
    assert toy.receive() is None


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux only")
def test_too_much_memory_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    install(tmp_path, {"toy": TOY})
    with evaluator(tmp_path, "--memory-mb", "1024") as process:
        reply = process.ask(Begin(start("broken", how="memory")))
        assert isinstance(reply, Rested)
        failure = reply.rest.segments[0].failure
        assert failure is not None
        assert (failure.cause, failure.reason) == ("resource", "MemoryError")
        assert isinstance(process.ask(Hello()), Catalog)


def test_garbage_is_refused(toy: EvaluatorProcess) -> None:
    assert toy.process.stdin
    toy.process.stdin.write(b"\x00\x00\x00\x03abc")
    toy.process.stdin.flush()
    assert isinstance(toy.receive(), Refused)
    toy.process.stdin.write(b"\xff\xff\xff\xff")
    toy.process.stdin.flush()
    assert toy.receive() is None
    assert toy.process.wait(10) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux's")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    install(tmp_path, {"toy": TOY})
    script = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen([sys.executable, '-m', 'copernicus.evaluator'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "from copernicus.evaluator.frames import *\n"
        "from support.authors import *\n"
        "from copernicus.model.evaluation import Start\n"
        "child.stdin.write(pack(Hello())); child.stdin.flush(); read_body(child.stdout)\n"
        "child.stdin.write(pack(Begin(Start('wf', '', 1, 'support.authors:broken', '1', "
        "{'how': 'hang'}, 1)))); child.stdin.flush()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(TESTS)])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        watch = os.pidfd_open(child)
        parent.kill()
    assert select.select([watch], [], [], 10)[0] == [watch]
    os.close(watch)
