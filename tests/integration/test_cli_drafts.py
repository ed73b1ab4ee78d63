"""Drafts, differences, reverts, copies and networks in files, from the shell, at a real server."""

import json
from hashlib import sha256

import pytest

from copernicus.client import Client
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.server.embedded import EmbeddedServer
from support.cli_world import COUNT, PASSWORD, Terminal, worker


@pytest.fixture(scope="module")
def other_server(tmp_path_factory):
    _, made = EmbeddedServer.make(tmp_path_factory.mktemp("other") / "s", PASSWORD)
    with made as running:
        yield running


@pytest.fixture
def bob(cpc, server, tmp_path):
    """Another user, who works in the same projects."""
    if "bob" not in cpc("user", "list").out:
        cpc("user", "add", "bob", "--password-file", cpc.password)
    return Terminal(tmp_path / "bob").login(server, "bob")


def project(cpc, name):
    """One mapped instance over two files."""
    cpc("project", "create", name)
    cpc("define", cpc.file("count.toml", COUNT))
    cpc("add", "run", "steps.count", "--map", "start")
    files = [cpc.file(f"start{n}.txt", f"{n}\n") for n in range(2)]
    cpc("set-file", "run.in.start", *files)
    cpc("set", "run.in.steps", "2")


def revision(cpc):
    return cpc("project", "info", "--json").data["revision"]


# --- drafts ----------------------------------------------------------------------------------


def test_a_draft_is_one_revision_and_changes_nothing_before_its_commit(cpc):
    project(cpc, "drafted")
    before = revision(cpc)
    cpc("begin")
    said = cpc("add", "next", "steps.count")
    assert "1 edit waiting for cpc commit" in said.err
    cpc("set", "next.in.steps", "7")
    cpc("connect", "run.out.log[0]", "next.in.start")
    assert revision(cpc) == before
    assert [i["path"] for i in cpc("status", "--json").data["instances"]] == ["run"]

    shown = cpc("draft").out
    assert "+ next.in.start: <- run.out.log[0]" in shown
    assert "next" in cpc("commit", "--preview").out
    assert revision(cpc) == before

    assert f"revision {before + 1}" in cpc("commit").out
    assert revision(cpc) == before + 1
    assert cpc("get", "next.in.steps").out.strip() == "7"
    assert "There is no draft" in cpc.refused(1, "commit")


def test_an_edit_of_a_draft_is_checked_at_once_and_left_out_if_it_is_wrong(cpc):
    project(cpc, "checked")
    cpc("begin")
    cpc("set", "run.in.steps", "3")
    assert "nothing" not in cpc.refused(1, "connect", "run.out.last", "run.in.start")
    cpc.refused(1, "set", "run.in.none", "3")
    cpc.refused(1, "add", "run", "steps.count")
    assert len(cpc("draft", "--json").data["edits"]) == 1
    cpc("rollback", "--yes")
    assert cpc("get", "run.in.steps").out.strip() == "2"
    assert "A draft" not in cpc("set", "run.in.steps", "4").err


def test_a_commit_is_refused_for_a_path_that_somebody_changed_and_only_for_that(cpc, bob):
    project(cpc, "shared")
    cpc("project", "share", "bob")
    bob("project", "use", "shared")
    cpc("begin")
    cpc("set", "run.in.steps", "3")
    bob("set", "run.in.title", "mine")
    cpc("draft")
    bob("set", "run.in.steps", "9")

    refusal = cpc.refused(1, "commit")
    assert "run.in.steps was changed by bob in revision" in refusal
    assert "UTC" in refusal
    assert "cpc rollback" in refusal
    assert cpc("get", "run.in.steps").out.strip() == "9"

    cpc("commit", "--overwrite")
    assert cpc("get", "run.in.steps").out.strip() == "3"
    assert cpc("get", "run.in.title").out.strip() == "mine"


