"""What was broken in the first Copernicus, one test each, on a real server and a real worker.

The rules of the engine among them are in tests/unit/test_upstream_weaknesses.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from copernicus.client import Project
from copernicus.errors import BadDefinition, BadValue, Conflict, CopernicusError
from copernicus.model import edits
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Command, Line
from copernicus.model.resources import ProgramNeed
from copernicus.model.types import StrType
from support.e2e import Env, all_done, wait_until

pytestmark = pytest.mark.e2e

SAY_TOML = """
name = "say.back"
program = "say"

[inputs.text]
type = "str"

[inputs.number]
type = "float"
default = 0.0

[inputs.file]
type = "File | None"
path = "file.txt"

[[run]]
argv = ["{program}", "{in.text}", "{in.number}"]
stdout = "said.txt"

[outputs.said]
type = "str"
text = "said.txt"
"""
_SAY = "import sys\nsys.stdout.reconfigure(newline='')\nsys.stdout.write('|'.join(sys.argv[1:]))\n"

STRINGS = (
    "quote \" and ' and `id` and $(id) and $HOME",
    "<xml>&amp;</xml> ]]> {in.text} {program} %s {0}",
    "two\nlines\tand a tab",
    "ünï¢ødé 漢字 🧬 \u202e",
    "007",
    "null",
    "-v --help",
    "/etc/passwd",
    "../../secret",
    "@secret.toml",
    "; rm -rf /",
    " spaces at both ends ",
    "a\\b\\n",
    "\x07\x1b[31mred",
    "x" * 20_000,
)


def lab(env: Env) -> Project:
    project = env.open()
    env.cpc("define", env.write("say.toml", SAY_TOML))
    return project


def start_worker(env: Env) -> None:
    script = env.write("say.py", _SAY)
    env.write(
        "programs.toml",
        f'[programs.say]\ncommand = ["{sys.executable}", "{script}"]\nversion = "1"\n',
    )
    env.start_worker("w1", "--programs", env.root / "programs.toml")


@pytest.mark.timeout(180)
def test_any_string_is_a_legal_value_up_to_the_program_and_after_a_restart(env: Env) -> None:
    project = lab(env)
    env.cpc("add", "say", "say.back", "--map", "text", "--active")
    for text in STRINGS[:-1]:
        env.cpc("append", "say.in.text", "--", text)
    project.append("say.in.text", STRINGS[-1])
    assert project.get("say.in.text") == list(STRINGS)

    env.kill_server()
    env.start_server()
    start_worker(env)
    wait_until(lambda: all_done(project, "say", len(STRINGS)), "all are done", 60)
    assert project.get("say.out.said") == [f"{text}|0.0" for text in STRINGS]
    for command in ("status", "show", "history", "trace"):
        words = {"show": ["say"], "trace": ["say.out.said[0]"]}.get(command, [])
        shown = env.cpc(command, *words)
        assert "\x1b" not in shown
        assert "\x07" not in shown


@pytest.mark.timeout(120)
def test_numbers_keep_every_digit_up_to_the_program(env: Env) -> None:
    project = lab(env)
    start_worker(env)
    env.cpc("add", "say", "say.back", "--map", "number", "--active")
    env.cpc("set", "say.in.text", "x")
    numbers = ["0.123456789012", "0.1234567890123456", "1e-17", "123456789.123456789", "5e-324"]
    env.cpc("set", "say.in.number", f"[{', '.join(numbers)}]")
    wait_until(lambda: all_done(project, "say", len(numbers)), "all are done", 60)

    assert env.json("get", "say.in.number")["value"] == [float(n) for n in numbers]
    said = project.get("say.out.said")
    assert [float(text.partition("|")[2]) for text in said] == [float(n) for n in numbers]


@pytest.mark.timeout(120)
def test_replaced_outputs_and_their_files_can_still_be_had(env: Env) -> None:
    project = lab(env)
    start_worker(env)
    env.cpc("add", "say", "say.back", "--active")
    first = env.write("first.txt", "the first file")
    env.cpc("set", "say.in.text", "one")
    env.cpc("set-file", "say.in.file", first)
    old = project.get("say.in.file")
    wait_until(lambda: all_done(project, "say", 1), "it is done")
    env.cpc("set-file", "say.in.file", env.write("second.txt", "the second"))
    env.cpc("set", "say.in.text", "two")
    wait_until(lambda: project.value("say.out.said").value == "two|0.0", "it is done again")

    ended = [e.event for e in project.journal() if e.kind == "activation_ended"]
    said = [event["outputs"]["said"] for event in ended]
    assert (said[0], said[-1]) == ("one|0.0", "two|0.0")
    assert old.read_text() == "the first file"


@pytest.mark.timeout(120)
def test_a_set_or_connect_that_fails_ends_with_a_code_and_the_reason(env: Env) -> None:
    project = lab(env)
    env.cpc("add", "a", "say.back")
    env.cpc("add", "b", "say.back")
    before = len(project.history())

    assert "expected float" in env.refused(1, "set", "a.in.number", "many")
    assert "no input 'texts'" in env.refused(1, "set", "a.in.texts", "x")
    assert "no instance" in env.refused(1, "set", "c.in.text", "x")
    refused = env.refused(1, "connect", "a.out.said", "b.in.number")
    assert "b.in.number takes float, but a.out.said gives str" in refused
    assert "no output" in env.refused(1, "connect", "a.out.nothing", "b.in.text")
    env.cpc("connect", "a.out.said", "b.in.text")
    assert "cycle" in env.refused(1, "connect", "b.out.said", "a.in.text")
    assert len(project.history()) == before + 1


@pytest.mark.timeout(180)
def test_no_user_can_make_the_server_read_a_file_or_run_code(env: Env) -> None:
    project = lab(env)
    env.cpc("add", "say", "say.back")
    secret = env.server / "client.cpc"
    assert "set-file" in env.refused(1, "set", "say.in.file", secret)
    for forged in (
        str(secret),
        {"$file": str(secret), "size": 1, "name": "x"},
        {"$file": "../" * 20 + "etc/passwd", "size": 1, "name": "x"},
        {"$file": "0" * 64, "size": 3, "name": "x"},
    ):
        with pytest.raises(CopernicusError):
            project.edit(edits.SetInput("say.in.file", forged))
    assert project.value("say.in.file").value is None

    mark = env.root / "was here"
    for spec in (_with_code(mark), _with_other_program(mark)):
        with pytest.raises((BadDefinition, BadValue, Conflict)):
            project.define(spec)
    assert "argv must begin" in env.refused(
        1, "define", env.write("bad.toml", SAY_TOML.replace("{program}", "/bin/sh"))
    )
    for text in ("__import__('os').system('touch \"was here\"')", "$(touch 'was here')"):
        env.cpc("set", "say.in.text", text)
        env.refused(1, "set", "say.in.number", f"5 {text}")
    assert not mark.exists()


def _with_code(mark: Path) -> FunctionSpec:
    return FunctionSpec(
        name="evil.code",
        version="1",
        kind="task",
        inputs=(Port("x", StrType(), required=False, default=str(mark)),),
        outputs=(),
        module="os",
        entry="pathlib:Path.touch",
    )


def _with_other_program(mark: Path) -> FunctionSpec:
    return FunctionSpec(
        name="evil.program",
        version="1",
        kind="program",
        inputs=(),
        outputs=(),
        program=ProgramNeed("say"),
        template=Command(lines=(Line(("/bin/touch", str(mark))),), outputs=()),
    )
