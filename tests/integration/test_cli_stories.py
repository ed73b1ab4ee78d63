"""What a user does from the first command to the last file, with a real server and worker."""

import pytest

from copernicus import Client
from copernicus.client import WorkFailed
from copernicus.errors import Conflict
from support.cli_world import COUNT, counting, until, worker


def test_the_first_project_from_the_shell(cpc, lab):
    counting(cpc, "first", "a", "b")
    assert "‖ held" in cpc("status").out
    cpc("activate")
    cpc("wait", "--timeout", 60)

    shown = cpc("status").out
    assert "✓ done" in shown
    assert "2/2" in shown
    assert cpc("get", "run.out.last", "--json").data["value"] == [2, 2]
    folder = cpc.folder / "logs"
    written = cpc("get", "run.out.log", "-o", folder).out.split()
    assert [(folder / f"{n}-log.txt").read_text().split("\n")[0] for n in (0, 1)] == [
        "began with a",
        "began with b",
    ]
    assert len(written) == 2
    single = cpc.folder / "one.txt"
    cpc("get", "run.out.log[1]", "-o", single)
    assert single.read_text().startswith("began with b")


def test_one_appended_start_runs_exactly_once(cpc, lab):
    counting(cpc, "append", "a", "b")
    cpc("activate")
    cpc("wait", "run")
    before = {job["id"] for job in cpc("jobs", "--json").data}

    cpc("append", "run.in.start", cpc.file("more.txt", "c\n"))
    cpc("wait", "run")

    after = {job["id"]: job["path"] for job in cpc("jobs", "--json").data}
    assert [after[new] for new in set(after) - before] == ["run[2]"]
    assert "3/3" in cpc("status").out


def test_a_failed_element_says_why_and_is_skipped_or_tried_again(cpc, lab):
    counting(cpc, "failing", "a", "bad")
    cpc("activate")
    refusal = cpc.refused(1, "wait", "run")
    assert "run failed: stepper ended with exit code 3" in refusal

    assert "✕ failed" in cpc("status").out
    reason = cpc("why", "run[1]").out
    assert "exit code 3" in reason
    assert "| the start is bad" in reason
    assert "the start is bad" in cpc("log", "run[1]").out
    assert "run[1], which failed" in cpc.refused(1, "get", "run.out.last")

    cpc("set-file", "run.in.start[1]", cpc.file("good.txt", "good\n"))
    cpc("wait", "run")
    assert cpc("get", "run.out.last[1]").out.strip() == "2"


def test_a_skipped_element_is_left_out_and_said_so(cpc, lab):
    counting(cpc, "skipping", "a", "bad")
    cpc("activate")
    cpc.refused(1, "wait", "run")

    cpc("skip", "run[1]")
    cpc("wait", "run")

    assert "1 skipped" in cpc("status").out
    assert cpc("get", "run.out.last").err.strip() == "cpc: left out: run[1]: skipped by admin"
    assert cpc("get", "run.out.last", "--json").data["left_out"] == ["run[1]: skipped by admin"]
    assert "leaves out 1: run[1]: skipped by admin" in cpc("show", "run").out
    assert "run[1]: skipped by admin" in cpc("trace", "run.out.last").out
    assert "failed" in cpc("trace", "run[1]").out


def test_history_trace_and_show_tell_what_was_done(cpc, lab):
    counting(cpc, "told", "a")
    cpc("activate")
    cpc("wait", "run")

    history = cpc("history").out
    assert "add run (steps.count)" in history
    assert "admin" in history
    trace = cpc("trace", "run.out.last[0]").out
    assert "run[0]  steps.count" in trace
    assert "attempt 1 on" in trace
    assert "steps = 2" in trace
    shown = cpc("show", "run").out
    assert "Count slowly" in shown
    assert "run[0]" in shown
    told = cpc("trace", "run.out.last[0]", "--json").data
    assert told["steps"][told["roots"][0]]["function"] == "steps.count"


