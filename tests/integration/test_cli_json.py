"""Every command that looks at a server prints one JSON document with ``--json``."""

import json

import pytest

from copernicus.server.embedded import EmbeddedServer
from support.cli_world import PASSWORD, Terminal, counting

LOOKING = (
    "status",
    "show run",
    "why",
    "jobs",
    "history",
    "queue",
    "get run.in.steps",
    "whoami",
    "project list",
    "project info",
    "project budget",
    "functions list",
    "functions info steps.count",
    "worker list",
    "user list",
    "user token list",
    "worker token list",
    "audit",
    "audit verify",
    "profile list",
    "module list",
    "retry --failed --dry-run",
    "completion bash",
    "demo --list",
)


@pytest.fixture(scope="module")
def cpc(tmp_path_factory):
    _, made = EmbeddedServer.make(tmp_path_factory.mktemp("server") / "s", PASSWORD)
    with made as running:
        terminal = Terminal(tmp_path_factory.mktemp("ann")).login(running)
        counting(terminal, "json", "a")
        yield terminal


@pytest.mark.parametrize("words", LOOKING)
def test_what_is_shown_is_also_json(cpc, words):
    done = cpc(*words.split(), "--json")

    assert json.loads(done.out) is not None
    assert done.err == ""


def test_a_refusal_is_json_too(cpc):
    done = cpc.run("show", "nosuch", "--json")

    assert done.code == 1
    assert json.loads(done.err)["error"]["code"] == "not_found"
