"""Module code under a server: described jobs, evaluations, processes that die or hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

import psutil
import pytest

from copernicus.errors import ServerBusy
from copernicus.model.effects import SendAnswer
from copernicus.model.evaluation import ROOT, Answer, Start
from copernicus.model.reports import Rested
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import LeaseReply, LeaseRequest
from copernicus.server.evaluators import Evaluators
from copernicus.settings import ServerSettings
from support.evaluators import TESTS, install
from support.server_client import ScriptedWorker, add, set_input

SETTINGS = {
    "evaluators": 2,
    "max_resting": 2,
    "evaluator_restarts": 1,
    "describe_timeout_s": 2.0,
    "evaluate_timeout_s": 2.0,
}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def server_settings():
    return SETTINGS


@pytest.fixture(scope="module")
def server_modules():
    return {"counting": "support.server_functions"}


@pytest.fixture(scope="module")
def worker(server, admin, tmp_path_factory):
    made = Counter(server, admin, tmp_path_factory.mktemp("w"))
    yield made
    made.close()


class Counter(ScriptedWorker):
    """Does what the module's task does."""

    def offer(self, cores: int = 4, program: str = "") -> Offer:
        programs = (ProgramOffer("module/counting", "1.0"), ProgramOffer("echo", "1"))
        return Offer(programs, cores, memory_mb=1000)

    def work(self, number: int) -> None:
        """Do so many jobs."""
        while number > 0:
            request = LeaseRequest(f"{time.monotonic()}", self.offer(1), 20.0)
            jobs = self.ask("lease", request, LeaseReply).assignments
            assert jobs, f"{number} jobs did not come"
            for job in jobs:
                number -= 1
                self.complete(job, {"y": job.spec.task.inputs["x"] + 1})


def wait_for(admin, project: str, path: str, state: str) -> dict:
    """The instance once it is in this state; told by the project's events, not by a clock."""
    root = f"/v1/projects/{project}"
    with admin.events(project, since=0) as events:
        for _ in events:
            found = next(i for i in admin.get(f"{root}/instances") if i["path"] == path)
            if found["state"] == state:
                return found
    raise AssertionError(f"{path} never was {state}")


def test_functions_are_listed_and_described(admin):
    found = {f["spec"]["name"]: f for f in admin.get("/v1/functions")}
    assert found["counting.count"]["signature"] == "counting.count(n: int) -> total: int"
    assert admin.get("/v1/functions/counting.shout")["spec"]["kind"] == "program"
    admin.refused(404, "not_found", "GET", "/v1/functions/counting.nothing")


def test_a_program_function_describes_its_job(admin, worker):
    admin.call("POST", "/v1/projects", {"name": "described"})
    admin.edit("described", add("one", "counting.shout"), set_input("one.in.text", "loud"))
    (job,) = worker.lease()
    assert job.spec.command.lines[0].argv == ("{program}", "LOUD")
    worker.complete(job, {"said": "LOUD"})
    assert wait_for(admin, "described", "one", "done")


@pytest.mark.parametrize(
    ("text", "said"), [("raise", "no such text"), ("crash", "exit code 9"), ("hang", "within 2 s")]
)
def test_a_description_that_fails_is_told_on_its_instance(admin, text, said):
    admin.call("POST", "/v1/projects", {"name": f"d-{text}"})
    admin.edit(f"d-{text}", add("one", "counting.shout"), set_input("one.in.text", text))
    failed = wait_for(admin, f"d-{text}", "one", "failed")
    assert said in failed["failure"]["reason"]


@pytest.mark.parametrize(("how", "said"), [("crash", "exit code 9"), ("hang", "within 2 s")])
def test_an_evaluation_that_breaks_its_process_is_given_up(admin, how, said):
    admin.call("POST", "/v1/projects", {"name": f"f-{how}"})
    admin.edit(f"f-{how}", add("wf", "counting.fatal"), set_input("wf.in.how", how))
    failed = wait_for(admin, f"f-{how}", "wf", "failed")
    assert "broke 2 times" in failed["failure"]["reason"]
    assert said in failed["failure"]["reason"]


def test_evaluations_of_the_same_path_in_many_projects_do_not_meet(admin, worker):
    """More of them than may rest, so that they are evicted and begun again with their answers."""
    names = [f"many{i}" for i in range(6)]
    for name in names:
        admin.call("POST", "/v1/projects", {"name": name})
        admin.edit(name, add("wf", "counting.count"), set_input("wf.in.n", 4))
    worker.work(len(names) * 4)
    for name in names:
        wait_for(admin, name, "wf", "done")
        value = admin.get(f"/v1/projects/{name}/value", path="wf.out.total")
        assert value["value"] == 4
        journal = admin.get(f"/v1/projects/{name}/journal")
        assert sum(e["kind"] == "activation_opened" for e in journal) == 5


def test_an_evaluation_outlives_the_death_of_every_evaluator(admin, worker):
    admin.call("POST", "/v1/projects", {"name": "killed"})
    admin.edit("killed", add("wf", "counting.count"), set_input("wf.in.n", 5))
    for _ in range(4):
        worker.work(1)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # one that was ended meanwhile
                if "copernicus.evaluator" in child.cmdline():
                    child.kill()
    worker.work(1)
    wait_for(admin, "killed", "wf", "done")
    value = admin.get("/v1/projects/killed/value", path="wf.out.total")
    assert value["value"] == 5


@pytest.mark.anyio
async def test_an_evaluation_begins_again_once_a_full_disk_lets_it_be_asked_how(
    tmp_path, monkeypatch
):
    """What the server refuses meanwhile is no break of the evaluation's process."""
    install(tmp_path, {"counting": "support.server_functions"})
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{TESTS}")
    entry, answer = "support.server_functions:count", Answer(ROOT, 0, [1])
    start = Start("wf", "", 1, entry, "1.0", {"n": 2}, seed=7, answers=(answer,))
    asked, reports = [], asyncio.Queue()

    async def find_start(*of):
        asked.append(of)
        if len(asked) <= 2:
            raise ServerBusy("The disk is full.")
        return start

    evaluators = Evaluators(
        ServerSettings(evaluators=1, evaluator_restarts=1),
        lambda project, report: reports.put_nowait((project, report)),
        find_start,
        lambda _catalog: None,
    )
    await evaluators.start()
    try:
        # Nothing rests there, as after the death of a process.
        evaluators.carry_out("p", SendAnswer("wf", "", 1, answer))
        async with asyncio.timeout(60):
            project, report = await reports.get()
    finally:
        await evaluators.stop()
    assert asked == [("p", "wf", "", 1)] * 3
    assert project == "p"
    assert isinstance(report, Rested)
    assert [len(one.declarations) for one in report.rest.segments] == [1, 1]
