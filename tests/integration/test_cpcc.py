"""The old client's commands against a real server: transactions, sessions, exit codes."""

import contextlib
import io

import pytest

from copernicus import Client
from copernicus.cpcc.main import main
from support.cli_world import COUNT, PASSWORD, Done, Terminal, until, worker


class OldTerminal(Terminal):
    """Somebody who types ``cpcc``."""

    def run(self, *words):
        if words[0] == "new":
            return super().run(*words[1:])
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CPC_CONFIG_DIR", str(self.config))
            patch.setenv("COLUMNS", "80")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([str(word) for word in words])
        return Done(code, out.getvalue(), err.getvalue())

    def refused(self, *words):
        done = self.run(*words)
        assert done.code != 0, done
        assert done.err.count("\n") == 1, done
        return done.err


@pytest.fixture
def old(server, tmp_path):
    terminal = OldTerminal(tmp_path / "ann")
    words = ("login", server.folder / "client.cpc", "--user", "admin")
    terminal("new", *words, "--password-file", terminal.password)
    return terminal


def started(old, name):
    old("start", name)
    old("new", "define", old.file("count.toml", COUNT))
    old("instance", "steps::count", "run")


def test_a_project_from_start_to_result(old, server, tmp_path):
    started(old, "whole")
    assert old("pwd").out == "whole\n"
    old("new", "worker", "bundle", "-o", tmp_path / "lab.cpc")
    old("setf", "run:in.start", old.file("s0", "7\n"))
    old("set", "run.in.steps", "3")
    old("activate")
    assert "None" in old("get", "run:out.last").out
    with worker(tmp_path / "worker", tmp_path / "lab.cpc"):
        until(lambda: old("get", "run:out.last").out == "3\n")
    old("getf", "-f", old.folder / "log.txt", "run:out.log")
    assert (old.folder / "log.txt").read_text().startswith("began with 7")
    assert old("get", "run:out.log").out == "log.txt\n"
    for command in ("s", "q", "r", "h", "ls", "projects", "users", "server-info", "pwd"):
        old(command)
    assert "steps.count" in old("ls", "run").out
    assert '"run" [label=' in old("graph").out
    old("force-rerun", "run")


def test_a_transaction_is_one_revision_and_survives_between_commands(old):
    started(old, "transacted")
    before = len(old("new", "history", "--json").data)
    old("transact")
    assert "at cpcc commit" in old("set", "run:in.steps", "5").out
    old("set", "run:in.title", "a b")
    assert old("get", "run:in.steps").out == "2\n"
    assert "2 changes" in old("commit").out

    assert old("get", "run:in.steps").out == "5\n"
    assert len(old("new", "history", "--json").data) == before + 1
    old("transact")
    assert "is open" in old.refused("transact")
    old("set", "run:in.steps", "6")
    old("rollback")
    assert old("get", "run:in.steps").out == "5\n"
    assert "No transaction is open" in old.refused("commit")


def test_what_is_wrong_in_a_transaction_is_told_at_once_and_at_its_commit(old):
    started(old, "refused")
    old("transact")
    old("set", "run:in.steps", "5")
    assert "cycle" in old.refused("connect", "run:out.last", "run:in.steps")
    assert "1 waiting" in old("new", "draft").out

    old("new", "rollback", "--yes")
    old("instance", "steps::count", "other")
    old("transact")
    old("set", "other:in.steps", "5")
    with Client(config=old.config) as client:
        client.project().remove("other")
    assert "no instance 'other'" in old.refused("commit")
    assert old("get", "run:in.steps").out == "2\n"
    assert "1 changes are forgotten" in old("rollback").out


def test_what_failed_silently_once_ends_with_a_code_and_a_reason(old):
    started(old, "codes")

    assert "expected int" in old.refused("set", "run:in.steps", "many")
    assert "has no input 'step'" in old.refused("set", "run:in.step", "1")
    assert "nobody" in old.refused("connect", "nobody:out.x", "run:in.steps")
    assert "is no output" in old.refused("connect", "run:in.steps", "run:in.steps")
    assert "There is no file" in old.refused("setf", "run:in.start", "nothing.gro")
    assert "no function 'steps.fly'" in old.refused("instance", "steps::fly", "x")
    assert "no module 'msm'" in old.refused("import", "msm")
    assert "is no file" in old.refused("getf", "run:in.steps")
    assert old.run("cd", "elsewhere").code != 0
    assert old.run("log", "run").code in (0, 1)


def test_another_project_is_named_with_p_on_every_command(old):
    started(old, "one")
    started(old, "two")
    old("set", "-p", "one", "run:in.steps", "9")
    old("transact", "-p", "one")
    old("set", "run:in.steps", "8", "-p", "one")
    old("set", "run:in.steps", "4")
    old("commit", "-p", "one")

    assert old("get", "run:in.steps", "-p", "one").out == "8\n"
    assert old("get", "run:in.steps").out == "4\n"
    old("rm", "two")
    assert old.run("get", "run:in.steps", "-p", "two").code != 0


def test_arrays_of_one_element_are_one_value_for_all(old):
    old("start", "arrays")
    old("import", "gromacs")
    old("instance", "gromacs::grompps", "grompp")
    old("instance", "gromacs::mdruns", "md-run")
    old("connect", "grompp:out.tpr", "md-run:in.tpr")
    top = old.file("topol.top", "x")
    for number in range(2):
        old("setf", "grompp.in.conf[+]", old.file(f"c{number}.gro", str(number)))
    old("setf", "grompp.in.top[+]", top)
    old("setf", "grompp:in.include[0][+]", top)

    assert "takes one top for all" in old.refused("setf", "grompp.in.top[+]", top)
    assert "takes one top for all" in old.refused("setf", "grompp.in.top[1]", top)
    assert old("get", "grompp:in.conf").out == '["c0.gro", "c1.gro"]\n'
    assert old("get", "grompp:in.top").out == "topol.top\n"
    old("set", "md-run:in.resources[0].max.cores", "2")
    assert old("get", "md-run:in.cores").out == "2\n"
    assert "cpc log" in old.refused("get", "md-run:out.stderr")


def test_settings_of_grompp_go_to_the_function_that_edits_the_mdp(old):
    old("start", "settings")
    old("instance", "gromacs::grompp", "g")
    old("setf", "g:in.mdp", old.file("first.mdp", "dt = 1\n"))
    old("transact")
    old("setf", "g:in.mdp", old.file("md.mdp", "dt = 2\n"))
    old("set", "g:in.settings[1].value", "0.002")
    old("set", "g:in.settings[0].name", "nsteps")
    old("set", "g:in.settings[0].value", "500")
    old("set", "g:in.settings[1].name", "dt")
    old("commit")

    assert old("get", "g_mdp:in.settings").out == '{"nsteps": "500", "dt": "0.002"}\n'
    assert old("get", "g_mdp:in.mdp").out == "md.mdp\n"
    old("setf", "g:in.mdp", old.file("other.mdp", "dt = 3\n"))
    assert old("get", "g_mdp:in.mdp").out == "other.mdp\n"
    assert "<- g_mdp.out.mdp" in old("ls", "g").out


def test_servers_are_kept_and_chosen(old, server):
    port = server.running.user_port
    old("add-server", "-n", "lab", "127.0.0.1", port)
    assert "already" in old.refused("add-server", "-n", "lab", "127.0.0.1")
    assert f"https://127.0.0.1:{port}" in old("list-server").out
    old("use-server", "lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
        assert "Logged in as admin" in old("login", "-stdin", "admin").out
    assert "no profile" in old.refused("use-server", "nowhere")
