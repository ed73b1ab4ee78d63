"""What notebooks show: whole, escaped, needing nothing from elsewhere."""

import re
from html.parser import HTMLParser

import msgspec
import pytest

from copernicus.client.display import instance_html, project_html, value_html
from copernicus.client.network import Instance
from copernicus.client.project import Project
from copernicus.client.sketch import columns, sketch
from copernicus.errors import ServerUnreachable
from copernicus.protocol import InstanceDetail, PortView, ValueView
from support.cli_views import failure, instance, project

EVIL = "<script>alert('x')</script>"
VOID = {"path", "rect", "progress"}


class Balanced(HTMLParser):
    """Fails where tags do not close in the order in which they opened."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert "script" not in parser.seen
    assert not re.search(r"(src|href)=", html)
    return parser


class Shown(Project):
    """A project that answers with given views."""

    def __init__(self, views=(), detail=None, value=None):
        self.name, self._answers = "ala", (list(views), detail, value)

    def status(self):
        return project(name=f"ala {EVIL}"), self._answers[0]

    def instance_detail(self, path, start=0, count=100):
        return self._answers[1]

    def value(self, path):
        return self._answers[2]

    def get(self, path):
        return self._answers[2].value


class Away(Shown):
    def status(self):
        raise ServerUnreachable("Nothing answers at https://host")


def network():
    return [
        instance("prep", "done"),
        instance("run", "failed", {"done": 2, "failed": 1}, sources=("prep",)),
        instance("late", "waiting", sources=("run", "prep"), waits_for=EVIL),
        msgspec.structs.replace(
            instance("other", "failed", failure=failure(EVIL)), function=f"m.{EVIL}"
        ),
    ]


def test_a_project_shows_its_states_and_a_sketch():
    said = parsed(project_html(Shown(network())))

    assert {"table", "svg"} <= set(said.seen)
    assert "2/3" in said.text
    assert EVIL in said.text
    assert said.seen.count("rect") == 4
    assert said.seen.count("path") == 3


def test_the_sketch_goes_from_left_to_right_and_survives_circles():
    views = network()
    assert columns(views) == {"prep": 0, "run": 1, "late": 2, "other": 0}
    parsed(sketch(views))

    circle = [instance("a", sources=("b",)), instance("b", sources=("a",))]
    assert sorted(columns(circle).values()) == [0, 1]
    assert sketch([instance(f"i{n}") for n in range(200)]) == ""


def test_an_instance_and_a_value_show_types_units_and_members():
    view = instance("run", "failed", failure=failure(EVIL))
    ports = (PortView("dt", "float", "current", EVIL, "prep.out.dt"),)
    said = parsed(instance_html(Instance(Shown(detail=InstanceDetail(view, ports, ports)), "run")))
    assert "← prep.out.dt" in said.text

    value = ValueView("run.out.e", "Energy", "stale", {"e": [1.5, EVIL]}, unit="kJ/mol")
    said = parsed(value_html(Instance(Shown(value=value), "run").out.e))
    assert "[kJ/mol]" in said.text
    assert "stale" in said.text


def test_a_display_never_fails():
    said = parsed(project_html(Away()))
    assert "Nothing answers at https://host" in said.text


def test_a_notebook_finds_the_displays_and_the_bar():
    pytest.importorskip("IPython")
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    from copernicus.client.bars import NotebookBar

    bundle, _ = DisplayFormatter().format(Shown(network()))
    assert "<svg" in bundle["text/html"]
    assert bundle["text/plain"] == "<Project ala>"

    InteractiveShell.instance()
    with capture_output() as captured, NotebookBar("run") as bar:
        bar.update([instance("run", "running", {"done": 3, "running": 7})])
        bar.update([instance("run", "running", {"done": 3, "running": 7})])
        bar.update([instance("run", "done", {"done": 10})])
    InteractiveShell.clear_instance()
    shown = [parsed(output.data["text/html"]).text.strip() for output in captured.outputs]
    assert shown == ["run  3/10 running", "run  10/10"]
    assert captured.outputs[1].update
