"""``cpc why`` and ``Project.why``: the root of every wait, and commands that help."""

import shlex

import pytest

from copernicus import Client
from copernicus.errors import NotFound
from support.cli_world import COUNT, counting, until


def follow(cpc, name, source):
    cpc("add", name, "steps.count", "--active")
    cpc("connect", source, f"{name}.in.start")


def test_a_chain_of_waits_ends_at_what_failed_with_commands_that_help(cpc, lab):
    counting(cpc, "chained", "a", "bad", "bad")
    follow(cpc, "middle", "run.out.log[1]")
    follow(cpc, "last", "middle.out.log")
    cpc("activate")
    cpc.refused(1, "wait", "run")

    said = cpc("why", "last").out
    assert [line.split(":")[0].lstrip("└─ ") for line in said.split("\n")[:3]] == [
        "◌ last waits for",
        "◌ middle waits for",
        "✕ run[1] failed",
    ]
    assert "exit code  3" in said
    assert "| the start is bad" in said
    assert "1: failed on" in said

    (cause,) = cpc("why", "last", "--json").data["causes"]
    assert [link["path"] for link in cause["chain"]] == ["last", "middle", "run[1]"]
    assert cause["attempts"][0]["exit_code"] == 3
    typed = [shlex.split(remedy["command"])[1:] for remedy in cause["remedies"]]
    assert typed == [
        ["retry", "run[1]"],
        ["skip", "run[1]"],
        ["set-file", "run.in.start[1]", "FILE"],
    ]
    cpc("set-file", "run.in.start[1]", cpc.file("good.txt", "good\n"))
    cpc("wait", "last")
    assert "last is ✓ done" in cpc("why", "last").out


def test_failures_with_one_reason_are_told_once(cpc, lab):
    counting(cpc, "alike", "a", "bad", "bad", "bad")
    follow(cpc, "next", "run.out.log[2]")
    cpc("activate")
    cpc.refused(1, "wait", "run")

    assert "1 of 4 there; of the rest 3 failed" in cpc("show", "run").out
    assert "log: 1 of 4 there; of the rest 3 failed" in cpc("why", "run").out
    said = cpc("why").out

    assert said.count("stepper ended with exit code 3") == 1
    assert "2 more failed for the same reason" in said
    assert "1 element that waits for it" in said
    assert "cpc retry run --failed" in said


def test_what_is_held_or_unset_is_named_with_its_remedy(cpc, lab):
    counting(cpc, "held", "a")
    follow(cpc, "next", "run.out.log[0]")
    cpc("add", "bare", "steps.count", "--active")

    said = cpc("why", "next").out
    assert "└─ ‖ run[0] is held" in said
    assert "cpc activate run" in said
    said = cpc("why", "bare").out
    assert "bare waits: input start is not set" in said
    assert "cpc set-file bare.in.start FILE" in said


def test_a_wait_for_a_worker_names_what_the_queue_says(cpc, lab):
    toml = COUNT.replace("stepper", "nosuchprogram").replace("steps.count", "steps.other")
    cpc("project", "create", "queued")
    cpc("define", cpc.file("other.toml", toml))
    cpc("add", "run", "steps.other", "--active")
    cpc("set-file", "run.in.start", cpc.file("a.txt", "a\n"))
    until(lambda: cpc("jobs", "--json").data)

    said = cpc("why", "run").out
    assert "run is queued: no worker offers nosuchprogram" in said
    assert "cpc worker list" in said
    cpc("pause")
    assert "its project is paused" in cpc("why", "run").out
    assert "cpc resume" in cpc("why", "run").out


def test_python_is_told_the_same(cpc, lab):
    counting(cpc, "pythons", "bad")
    cpc("activate")
    cpc.refused(1, "wait", "run")

    with Client(config=cpc.config) as client:
        view = client.project("pythons").why("run[0]")
        assert view.causes[0].failure.exit_code == 3
        assert view.causes[0].remedies[0].command == "cpc retry 'run[0]'"
        with pytest.raises(NotFound, match=r"no element \[7\]: it has 1 elements"):
            client.project("pythons").why("run[7]")


def test_many_are_asked_about_and_a_dry_run_changes_nothing(cpc, lab):
    counting(cpc, "many", *["bad"] * 22)
    cpc("activate")
    cpc.refused(1, "wait", "run")
    before = cpc("project", "info", "--json").data["revision"]

    assert "22 elements of run" in cpc("retry", "run", "--dry-run").out
    assert cpc("retry", "--failed", "--dry-run", "--json").data["elements"] == 22
    assert "add --yes; nothing was done" in cpc.refused(1, "retry", "run")
    assert "needs a path, or --failed" in cpc.refused(1, "retry")
    assert "is no amount of memory" in cpc.refused(1, "retry", "run[0]", "--memory", "8")
    assert cpc("project", "info", "--json").data["revision"] == before

    assert "run[4] is skipped" in cpc("skip", "run[4]").out
    assert "run[3] runs again" in cpc("retry", "run[3]", "--memory", "1GB", "--cores", "1").out
    cpc.refused(1, "wait", "run")
    assert "21 elements of the project run again" in cpc("retry", "--failed", "--yes").out
