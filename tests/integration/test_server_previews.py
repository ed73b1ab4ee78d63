"""Previews from a real server with real evaluators: they come true, and they change nothing."""

from __future__ import annotations

import time
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from copernicus.model.functions import Port
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.model.types import IntType
from copernicus.protocol import LeaseReply, LeaseRequest, PreviewReply
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)

SETTINGS = {"evaluators": 1, "preview_timeout_s": 10.0}


@pytest.fixture(scope="module")
def server_settings():
    return SETTINGS


@pytest.fixture(scope="module")
def server_modules():
    return {"counting": "support.server_functions"}


@pytest.fixture(scope="module")
def worker(server, admin, tmp_path_factory):
    made = Worker(server, admin, tmp_path_factory.mktemp("w"))
    yield made
    made.close()


class Worker(ScriptedWorker):
    """Takes one job of any kind at a time."""

    def offer(self, cores: int = 1, program: str = "") -> Offer:
        programs = (ProgramOffer("module/counting", "1.0"), ProgramOffer("echo", "1"))
        return Offer(programs, cores, memory_mb=1000)

    def take(self):
        request = LeaseRequest(f"{time.monotonic()}", self.offer(1), 20.0)
        (job,) = self.ask("lease", request, LeaseReply).assignments
        return job

    def count_up(self, number: int) -> None:
        for _ in range(number):
            job = self.take()
            self.beat(job.attempt)
            self.complete(job, {"y": job.spec.task.inputs["x"] + 1})


def wait_for(admin, project: str, path: str, state: str) -> None:
    with admin.events(project, since=0) as events:
        for _ in events:
            found = {i["path"]: i["state"] for i in admin.get(f"/v1/projects/{project}/instances")}
            if found.get(path) == state:
                return
    raise AssertionError(f"{path} never was {state}")


def everything(admin, project: str) -> list:
    root = f"/v1/projects/{project}"
    return [
        admin.get(root),
        admin.get(f"{root}/journal"),
        admin.get(f"{root}/jobs"),
        admin.get(f"{root}/instances"),
    ]


def preview(admin, project: str, *edits) -> PreviewReply:
    """A preview, which must leave everything as it is."""
    before = everything(admin, project)
    body = {"edits": list(edits)}
    reply = admin.call("POST", f"/v1/projects/{project}/preview", body)
    assert everything(admin, project) == before
    return msgspec.convert(reply, PreviewReply)


@contextmanager
def project(admin, name: str):
    """A project that is gone afterwards, and its jobs with it."""
    admin.call("POST", "/v1/projects", {"name": name})
    yield name
    admin.call("DELETE", f"/v1/projects/{name}")


def counted(admin, worker, name: str, n: int) -> None:
    admin.edit(name, add("wf", "counting.count"), set_input("wf.in.n", n))
    worker.count_up(n)
    wait_for(admin, name, "wf", "done")


def test_fewer_generations_would_retire_and_more_would_declare(admin, worker):
    with project(admin, "generations") as name:
        counted(admin, worker, name, 10)
        fewer = preview(admin, name, set_input("wf.in.n", 6))
        assert (fewer.jobs, fewer.jobs_after) == (0, 0)
        gone = {(one.path, one.fate) for one in fewer.instances}
        assert gone == {(f"wf/plus-{i}", "retired") for i in range(6, 10)}
        (replay,) = fewer.evaluations
        assert (replay.path, replay.goes, replay.ends) == ("wf", "replayed", True)

        admin.edit(name, set_input("wf.in.n", 6))
        wait_for(admin, name, "wf/plus-9", "retired")
        back = preview(admin, name, set_input("wf.in.n", 8))
        assert back.jobs == 0
        assert {(o.path, o.fate) for o in back.instances} == {
            ("wf/plus-6", "back"),
            ("wf/plus-7", "back"),
        }
        assert sum(line.count for line in back.reuses) == 2

        more = preview(admin, name, set_input("wf.in.n", 12))
        assert [(line.path, line.count) for line in more.starts] == [("wf/plus-10", 1)]
        assert ("wf/plus-10", "added") in {(one.path, one.fate) for one in more.instances}
        assert more.estimate.unknown == 0
        assert more.estimate.core_hours > 0
        assert more.evaluations[0].rests_at.startswith("server_functions.py:")