def test_jobs_of_an_unknown_program_say_why_they_wait(cpc, lab):
    toml = COUNT.replace("stepper", "nosuchprogram").replace("steps.count", "steps.other")
    cpc("project", "create", "waiting")
    cpc("define", cpc.file("other.toml", toml))
    cpc("add", "run", "steps.other", "--active")
    cpc("set-file", "run.in.start", cpc.file("a.txt", "a\n"))

    until(lambda: cpc("jobs", "--json").data)

    assert "nosuchprogram" in cpc("job", "why", "run").out
    assert "nosuchprogram" in cpc("jobs").out
    assert "waiting" in cpc("queue").out
    cpc("cancel", "run")


def test_bad_input_is_refused_by_name_and_changes_nothing(cpc, lab):
    counting(cpc, "refusing", "a")

    assert "no function 'no.such'" in cpc.refused(1, "add", "x", "no.such")
    assert "it has: start, steps, title" in cpc.refused(1, "set", "run.in.stepz", 1)
    assert "expected int at run.in.steps" in cpc.refused(1, "set", "run.in.steps", "many")
    assert "cpc set-file run.in.start" in cpc.refused(1, "set", "run.in.start", "a.txt")
    assert "There is no file nosuch.gro" in cpc.refused(1, "set-file", "run.in.start", "nosuch.gro")
    assert "is a folder" in cpc.refused(1, "set-file", "run.in.start", cpc.folder)
    assert "no instance 'nope'" in cpc.refused(1, "show", "nope")
    assert "is no input" in cpc.refused(1, "set", "run.out.log", 1)
    assert "broken.toml" in cpc.refused(1, "define", cpc.file("broken.toml", "name = [\n"))
    assert "already" in cpc.refused(1, "add", "run", "steps.count")
    assert "no project 'nope'" in cpc.refused(1, "status", "--project", "nope").lower()
    assert cpc("status", "--json").data["project"]["revision"] == 4


def test_a_project_is_deleted_only_when_it_is_meant(cpc, lab):
    counting(cpc, "doomed", "a")

    assert (
        "Would delete doomed of admin: 1 instances"
        in cpc("project", "delete", "doomed", "--dry-run").out
    )
    assert "--yes" in cpc.refused(1, "project", "delete", "doomed")
    cpc("project", "delete", "doomed", "--yes")

    assert "doomed" not in cpc("project", "list").out
    assert "No project is chosen" in cpc.refused(1, "status")


def test_the_same_in_python(cpc, lab):
    with Client(config=cpc.config) as client:
        made = client.create_project("python")
        made.define(cpc.file("count.toml", COUNT))
        starts = [cpc.file(f"s{n}", f"{n}\n") for n in range(3)]
        with made.transaction() as transaction:
            run = made.add("run", "steps.count", map=["start"])
            run["start"] = starts[:2]
            run["steps"] = 3
            made.activate()
        assert transaction.reply.revision == 2
        run["start"].append(starts[2])
        made.wait("run", timeout=60)

        assert run.state == "done"
        assert made.get("run.out.last") == [3, 3, 3]
        assert run.out.last[1].value == 3
        log = made.get("run.out.log[2]")
        assert log.download(cpc.folder / "log.txt").read_text().startswith("began with 2")
        assert log.read_text() == (cpc.folder / "log.txt").read_text()
        assert made.value("run.in.steps").value == 3
        assert made.trace("run.out.last[0]").function == "steps.count"
        assert [revision.number for revision in made.history()] == [1, 2, 3]
        run["steps"] = 3
        assert made.history()[-1].number == 4


def test_waiting_for_a_failure_or_for_what_is_held_ends_with_the_reason(cpc, lab):
    counting(cpc, "ends", "bad")
    with Client(config=cpc.config) as client:
        found = client.project()
        with pytest.raises(WorkFailed, match="run is held; activate it"):
            found.wait("run")
        found.activate()
        with pytest.raises(WorkFailed, match="exit code 3"):
            found.wait("run")
        with found.transaction():
            second = found.add("second", "steps.count", active=True)
            second["start"] = cpc.file("ok", "ok\n")
            second["steps"] = 100
        with pytest.raises(TimeoutError, match=r"not done after 0\.2 s"):
            found.wait("second", timeout=0.2)
        found.cancel("second")


