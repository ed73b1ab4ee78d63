"""Scripts as functions, numbers that follow from inputs, lists that are repeated: really run."""

from __future__ import annotations

import msgspec
import pytest

from copernicus import testing
from copernicus.errors import BadDefinition
from copernicus.model.templates import render
from copernicus.sdk.toml_functions import read_function, read_function_file

MEAN = '''\
#!/usr/bin/env python3
# /// copernicus
# name = "mine.mean"
# doc = "The mean of numbers, shifted."
# args = ["--loud"]
#
# [inputs.numbers]
# type = "list[float]"
# [inputs.more]
# type = "list[File]"
# default = []
# [inputs.shift]
# type = "float | None"
# [outputs.mean]
# type = "float"
# [outputs.seen]
# type = "dict"
# [outputs.plot]
# file = "plot.txt"
# ///
"""Text with {in.numbers} in it, which nothing fills."""
import json, pathlib, sys

given = json.loads(pathlib.Path("inputs.json").read_text())
numbers = given["numbers"] + [float(pathlib.Path(p).read_text()) for p in given["more"]]
mean = sum(numbers) / len(numbers) + (given["shift"] or 0)
pathlib.Path("plot.txt").write_text("#" * round(mean))
out = {"mean": mean, "seen": {"argv": sys.argv[1:], "doc": "{in.numbers}", "more": given["more"]}}
pathlib.Path("outputs.json").write_text(json.dumps(out))
'''


@pytest.fixture
def mean(tmp_path):
    path = tmp_path / "mean.py"
    path.write_text(MEAN)
    return path


def test_a_script_with_its_description_in_it_runs(mean):
    with testing.project() as p:
        p.add("mean", str(mean), numbers=[1, 2], more=[p.file("x.txt", "6")], shift=1.0)
        p.run()
        assert p.value("mean.out.mean") == 4.0
        assert p.value("mean.out.plot").path.read_text() == "####"
        seen = {"argv": ["--loud"], "doc": "{in.numbers}", "more": ["in/x.txt"]}
        assert p.value("mean.out.seen") == seen
        p.set("mean.in.more", [])
        p.set("mean.in.shift", None)
        p.run()
        assert p.value("mean.out.mean") == 1.5


def test_a_shell_script_beside_its_toml(tmp_path):
    (tmp_path / "count.sh").write_text('wc -l < "$1"; echo "{$2}" >> out.txt\n')
    (tmp_path / "count.toml").write_text(
        """
name = "mine.count"
script = "count.sh"
args = ["{in.text}", "{in.word}"]
[inputs.text]
type = "File"
[inputs.word]
type = "str"
[outputs.lines]
type = "int"
number = {file = "job.log", regex = '(\\d+)'}
[outputs.word]
text = "out.txt"
"""
    )
    with testing.project() as p:
        p.add("c", str(tmp_path / "count.toml"), text=p.file("a", "1\n2\n"), word="x; exit 7")
        p.run()
        assert p.value("c.out.lines") == 2
        assert p.value("c.out.word") == "{x; exit 7}\n"


def test_a_script_that_is_an_input_may_be_changed_while_the_project_runs(tmp_path):
    (tmp_path / "any.toml").write_text(
        """
name = "mine.any"
script = "{in.code}"
[inputs.code]
type = "File"
[outputs.x]
type = "int"
"""
    )
    text = "import json; json.dump({{'x': {}}}, open('outputs.json', 'w'))"
    with testing.project() as p:
        p.add("any", str(tmp_path / "any.toml"), code=p.file("one.py", text.format(1)))
        p.run()
        assert p.value("any.out.x") == 1
        p.set("any.in.code", p.file("two.py", text.format(2)))
        p.run()
        assert p.value("any.out.x") == 2


def test_a_member_that_the_script_did_not_write_is_named(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        '# /// copernicus\n# name = "m.x"\n# [outputs.a]\n# type = "int"\n# ///\n'
        "open('outputs.json', 'w').write('{\"b\": 1}')\n"
    )
    with testing.project() as p:
        p.add("x", str(path))
        with pytest.raises(testing.Failed, match=r"has no 'a'; there is: b"):
            p.run()