def test_drafts_of_two_users_know_nothing_of_each_other(cpc, bob):
    project(cpc, "apart")
    cpc("project", "share", "bob")
    bob("project", "use", "apart")
    cpc("begin")
    cpc("set", "run.in.steps", "3")
    assert "no draft" in bob.refused(1, "draft")
    bob("begin")
    bob("set", "run.in.title", "his")
    bob("commit")
    assert cpc("get", "run.in.steps").out.strip() == "2"
    cpc("commit")
    assert cpc("get", "run.in.title").out.strip() == "his"


def ended_by_an_error(p):
    with p.draft():
        p.set("run.in.steps", 6)
        raise RuntimeError


def overtaken(p, same):
    with p.draft():
        p.set("run.in.steps", 8)
        same.set("run.in.steps", 7)


def test_a_draft_from_python_is_checked_line_by_line(cpc):
    project(cpc, "python")
    with Client(config=cpc.config) as client:
        p = client.project("python")
        before = p.view().revision
        with p.draft() as draft:
            p.set("run.in.steps", 5)
            with pytest.raises(NotFound):
                p.set("run.in.none", 1)
            p.copy({"run": "again"})
        assert draft.reply.revision == before + 1
        with pytest.raises(RuntimeError):
            ended_by_an_error(p)
        assert p.get("run.in.steps") == 5
        with pytest.raises(Conflict, match=r"run\.in\.steps was changed by admin"):
            overtaken(p, client.project("python"))
        assert p.get("run.in.steps") == 7


# --- what was weak in the first Copernicus (upstream 2.8, 9.10) -------------------------------


def test_upstream_9_10_a_failed_set_or_connect_exits_non_zero_and_says_why(cpc):
    project(cpc, "weak")
    assert "expected int" in cpc.refused(1, "set", "run.in.steps", "many")
    assert "takes" in cpc.refused(1, "connect", "run.out.last", "run.in.title")
    assert "no instance 'none'" in cpc.refused(1, "connect", "none.out.x", "run.in.title")
    swapped = cpc.refused(1, "connect", "run.in.title", "run.out.log")
    assert "cpc connect run.out.log run.in.title" in swapped
    assert revision(cpc) == 4


def failing(p):
    with p.transaction():
        p.add("first", "steps.count")
        p.set("run.in.steps", 50)
        p.set("first.in.steps", "many")


def test_upstream_2_8_a_transaction_that_fails_leaves_nothing(cpc):
    project(cpc, "undone")
    before, network = revision(cpc), cpc("network", "export").out
    with Client(config=cpc.config) as client:
        p = client.project("undone")
        with pytest.raises(BadValue):
            failing(p)
    assert (revision(cpc), cpc("network", "export").out) == (before, network)


def test_an_identical_connection_or_activation_is_no_revision(cpc):
    project(cpc, "same")
    cpc("add", "next", "steps.count", "--map", "start")
    cpc("connect", "run.out.log", "next.in.start")
    before = revision(cpc)
    assert "(as it was already)" in cpc("connect", "run.out.log", "next.in.start").out
    cpc("hold", "run")
    assert revision(cpc) == before


# --- history ---------------------------------------------------------------------------------


def test_differences_are_told_and_a_revert_brings_results_back(cpc, tmp_path):
    project(cpc, "history")
    cpc("worker", "bundle", "-o", tmp_path / "lab.cpc")
    with worker(tmp_path / "worker", tmp_path / "lab.cpc"):
        cpc("activate")
        cpc("wait", "--timeout", 60)
    jobs = len(cpc("jobs", "--json").data)
    then = revision(cpc)
    cpc("unset", "run.in.start[0]")
    cpc("rm", "run")
    cpc("add", "other", "steps.count")

    told = cpc("diff", then).out
    assert "- run: steps.count" in told
    assert "+ other: steps.count" in told
    assert "~" not in told
    changes = cpc("diff", then, then + 1, "--json").data
    assert [(c["kind"], c["path"]) for c in changes] == [("-", "run.in.start[0]")]

    dry = cpc("revert", then, "--dry-run").out
    assert "- other" in dry
    assert revision(cpc) == then + 3
    assert "add --yes" in cpc.refused(1, "revert", then)
    cpc("revert", then, "--yes")

    assert revision(cpc) == then + 4
    assert cpc("diff", then).out.strip() == "nothing"
    assert cpc("get", "run.out.last", "--json").data["value"] == [2, 2]
    assert len(cpc("jobs", "--json").data) == jobs
    assert f"revert to revision {then}" in cpc("history").out
    assert "no revision 99" in cpc.refused(1, "revert", 99)
    assert "already" in cpc("revert", then).out


