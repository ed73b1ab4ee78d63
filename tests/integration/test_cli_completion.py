"""What the Tab key offers: commands, options, live names; in the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from copernicus.cli.completing import complete
from support.cli_world import Terminal, counting, until

BASH = """
source <(cpc completion bash)
COMP_WORDS=(cpc "$@"); COMP_CWORD=$#
_cpc
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { : }
compadd() { while [[ $1 != -a ]]; do shift; done; print -l -- "${(@P)2}" }
_files() { print FILES }
source <(cpc completion zsh)
words=(cpc "$@"); CURRENT=${#words}
_cpc
"""
FISH = "cpc completion fish | source; complete -C (string join ' ' -- cpc $argv)"
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@pytest.fixture
def cpc(server, tmp_path, monkeypatch):
    terminal = Terminal(tmp_path / "ann").login(server)
    monkeypatch.setattr("copernicus.cli.completing.PATIENCE_S", 30.0)
    monkeypatch.setenv("CPC_CONFIG_DIR", str(terminal.config))
    monkeypatch.setenv("CPC_CACHE_DIR", str(tmp_path / "cache" / "files"))
    return terminal


def offered(*words):
    return [word for word, _ in complete(words)]


def test_commands_options_and_choices_need_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("CPC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("CPC_CACHE_DIR", str(tmp_path / "files"))

    assert {"status", "project", "why"} <= set(offered(""))
    assert offered("sta") == ["status"]
    assert {"create", "list", "use"} <= set(offered("project", ""))
    assert offered("retry", "run", "--f") == ["--failed"]
    assert "--failed" not in offered("retry", "run", "--failed", "--")
    assert offered("project", "share", "bob", "--role", "") == ["owner", "editor", "viewer"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("nosuch", "") == []
    # Nobody is logged in: nothing is offered, nothing is said.
    assert offered("show", "") == []
    assert offered("project", "use", "") == []


def test_names_come_from_the_server(cpc):
    counting(cpc, "tabs", "a")
    cpc("add", "other", "steps.count")

    assert offered("show", "") == ["run", "other"]
    assert offered("set", "r") == ["run."]
    assert offered("set", "run.in.st") == ["run.in.start", "run.in.steps"]
    assert offered("get", "run.out.") == ["run.out.log", "run.out.last"]
    assert offered("connect", "run.out.log", "other.") == [
        "other.in.start",
        "other.in.steps",
        "other.in.title",
    ]
    assert offered("add", "x", "steps.") == ["steps.count"]
    assert "tabs" in offered("status", "--project", "")
    assert offered("profile", "use", "") == [cpc("whoami", "--json").data["profile"]]
    assert offered("set-file", "run.in.start", "") == []
    assert offered("add", "") == []


def test_answers_are_kept_for_a_while_and_a_silent_server_is_left_alone(cpc, monkeypatch):
    counting(cpc, "kept", "a")
    assert offered("show", "") == ["run"]
    cpc("add", "later", "steps.count")
    assert offered("show", "") == ["run"]

    monkeypatch.setattr("copernicus.cli.completing.FRESH_S", 0.0)
    assert offered("show", "") == ["run", "later"]
    monkeypatch.setattr("copernicus.cli.completing.PATIENCE_S", 0.0)
    assert offered("show", "") == []


@pytest.mark.shells
@pytest.mark.parametrize("shell", SHELLS)
def test_the_shells_offer_them(cpc, tmp_path, shell):
    program = shutil.which(shell)
    counting(cpc, f"in_{shell}", "a")
    cpc("add", "other", "steps.count")
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]

    def tab(*words):
        done = subprocess.run(
            [program, *plain, "-c", SHELLS[shell], *([] if shell == "fish" else ["-"]), *words],
            env={**os.environ, **home, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    assert tab("stat") == ["status"]
    # A server that does not answer within a second is left alone.
    until(lambda: tab("show", "r") == ["run"])
    until(lambda: tab("set", "run.in.st") == ["run.in.start", "run.in.steps"])
    if shell == "zsh":
        assert tab("set-file", "run.in.start", "") == ["FILES"]
