"""Functions described in TOML, and how their templates are filled in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Command, Done, Line, Number, Output, Placed
from copernicus.model.resources import ProgramNeed, Resources
from copernicus.model.templates import render, safe_name
from copernicus.model.types import describe
from copernicus.model.values import File
from copernicus.sdk.toml_functions import read_function
from copernicus.sdk.type_words import read_type

ROT13 = """
name = "rot13.convert"
program = "rot13"
doc = "Turn a text around."

[inputs.text]
type = "File"
doc = "What to turn."
[inputs.count]
type = "int"
default = 1
[inputs.only]
type = "str | None"
[inputs.verbose]
type = "bool"
default = false
[inputs.others]
type = "list[File]"
default = []

[[run]]
argv = ["{program}", "-n", "{in.count}", ["--only", "{in.only}"], "{in.verbose?}-v", "{in.text}",
        "{in.others}"]
stdout = "out.txt"

[outputs.result]
file = "out.txt"
"""

A, B, C = (File(letter * 64, 1, f"{letter}.txt").plain() for letter in "abc")


def read(text: str) -> FunctionSpec:
    return read_function(text, "rot13.toml")


def argv(spec: FunctionSpec, **inputs: Any) -> tuple[str, ...]:
    assert spec.template
    return render(spec.template, inputs, spec.inputs).lines[0].argv


# --- reading -------------------------------------------------------------------------------------


def test_a_function_in_toml() -> None:
    spec = read(ROT13)
    assert (spec.name, spec.kind, spec.module, spec.entry) == ("rot13.convert", "program", "", "")
    assert spec.program == ProgramNeed("rot13")
    assert {p.name: (describe(p.type), p.required) for p in spec.inputs} == {
        "text": ("File", True),
        "count": ("int", False),
        "only": ("str | None", False),
        "verbose": ("bool", False),
        "others": ("list[File]", False),
    }
    assert spec.input("text").doc == "What to turn."
    assert [p.name for p in spec.outputs] == ["result"]
    assert spec.template is not None
    assert spec.template.outputs == (Output("result", "file", "out.txt"),)
    assert spec.template.files == (
        Placed("in/{name}", port="text"),
        Placed("in/{name}", port="others"),
    )
    assert msgspec.json.decode(msgspec.json.encode(spec), type=FunctionSpec) == spec


def test_the_version_follows_from_the_meaning() -> None:
    version = read(ROT13).version
    assert len(version) == 12
    assert read("# a comment\n" + ROT13.replace("Turn a text", "Turn the text")).version == version
    assert read(ROT13.replace("default = 1", "default = 2")).version != version


EVERYTHING = """
name = "md.run"
program = {name = "gromacs", versions = ">=2020"}
cache = true
[inputs.conf]
type = "File"
path = "conf.gro"
[inputs.temperature]
type = "float"
unit = "K"
default = 300
on_change = "cancel"
[inputs.frames]
type = "list[File]"
path = "frame{index}.gro"
[[files]]
path = "run.mdp"
text = "ref_t = {in.temperature}"
[[run]]
argv = ["{program}", "mdrun", "-nt", "{cores}"]
when = "fresh"
[[run]]
argv = ["{program}", "cat", "{glob:*.xtc}"]
when = "complete"
ok = [0, 1]
[outputs.traj]
files = "*.xtc"
[outputs.table]
json = "t.json"
type = "dict[str, float]"
[outputs.energy]
number = {file = "md.log", regex = 'E = (\\S+)'}
unit = "kJ/mol"
[outputs.steps]
number = {file = "md.log", regex = 'S = (\\d+)'}
type = "int"
[outputs.word]
regex = {file = "md.log", regex = 'W = (\\w+)'}
optional = true
[outputs.all]
text = "md.log"
[outputs.code]
exit_code = true
[checkpoint]
files = ["*.cpt"]
required = ["md.cpt"]
step = {file = "md.log", regex = 'S = (\\d+)'}
[progress]
file = "md.log"
regex = '(?P<step>\\d+)'
[done_when]
files = ["confout.gro"]
fatal = {"blew up" = "The system is unstable."}
[environment]
OMP_NUM_THREADS = "{cores}"
[resources]
cores = 4
[retry]
job_errors = 0
"""


def test_everything_that_a_function_may_say() -> None:
    spec = read(EVERYTHING)
    command = spec.template
    assert command is not None
    assert spec.program == ProgramNeed("gromacs", ">=2020")
    assert (spec.cache, spec.resources, spec.retry.job_errors) == (True, Resources(cores=4), 0)
    assert describe(spec.input("temperature").type) == "float (K)"
    assert spec.input("temperature").on_change == "cancel"
    assert {p.name: describe(p.type) for p in spec.outputs} == {
        "traj": "list[File]",
        "table": "dict[str, float]",
        "energy": "float (kJ/mol)",
        "steps": "int",
        "word": "str | None",
        "all": "str",
        "code": "int",
    }
    assert command.checkpoint is not None
    assert command.checkpoint.step == Number("md.log", "S = (\\d+)")
    assert command.progress is not None
    assert command.progress.pattern == "md.log"
    assert command.done_when == Done(
        files=("confout.gro",), fatal={"blew up": "The system is unstable."}
    )
    assert command.lines[1] == Line(
        ("{program}", "cat", "{glob:*.xtc}"), when="complete", ok=(0, 1)
    )
    filled = render(command, {"conf": A, "frames": [B, C]}, spec.inputs)
    assert filled.files == (
        Placed("run.mdp", text="ref_t = 300.0"),
        Placed("conf.gro", file=A),
        Placed("frame0.gro", file=B),
        Placed("frame1.gro", file=C),
    )
    assert filled.environment == {"OMP_NUM_THREADS": "{cores}"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("program =", "program", r"rot13.toml: .*\(at line 3, column 9\)"),
        ('doc = "Turn', 'docs = "Turn', r"the function has no 'docs' \(did you mean 'doc'\?\)"),
        ('type = "int"', 'type = "integer"', "inputs.count: 'integer' is no type: write bool"),
        ('"{program}", "-n"', '"rot13", "-n"', "argv must begin with '{program}', not .'rot13'"),
        ("{in.count}", "{in.cuont}", "there is no input 'cuont' .did you mean 'count'"),
        ("{in.count}", "{count}", "write {in.count}"),
        ("{in.count}", "{in.count", "write {in.NAME}"),
        ('"{in.others}"', '"-f{in.others}"', "the list others must stand alone"),
        ('["--only", "{in.only}"]', '["--only"]', "mentions no input"),
        ("default = 1", "default = 'x'", "expected int at inputs.count.default, got str 'x'"),
        ("default = 1", "defualt = 1", "inputs.count has no 'defualt'"),
        ('"{in.text}",', "", "inputs.text is used nowhere"),
        ('file = "out.txt"', "", "outputs.result needs one of file, files"),
        ('file = "out.txt"', 'file = "a"\ntype = "int"', "file gives File, not int"),
        ('file = "out.txt"', 'number = "a"', "write number = {file"),
        ('file = "out.txt"', 'regex = {file = "a", regex = "b"}', "in parentheses"),
        ('file = "out.txt"', 'regex = {file = "a", regex = "("}', "is no regular expression"),
        ("[[run]]", '[[files]]\npath = "../x"\ntext = ""\n[[run]]', "outside of the work folder"),
        ("rot13.convert", "convert", "two words with a dot"),
        ('stdout = "out.txt"', "stdout = 3", "run 1: Expected `str | null`, got `int`"),
        ('program = "rot13"', 'program = {name = "a", versions = "new"}', "no version range"),
        ('program = "rot13"', "", "the function needs 'program'"),
        ("[[run]]", "[run]", "as a table ..run.. with argv"),
        ("[inputs.count]", "[inputs.mapped]", "an input cannot be called 'mapped'"),
        ("[inputs.count]", "[inputs.in-count]", "made of letters, digits"),
        ('type = "int"', 'type = "str"\nunit = "K"', "a type without numbers"),
        ('type = "int"', 'type = "int"\non_change = "stop"', "write 'finish', 'cancel' or"),
        ('type = "int"', 'type = "int"\npath = "x"', "only files have a path"),
        ('type = "list[File]"', 'type = "list[File]"\npath = "x"', "write {index} or {name}"),
    ],
)
def test_slips_are_told(old: str, new: str, said: str) -> None:
    assert old in ROT13
    with pytest.raises(BadDefinition, match=said) as told:
        read(ROT13.replace(old, new, 1))
    assert str(told.value).startswith("rot13.toml: ")


@pytest.mark.parametrize(
    "words",
    [
        "bool",
        "File",
        "list[File]",
        "dict[str, list[int]]",
        "float (kJ/mol)",
        "list[float (K)] | None",
        "'nvt' | 'npt'",
        "1 | 2",
        "Any",
    ],
)
def test_types_are_read_as_they_are_described(words: str) -> None:
    assert describe(read_type(words)) == words


@pytest.mark.parametrize(
    "words", ["", "set[int]", "int | str", "dict[int, int]", "None", "int()", "list[", "x.y", "1.5"]
)
def test_words_that_are_no_type(words: str) -> None:
    with pytest.raises(BadDefinition, match="is no type"):
        read_type(words)


# --- filling in ----------------------------------------------------------------------------------


def test_inputs_become_arguments() -> None:
    spec = read(ROT13)
    assert argv(spec, text=A) == ("{program}", "-n", "1", "in/a.txt")
    full = argv(spec, text=A, count=3, only="x y", verbose=True, others=[B, C])
    assert full == (
        *("{program}", "-n", "3", "--only", "x y", "-v", "in/a.txt", "in/b.txt", "in/c.txt"),
    )


def test_files_of_the_same_name_lie_apart() -> None:
    spec = read(ROT13)
    assert spec.template
    filled = render(spec.template, {"text": A, "others": [A, A]}, spec.inputs)
    assert [file.path for file in filled.files] == ["in/a.txt", "in/a_2.txt", "in/a_3.txt"]
    assert filled.lines[0].argv[-3:] == ("in/a.txt", "in/a_2.txt", "in/a_3.txt")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("conf.gro", "conf.gro"),
        ("../../etc/passwd", "passwd"),
        ("-rf", "_rf"),
        ("..", "_"),
        ("a b;c", "a_b_c"),
        ("C:\\x\\y.txt", "y.txt"),
        ("", "file"),
        ("naïve.pdb", "naïve.pdb"),
    ],
)
def test_file_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_fixed_places_must_differ() -> None:
    command = Command((), files=(Placed("x", port="a"), Placed("x", port="b")))
    ports = read(EVERYTHING.replace("[inputs.conf]", "[inputs.a]")).inputs
    ports = tuple(msgspec.structs.replace(ports[0], name=name) for name in "ab")
    with pytest.raises(BadValue, match="two files are to be placed at x"):
        render(command, {"a": A, "b": B}, ports)


def test_values_in_texts() -> None:
    spec = read(EVERYTHING)
    text = Command(
        (
            Line(
                ("{program}", "t={in.temperature}"),
                stdin="{in.frames} {in.conf}",
                stdin_file="{in.conf}",
            ),
        ),
        files=(Placed("c", port="conf"), Placed("f{index}", port="frames")),
    )
    (line,) = render(text, {"conf": A, "frames": [B, C], "temperature": 310.5}, spec.inputs).lines
    assert (line.argv[1], line.stdin, line.stdin_file) == ("t=310.5", "f0 f1 c", "c")


def test_a_mention_of_nothing_that_is_there() -> None:
    command = Command((Line(("{program}", "{in.x}", "-")),))
    with pytest.raises(BadDefinition, match=r"\{in.x\}: there is no such input; there are: text"):
        render(command, {}, read(ROT13).inputs[:1])
    assert render(command, {}).lines[0].argv == ("{program}", "-")


def test_defaults_stand_where_nothing_is_given() -> None:
    spec = read(ROT13)
    assert argv(spec, text=A, count=None)[2] == "1"
    assert spec.template
    assert render(spec.template, {"text": A, "count": 1}) == render(
        spec.template, {"text": A}, spec.inputs
    )


def test_regular_expressions_keep_their_braces() -> None:
    command = Command((), outputs=(Output("n", "number", "log", r"x{3}=(\d{2,4})"),))
    assert render(command, {}, ()) == command