def test_the_text_of_a_script_is_part_of_its_version(mean):
    first = read_function_file(mean)
    mean.write_text(MEAN + "# another end\n")
    assert read_function_file(mean).version != first.version


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.py", "print(1)\n", "has 0 blocks"),
        ("a.py", "# /// copernicus\n# name = 'x'\n# ///\n", "two words with a dot"),
        ("a.toml", "name='a.b'\nscript='no.py'\n", "cannot read"),
        ("a.toml", "name='a.b'\nscript='no.R'\n", "neither in .py nor in .sh"),
        ("a.toml", "name='a.b'\nscript='a.toml'\nprogram='x'\n[[run]]\n", "needs no [[run]]"),
        ("a.toml", "name='a.b'\nprogram='x'\nargs=['x']\n", "args are those of a script"),
        (
            "a.toml",
            "name='a.b'\nscript='a.toml'\nprogram='R'\n[outputs.x]\ntype='File'\n",
            "which file the script writes",
        ),
        ("a.toml", "name='a.b'\nprogram='x'\n[[files]]\npath='x'\n[[run]]\n", "text or source"),
    ],
)
def test_mistakes_in_scripts_are_named(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadDefinition) as error:
        read_function_file(path)
    assert said in error.value.message
    assert str(path) in error.value.message or "cannot read" in error.value.message


# --- numbers, lists ------------------------------------------------------------------------------

LIMITS = """
name = "a.b"
program = "sh"
timeout_s = "{in.patience}"
[inputs.patience]
type = "float (s)"
default = 60.0
[inputs.steps]
type = "int"
[inputs.width]
type = "int | None"
[inputs.names]
type = "list[str]"
default = []
[[files]]
path = "run.sh"
text = '''
for name in "$@"; do echo "<$name>" >> names.txt; done
sleep {in.pause}
echo "step {in.steps}"
'''
[inputs.pause]
type = "float"
default = 0.0
[[run]]
argv = ["{program}", "run.sh", "first", "--name={in.names*}", ["-n", "{in.names*}"]]
[outputs.names]
text = "names.txt"
[progress]
file = "job.log"
regex = 'step (?P<step>\\d+)'
total = "{in.steps}"
[done_when]
number = {file = "job.log", regex = 'step (\\d+)'}
at_least = "{in.least}"
[inputs.least]
type = "float"
default = 5.0
[resources]
cores = "{in.width}"
memory_mb = 100
"""


@pytest.fixture
def limits(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(LIMITS)
    return str(path)


def test_numbers_follow_from_inputs():
    spec = read_function(LIMITS, "x")
    command = render(spec.template, {"steps": 7, "width": 3}, spec.inputs)
    assert command.timeout_s == 60.0
    assert command.done_when.at_least == 5.0
    assert command.progress.total == 7
    assert (command.resources.cores, command.resources.memory_mb) == (3, 100)
    assert not command.from_inputs
    command = render(spec.template, {"steps": 7}, spec.inputs)
    assert command.resources.cores == 1


def test_arguments_are_repeated_for_the_elements_of_a_list(limits):
    with testing.project() as p:
        p.add("x", limits, steps=9, names=["a b", "{in.steps}"])
        p.run()
        names = ["first", "--name=a|b", "--name={in.steps}", "-n", "a|b", "-n", "{in.steps}"]
        expected = [f"<{name.replace('|', ' ')}>" for name in names]
        assert p.value("x.out.names").split("\n")[:-1] == expected
        p.set("x.in.names", [])
        p.run()
        assert p.value("x.out.names") == "<first>\n"


def test_what_is_not_reached_fails(limits):
    with testing.project() as p:
        p.add("x", limits, steps=9, least=10.0)
        with pytest.raises(testing.Failed, match="it is at 9 of 10"):
            p.run()


def test_an_attempt_that_takes_too_long_is_ended(limits):
    with testing.project() as p:
        p.add("x", limits, steps=9, pause=60.0, patience=0.3)
        with pytest.raises(testing.Failed, match=r"sh took longer than 0\.3 s"):
            p.run()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"{in.patience}"', '"soon"', "timeout_s is 'soon': write a number"),
        ('"{in.patience}"', "-1", "timeout_s is -1"),
        ('"{in.width}"', '"{in.least}"', "resources.cores: the input least is not an int"),
        ('at_least = "{in.least}"', 'at_least = "{in.names}"', "names is not a number"),
        ('at_least = "{in.least}"', 'at_least = "{in.leest}"', "did you mean 'least'"),
        ('"{in.names*}"]', '"{in.steps*}"]', "steps is no list"),
        ('"--name={in.names*}"', '"--name={in.names}"', "write {in.names*}"),
    ],
)
def test_mistakes_in_numbers_and_lists_are_named(old, new, said):
    with pytest.raises(BadDefinition) as error:
        read_function(LIMITS.replace(old, new), "f.toml")
    assert said in error.value.message
    assert error.value.message.startswith("f.toml: ")


@pytest.mark.parametrize(
    ("places", "said"),
    [({"lines": "steps"}, "lines cannot follow"), ({"timeout_s": "names"}, "is none")],
)
def test_a_template_that_was_not_read_from_toml_is_checked_where_it_is_filled(places, said):
    spec = read_function(LIMITS, "x")
    template = msgspec.structs.replace(spec.template, from_inputs=places)
    with pytest.raises(BadDefinition, match=said):
        render(template, {"steps": 1}, spec.inputs)