def test_a_file_that_grew_sends_only_its_new_end(cpc, lab):
    sent = []
    big = cpc.file("big", b"x" * (2 << 20) + b"end")
    with Client(config=cpc.config) as client:
        made = client.create_project("growing")
        put = made._transport.put_bytes
        made._transport.put_bytes = lambda path, content: (
            sent.append(len(content)),
            put(path, content),
        )
        first = made.files.upload([big])[0]
        big.write_bytes(big.read_bytes() + b"more")
        told = []
        second = made.files.upload([big], lambda *seen: told.append(seen))[0]
        made.files.upload([big])

        assert sent == [1 << 20, 3, 7]
        assert (first.size, second.size) == ((2 << 20) + 3, (2 << 20) + 7)
        assert told[-1] == ("big", second.size, second.size)


def test_small_files_are_sent_many_in_one_request_and_each_once(cpc, lab):
    paths = [cpc.file(f"small{i}", b"%d" % (i // 2)) for i in range(2002)]
    paths.append(cpc.file("larger", b"x" * ((64 << 10) + 1)))
    sent, told = [], []
    with Client(config=cpc.config) as client:
        made = client.create_project("many-small")
        send = made._transport.send
        made._transport.send = lambda method, path, *body: (
            sent.append(path.partition("/blobs")[2]),
            send(method, path, *body),
        )
        stored = made.files.upload(paths, lambda *seen: told.append(seen))

        # 1,001 contents: 1,000 in a message at most.
        assert sent == ["", "/small", "/small"]
        assert stored == made.files.described(paths)
        assert {name for name, done, size in told if done == size} == {path.name for path in paths}
        sent.clear()
        made.files.upload(paths)
        assert sent == []


def test_a_small_file_that_changes_while_it_is_sent_is_refused(cpc, lab):
    small = cpc.file("small", b"as it was")
    with Client(config=cpc.config) as client:
        made = client.create_project("changing")
        ask = made._transport.post

        def changing(*question):
            small.write_bytes(b"as it is!")
            return ask(*question)

        made._transport.post = changing
        with pytest.raises(Conflict, match="small changed while it was sent"):
            made.files.upload([small])


def test_events_go_on_from_any_position(cpc, lab):
    counting(cpc, "events", "a")
    with Client(config=cpc.config) as client:
        found = client.project()
        journal = found.journal()
        stream = found.events(since=2)
        seen = [next(stream) for _ in range(3)]

        assert [entry.position for entry in seen] == [3, 4, 5]
        assert [entry.kind for entry in seen] == [entry.kind for entry in journal[2:5]]
        stream.close()


def test_workers_are_listed_drained_and_revoked(cpc, lab):
    folder = cpc.folder / "second"
    with worker(folder, lab) as log:
        until(lambda: len(_connected(cpc)) == 2 and "programs:" in log.read_text())
        second = log.read_text().split("worker ")[1].split()[0]
        shown = cpc("worker", "list").out
        assert second[-6:] in shown
        assert "stepper 1.0" in shown
        assert "could be several" in cpc.refused(1, "worker", "drain", "w0")
        assert "--yes" in cpc.refused(1, "worker", "revoke", second[-6:])
        cpc("worker", "revoke", second[-6:], "--yes")
        assert second[-6:] not in cpc("worker", "list").out
        assert second[-6:] in cpc("worker", "list", "--all").out


def _connected(cpc):
    return [w for w in cpc("worker", "list", "--json").data if w["state"] == "connected"]


def test_a_spent_budget_pauses_the_project_and_says_how_to_go_on(cpc, lab):
    counting(cpc, "spent", "a", "b", "c")
    assert "10,000" in cpc("project", "budget").out
    changed = cpc("project", "budget", "--bytes", "10B", "--queued", "none").out
    assert "unlimited" in changed
    cpc("activate")
    until(lambda: cpc("project", "info", "--json").data["state"] == "paused", 30)
    shown = cpc("project", "info").out
    assert "bytes of 10 are used" in shown
    refused = cpc.run("resume")
    assert refused.code != 0
    assert "cpc project budget --bytes" in refused.err
    cpc("project", "budget", "--bytes", "1GB")
    cpc("resume")
    cpc("wait", "--timeout", 60)
    assert cpc("get", "run.out.last", "--json").data["value"] == [2, 2, 2]
    assert "write a number" in cpc.run("project", "budget", "--queued", "x").err