# --- copies and files ------------------------------------------------------------------------


def test_a_part_of_the_network_is_copied(cpc):
    project(cpc, "copied")
    cpc("add", "next", "steps.count", "--map", "start")
    cpc("connect", "run.out.log", "next.in.start")
    cpc("copy", "run", "next", "--suffix", "_hot")
    shown = json.loads(cpc("network", "export", "--json").out)["instances"]
    assert shown["next_hot"]["inputs"]["start"]["path"] == "run_hot"
    assert shown["run_hot"]["held"] is True
    assert "already" in cpc.refused(1, "copy", "run", "next")
    assert "cpc copy run run2" in cpc.refused(1, "copy", "run")


def test_a_network_moves_to_another_server_with_its_files(cpc, other_server, tmp_path):
    project(cpc, "moved")
    cpc("add", "next", "steps.count")
    cpc("connect", "run.out.log[1]", "next.in.start")
    cpc("set", "next.in.title", 'with "quotes" and ümlauts')
    text, files = cpc.folder / "moved.toml", cpc.folder / "files"
    cpc("network", "export", text, "--with-files", files)

    there = Terminal(tmp_path / "there").login(other_server)
    there("project", "create", "moved")
    assert "not on this server" in there.refused(1, "network", "import", text)
    assert (
        "+ next.in.start: <- run.out.log[1]"
        in there("network", "import", text, "--files", files, "--dry-run").out
    )
    assert revision(there) == 0
    there("network", "import", text, "--files", files)
    again = there("network", "export").out
    assert again.split("\n")[1:] == cpc("network", "export").out.split("\n")[1:]
    assert "already" in there("network", "import", text).out
    assert revision(there) == 1


def test_an_edited_text_is_imported_and_removals_are_asked_for(cpc):
    project(cpc, "edited")
    cpc("add", "next", "steps.count")
    text = cpc.folder / "edited.toml"
    cpc("network", "export", text)
    whole = text.read_text()
    text.write_text(whole.replace("[instance.next]", "[instance.other]"))
    assert "add --yes" in cpc.refused(1, "network", "import", text)
    said = cpc("network", "import", text, "--yes").out
    assert "- next" in said
    assert "+ other" in said
    assert "run" not in said.split("edited is at")[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("format = 1\n[instance.a\n", "line 2"),
        ("format = 2\n", "line 1: format: this reads format = 1"),
        ("format = 1\n[instance.a]\nfunktion = 'x'\n", "line 3: instance.a.funktion"),
        ("format = 1\n[instance.a]\nheld = true\n", "line 2: instance.a: it lacks its function"),
        (
            "format = 1\n[instance.a]\nfunction = 'x'\n[instance.a.connect]\nx = 'b.in.y'\n",
            "line 5: instance.a.connect.x: 'b.in.y' is no output",
        ),
        ("format = 1\n[instance.'a b']\nfunction = 'x'\n", "is no name for an instance"),
        ("format = 1\n[instance.a]\nfunction = 'no.thing'\n", "no function 'no.thing'"),
        (
            "format = 1\n[instance.a]\nfunction = 'steps.count'\n[instance.a.set]\n"
            "steps = 1979-05-27\n",
            "a.in.steps",
        ),
    ],
)
def test_a_wrong_text_is_refused_with_its_line(cpc, text, told):
    cpc("project", "create", f"wrong{sha256(text.encode()).hexdigest()[:6]}")
    cpc("define", cpc.file("count.toml", COUNT))
    refusal = cpc.refused(1, "network", "import", cpc.file("wrong.toml", text), "--yes")
    assert told in refusal
    assert revision(cpc) == 1
