"""Amounts as people write them, and what is counted before many things are touched."""

import pytest

from copernicus.cli.amounts import megabytes, seconds, states_below
from copernicus.errors import BadValue
from support.cli_views import instance


@pytest.mark.parametrize(
    ("text", "value"), [("8GB", 8192), ("512mb", 512), ("1.5G", 1536), ("1 TB", 1024**2)]
)
def test_memory(text, value):
    assert megabytes(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("30min", 1800), ("2h", 7200), ("1.5d", 129600)]
)
def test_lengths_of_time(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["8", "GB", "8XB", "-1GB", "1e3GB", ""])
def test_what_is_no_amount_is_refused_with_an_example(text):
    with pytest.raises(BadValue, match="8GB"):
        megabytes(text)
    with pytest.raises(BadValue, match="2h"):
        seconds(text)


def test_states_are_counted_in_an_instance_and_inside_it():
    views = [
        instance("fe", "running"),
        instance("fe/md", "failed", {"failed": 2, "done": 1}),
        instance("fe@e1/md", "failed"),
        instance("fer", "failed"),
    ]
    assert states_below(views, "fe") == {"running": 1, "failed": 3, "done": 1}
    assert states_below(views, "")["failed"] == 4
