"""Series and outputs of running jobs in TOML: what is read, what is refused with which words."""

from __future__ import annotations

import pytest

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Series
from copernicus.sdk.toml_functions import read_function

HEAD = """
name = "demo.walk"
program = "sh"
[[run]]
argv = ["{program}", "walk"]
"""


def command(text: str):
    return read_function(HEAD + text, "walk.toml").template


def test_series_are_read():
    found = command("""
[[series]]
name = "walk"
file = "walk.csv"
units = {height = "m"}
[[series]]
name = "steps"
file = "job.log"
regex = '(?P<step>\\d+)'
""")
    assert found.series == (
        Series("walk", "walk.csv", units={"height": "m"}),
        Series("steps", "job.log", r"(?P<step>\d+)"),
    )


def test_an_output_may_mean_something_before_the_end():
    (output,) = command("[outputs.a]\nfile = 'a'\npartial = true\nso_far = 'part*'").outputs
    assert (output.partial, output.so_far) == (True, "part*")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[series]\nname = 'a'", r"as a table \[\[series\]\]"),
        ("[[series]]\nname = 'a'\nfile = 'x'\nregex = '('", "no regular expression"),
        ("[[series]]\nname = 'a'\nfile = 'x'\nregex = 'x'", "name the columns"),
        ("[[series]]\nname = 'a b'\nfile = 'x'", "'a b' must be letters"),
        ("[[series]]\nname = 'a'\nfile = 'x'\nunit = 'm'", "has no 'unit'"),
        ("[[series]]\nname = 'a'\nfile = 'x'\n" * 2, "two series are called 'a'"),
        ("[outputs.a]\nexit_code = true\npartial = true", "has no exit code"),
        ("[outputs.a]\nfile = 'a'\nso_far = 'b'", "only read with partial"),
    ],
)
def test_slips_are_named(text, words):
    with pytest.raises(BadDefinition, match=words):
        command(text)
