"""The table of commands, their help, exit codes and errors; nothing here asks a server."""

import json
import subprocess
import sys

import pytest

from copernicus.cli.app import COMMANDS, GROUPS, build
from copernicus.cli.main import main
from copernicus.cli.output import printable

HEAVY = ("httpx2", "litestar", "sqlalchemy", "structlog", "cryptography", "obstore", "numpy")


@pytest.fixture(autouse=True)
def own_config(tmp_path, monkeypatch):
    monkeypatch.setenv("CPC_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CPC_PROFILE", "CPC_PROJECT", "CPC_DEBUG", "CPC_SERVER_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_has_help_with_an_example_of_itself_and_json(entry, capsys):
    assert main([*entry.name.split(), "--help"]) == 0

    shown = capsys.readouterr().out
    assert entry.summary.split()[0] in shown
    assert all(example.startswith(f"cpc {entry.name}") for example in entry.examples)
    assert all(example in shown for example in entry.examples)
    assert "--json" in shown or entry.name == "completion"
    assert all(len(line) <= 80 for line in shown.split("\n"))


def test_the_help_lists_every_command_in_its_panel(capsys):
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    for name in (name for name in (*GROUPS, *(e.name for e in COMMANDS)) if " " not in name):
        assert f" {name} " in shown


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from copernicus.cli.main import main; main(['--help']); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status"], 3, "You are not logged in: cpc login"),
        (["skip"], 2, "cpc skip needs PATH (cpc skip --help)"),
        (["worker", "start"], 2, "cpc worker start needs --bundle"),
        (["worker", "strat"], 2, "(cpc worker --help)"),
        (["ad", "run"], 2, "(cpc --help)"),
        (
            ["login", "https://127.0.0.1:1", "-u", "ann", "--password-file", "{pw}"],
            4,
            "127.0.0.1:1",
        ),
        (["login", "nosuch.cpc", "-u", "ann", "--password-file", "{pw}"], 1, "no such file"),
        (["login", "ftp://host", "-u", "ann", "--password-file", "{pw}"], 1, "no address"),
        (["login", "https://h:1", "-u", "ann", "--password-file", "{tmp}/no"], 1, "password file"),
        (["nosuch"], 2, "Unknown command"),
        (["add", "x"], 2, "cpc add --help"),
        (["add", "x", "y", "--nosuch"], 2, "--nosuch"),
        (["project", "nosuch"], 2, "nosuch"),
        (["server", "status", "{tmp}/none"], 1, "cpc server init"),
        (["server", "start", "{tmp}/none", "-d"], 1, "cpc server init"),
        (["server", "backup", "{tmp}/none", "{tmp}/copy"], 1, "There is no server"),
        (["worker", "start", "--bundle", "{tmp}/no.cpc", "--work-dir", "{tmp}/w"], 1, "no.cpc"),
        (["profile", "use", "nosuch"], 1, "no profile 'nosuch'"),
        (["demo", "nosuch"], 1, "demo"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(words, code, said, own_config, capsys):
    (own_config / "pw").write_text("secret-password\n")
    filled = [word.format(tmp=own_config, pw=own_config / "pw") for word in words]

    assert main(filled) == code

    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.startswith("cpc: ")
    assert printed.err.count("\n") == 1
    assert "secret-password" not in printed.err


def test_errors_are_json_where_json_was_asked_for(capsys):
    assert main(["status", "--json"]) == 3

    body = json.loads(capsys.readouterr().err)
    assert body["error"]["code"] == "not_authenticated"


def test_a_bug_is_one_line_unless_details_are_asked_for(monkeypatch, capsys):
    def broken():
        raise RuntimeError("boom")

    monkeypatch.setattr("copernicus.cli.logins.profile_list", lambda options=None: broken())

    assert main(["profile", "list"]) == 1
    assert "This is a bug of cpc: RuntimeError: boom" in capsys.readouterr().err
    monkeypatch.setenv("CPC_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        main(["profile", "list"])


def test_no_command_stands_twice_and_all_can_be_loaded():
    names = [entry.name for entry in COMMANDS]
    assert len(set(names)) == len(names)

    app = build()
    for entry in COMMANDS:
        command = app
        for word in entry.name.split():
            command = command[word]
        assert command.default_command is not None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_commands(shell, capsys):
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert "cpc __complete" in script


def test_what_a_terminal_would_act_on_is_shown_instead():
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\x0a"
    assert printable("a\nb", keep="\n") == "a\nb"