def test_costs_are_taken_from_other_projects_of_the_user_where_this_one_has_none(admin, worker):
    with project(admin, "elsewhere") as other, project(admin, "fresh") as name:
        counted(admin, worker, other, 2)
        edits = add("wf", "counting.count"), set_input("wf.in.n", 3)
        told = preview(admin, name, *edits)
        assert (told.jobs, told.estimate.unknown) == (1, 0)
        assert told.estimate.core_hours > 0


def test_a_preview_neither_disturbs_nor_uses_evaluations_under_way(admin, worker):
    with project(admin, "under-way") as name:
        admin.edit(name, add("wf", "counting.count"), set_input("wf.in.n", 3))
        worker.count_up(1)
        job = worker.take()
        told = preview(admin, name, set_input("wf.in.n", 5))
        assert told.jobs == 0
        assert told.work == ()
        worker.complete(job, {"y": 2})
        worker.count_up(1)
        wait_for(admin, name, "wf", "done")


def test_what_becomes_of_queued_and_running_jobs(admin, worker):
    spec = echo_function("mine.longer")
    longer = msgspec.structs.replace(
        spec,
        inputs=(
            spec.inputs[0],
            spec.inputs[1],
            Port("n", IntType(), required=False, default=1, on_change="extend"),
        ),
    )
    with project(admin, "work") as name:
        admin.edit(name, define(longer), add("run", "mine.longer"), set_input("run.in.text", "a"))
        queued = preview(admin, name, set_input("run.in.text", "b"))
        assert [(w.path, w.fate, w.running, w.queued) for w in queued.work] == [
            ("run", "replaced", 0, 1)
        ]
        assert (queued.jobs, queued.jobs_after) == (1, 0)

        worker.take()
        again = preview(admin, name, set_input("run.in.text", "b"))
        assert [(w.fate, w.running) for w in again.work] == [("again", 1)]
        assert (again.jobs, again.jobs_after) == (0, 1)

        extended = preview(admin, name, set_input("run.in.n", 2))
        assert [(w.fate, w.running) for w in extended.work] == [("extended", 1)]
        assert [(line.count, line.continues) for line in extended.starts] == [(1, 1)]
        assert extended.estimate.unknown == 1

        cancelled = preview(admin, name, {"type": "cancel", "path": "run"})
        assert [(w.fate, w.running) for w in cancelled.work] == [("cancelled", 1)]
        assert cancelled.jobs == 0


@pytest.mark.parametrize(("how", "said"), [("crash", "exit code 9"), ("hang", "within")])
def test_a_function_that_breaks_its_process_cuts_the_preview_and_nothing_else(
    server, admin, worker, how, said
):
    with project(admin, f"cut-{how}") as name:
        admin.edit(name, add("wf", "counting.count"), set_input("wf.in.n", 2))
        worker.count_up(1)
        job = worker.take()  # it rests now: nothing changes by itself any more
        (evaluator,) = evaluators()
        told = preview(admin, name, add("bad", "counting.fatal"), set_input("bad.in.how", how))
        assert "bad" in told.cut
        assert said in told.cut
        assert evaluators() == [evaluator]
        worker.complete(job, {"y": job.spec.task.inputs["x"] + 1})
        wait_for(admin, name, "wf", "done")
        assert preview(admin, name, set_input("wf.in.n", 1)).cut == ""


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; nothing of one that has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def evaluators() -> list[int]:
    """The processes that evaluate for real; that of previews is the newest."""
    below = psutil.Process().children(recursive=True)
    found = [p for p in below if "copernicus.evaluator" in " ".join(words_of(p))]
    return [p.pid for p in sorted(found, key=lambda p: p.create_time())][:1]


def test_what_an_edit_would_be_refused_for_its_preview_is(admin):
    with project(admin, "refused") as name:
        path = f"/v1/projects/{name}/preview"
        admin.refused(422, "bad_value", "POST", path, {"edits": []})
        admin.refused(404, "not_found", "POST", path, {"edits": [set_input("no.in.n", 1)]})
        stale = {"edits": [add("wf", "counting.count")], "expected_revision": 7}
        admin.refused(409, "conflict", "POST", path, stale)


def test_only_editors_see_previews(server, admin):
    admin.call("POST", "/v1/users", {"name": "vic", "password": PASSWORD})
    with project(admin, "shared") as name:
        member = {"user": "vic", "role": "viewer"}
        admin.call("PUT", f"/v1/projects/{name}/members", member)
        viewer = User(server, "vic")
        body = {"edits": [add("wf", "counting.count")]}
        viewer.refused(403, "not_allowed", "POST", f"/v1/projects/{name}/preview", body)
        viewer.close()
