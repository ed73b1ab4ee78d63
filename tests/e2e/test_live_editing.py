"""What an edit does to work that is queued, runs or has ended: every rule, on real programs.

One server and one worker with one core; each test has a project of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from copernicus.client import Project
from copernicus.protocol import TraceStep
from support.e2e import Env, element, environment, states, wait_until
from support.e2e_gromacs import fetch_times, first_steps, needs_gmx, simulations
from support.e2e_programs import COUNT_TOML, SHIFT_TOML, held, programs_file
from support.evaluators import install

pytestmark = pytest.mark.e2e

# The same counter with other rules for the number to which it counts.
RESTARTING_TOML = COUNT_TOML.replace("slow.count", "slow.restart").replace('"extend"', '"cancel"')
FINISHING_TOML = COUNT_TOML.replace("slow.count", "slow.finish").replace('"extend"', '"finish"')

MODULE = """
from copernicus.sdk import Command, Line, Module, Net, Output, program, workflow

@program("count", outputs={"result": int})
def count(last: int, pause: float = 0.005) -> Command:
    argv = ("{program}", str(last), str(pause))
    return Command(
        lines=(Line(argv, stdout="said.txt"),),
        outputs=(Output("result", how="number", pattern="result", regex=r"(\\d+)"),),
    )

@workflow(outputs={"results": list[int]})
async def generations(net: Net, number: int, last: int = 1) -> None:
    results = []
    for g in range(number):
        run = net.call(count, key=("g", g), last=last + g)
        results.append(await run.out.result)
        net.output(results=list(results))

module = Module("live", "VERSION", [count, generations])
"""


def write_module(env: Env, version: str, text: str = MODULE) -> None:
    (env.root / "lib" / "live_functions.py").write_text(text.replace("VERSION", version))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Env]:
    with environment(tmp_path_factory.mktemp("live")) as env:
        install(env.root / "lib", {"live": "live_functions"})
        write_module(env, "1.0")
        paths = [str(env.root / "lib"), os.environ.get("PYTHONPATH", "")]
        env.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        env.open("first")
        env.start_worker("w", "--programs", programs_file(env))
        yield env


@pytest.fixture
def project(world: Env, request: pytest.FixtureRequest) -> Iterator[Project]:
    name = request.node.name.removeprefix("test_")[:40]
    world.client.create_project(name, seed=1)
    world.client.use_project(name)
    project = world.project(name)
    for toml in (SHIFT_TOML, COUNT_TOML, RESTARTING_TOML, FINISHING_TOML):
        project.define(world.write("function.toml", toml))
    yield project
    world.project(name).delete()


def kinds(project: Project) -> Counter[str]:
    return Counter(entry.kind for entry in project.journal())


def is_done(project: Project, path: str, value: Any, port: str = "result") -> Callable[[], bool]:
    """Whether an instance is done and has this output."""

    def look() -> bool:
        return states(project, path) == ["done"] and project.get(f"{path}.out.{port}") == value

    return look


def step(project: Project, path: str) -> TraceStep:
    told = project.trace(path)
    return told.steps[told.roots[0]]


def counting(project: Project, name: str, function: str, last: int, pause: float = 0.02) -> None:
    with project.transaction():
        project.add(name, function, active=True)
        project.set(f"{name}.in.last", last)
        project.set(f"{name}.in.pause", pause)


def is_under_way(env: Env, project: Project, name: str) -> Callable[[], bool]:
    """Whether it runs, and has a checkpoint."""

    def look() -> bool:
        job = element(project, name).job
        return states(project, name) == ["running"] and bool(env.checkpoints(job))

    return look


def test_the_input_of_a_queued_job_changes_and_another_takes_its_place(
    world: Env, project: Project
) -> None:
    counting(project, "busy", "slow.count", 100_000)
    wait_until(lambda: states(project, "busy") == ["running"], "the core is taken")
    with project.transaction():
        project.add("shift", "bytes.shift", active=True)
        project.set("shift.in.source", world.write("a.bin", b"abc"))
    wait_until(lambda: states(project, "shift") == ["queued"], "it is queued")
    project.set("shift.in.by", 3)
    project.cancel("busy")
    wait_until(lambda: states(project, "shift") == ["done"], "it is done")
    assert project.get("shift.out.result").read_bytes() == b"def"
    ended = {job.id: job.state for job in project.ended_jobs().jobs if job.path == "shift"}
    assert sorted(ended.values()) == ["cancelled", "done"]
    assert len(step(project, "shift").attempts) == 1


def test_finish_lets_a_running_job_end_and_then_runs_on_the_new_input(
    world: Env, project: Project
) -> None:
    counting(project, "c", "slow.finish", 100)
    with held(world):
        wait_until(is_under_way(world, project, "c"), "it counts")
        first = element(project, "c").job
        project.set("c.in.last", 5)
        assert element(project, "c").job == first
    wait_until(is_done(project, "c", 5), "it has counted again")
    ended = {job.id: job.state for job in project.ended_jobs().jobs}
    assert ended[first] == "done"
    assert kinds(project)["activation_opened"] == 2
    assert project.get("c.out.began") == 0


def test_cancel_stops_a_running_job_and_starts_from_the_beginning(
    world: Env, project: Project
) -> None:
    counting(project, "c", "slow.restart", 100_000)
    wait_until(is_under_way(world, project, "c"), "it counts")
    first = element(project, "c").job
    project.set("c.in.last", 7)
    wait_until(is_done(project, "c", 7), "it has counted to the new number")
    assert project.get("c.out.began") == 0
    wait_until(lambda: project.job(first).state == "cancelled", "the first has stopped")


def test_extend_stops_a_running_job_and_goes_on_from_its_last_checkpoint(
    world: Env, project: Project
) -> None:
    counting(project, "c", "slow.count", 100_000)
    wait_until(is_under_way(world, project, "c"), "it counts")
    parent = element(project, "c").activation
    reached = int(world.checkpoints(element(project, "c").job)[-1].step or 0)
    project.set("c.in.last", reached + 100)
    wait_until(is_done(project, "c", reached + 100), "it has counted on")
    assert project.get("c.out.began") >= reached
    assert step(project, "c").parent == parent


def test_extend_takes_a_finished_result_further_and_back(world: Env, project: Project) -> None:
    counting(project, "c", "slow.count", 40, 0.001)
    wait_until(is_done(project, "c", 40), "it has counted")
    project.set("c.in.last", 60)
    wait_until(is_done(project, "c", 60), "it has counted on")
    assert project.get("c.out.began") == 40
    made = kinds(project)["activation_opened"]
    project.set("c.in.last", 40)
    wait_until(is_done(project, "c", 40), "the first result is back")
    assert kinds(project)["activation_opened"] == made


def test_a_finished_instance_runs_again_on_another_value_and_never_on_an_equal_one(
    world: Env, project: Project
) -> None:
    with project.transaction():
        project.add("shift", "bytes.shift", active=True)
        project.set("shift.in.source", world.write("a.bin", b"abc"))
    wait_until(lambda: states(project, "shift") == ["done"], "it is done")
    project.set("shift.in.by", 1)
    project.set("shift.in.source", world.write("a.bin", b"abc"))
    assert states(project, "shift") == ["done"]
    assert kinds(project)["activation_opened"] == 1
    project.set("shift.in.by", 2)
    wait_until(lambda: states(project, "shift") == ["done"], "it is done again")
    assert project.get("shift.out.result").read_bytes() == b"cde"
    assert kinds(project)["activation_opened"] == 2


def test_a_replaced_file_runs_its_element_again_and_no_other(world: Env, project: Project) -> None:
    files = [world.write(f"{n}.bin", bytes([65 + n])) for n in range(3)]
    with project.transaction():
        project.add("shift", "bytes.shift", map="source", active=True)
        project.set("shift.in.source", files)
    wait_until(lambda: states(project, "shift") == ["done"] * 3, "all are done")
    world.write("new.bin", b"Z")
    world.cpc("set-file", "shift.in.source[1]", "new.bin", "--project", project.name)
    wait_until(
        lambda: [f.read_bytes() for f in project.get("shift.out.result")] == [b"B", b"[", b"D"],
        "the second is another",
    )
    assert kinds(project)["activation_opened"] == 4


def test_a_changed_connection_runs_what_follows_and_nothing_else(
    world: Env, project: Project
) -> None:
    with project.transaction():
        for name, content in (("one", b"a"), ("two", b"k")):
            project.add(name, "bytes.shift", active=True)
            project.set(f"{name}.in.source", world.write(f"{name}.bin", content))
        project.add("last", "bytes.shift", active=True)
        project.connect("one.out.result", "last.in.source")
    wait_until(lambda: states(project, "last") == ["done"], "all is done")
    assert project.get("last.out.result").read_bytes() == b"c"
    project.connect("two.out.result", "last.in.source")
    wait_until(
        lambda: (
            states(project, "last") == ["done"]
            and project.get("last.out.result").read_bytes() == b"m"
        ),
        "it is done with the other",
    )
    assert kinds(project)["activation_opened"] == 4


def test_more_generations_and_fewer_run_only_what_was_never_there(
    world: Env, project: Project
) -> None:
    with project.transaction():
        project.add("w", "live.generations", active=True)
        project.set("w.in.number", 2)
    wait_until(is_done(project, "w", [1, 2], "results"), "two generations")
    project.set("w.in.number", 4)
    wait_until(is_done(project, "w", [1, 2, 3, 4], "results"), "four generations")
    made = kinds(project)["job_made"]
    assert made == 4
    project.set("w.in.number", 1)
    wait_until(is_done(project, "w", [1], "results"), "one generation")
    shown = {view.path: view.state for view in project.instances()}
    assert shown["w/g-3"] == "retired"
    project.set("w.in.number", 4)
    wait_until(is_done(project, "w", [1, 2, 3, 4], "results"), "they are back")
    assert kinds(project)["job_made"] == made


@pytest.mark.gromacs
@needs_gmx
@pytest.mark.timeout(300)
def test_a_finished_simulation_is_made_longer_and_another_parameter_begins_anew(
    world: Env, project: Project
) -> None:
    simulations(world, project, 1, 5000)
    project.wait("run", 120)
    project.set("run.in.nsteps", 10_000)
    project.wait("run", 120)
    began = first_steps(world, project, 0)
    assert began == [0, 5000]
    assert fetch_times(world, "run.out.xtc[0]") == (21, 1.0)
    path = world.root / "md.mdp"
    path.write_text(path.read_text().replace("600", "450"))
    world.cpc("set-file", "prep.in.mdp", "md.mdp", "--project", project.name)
    project.wait("run", 120)
    assert first_steps(world, project, 0) == [0]
    assert fetch_times(world, "run.out.xtc[0]") == (21, 1.0)


def test_jobs_keep_the_commands_of_their_module_and_what_comes_next_has_the_new_one(
    world: Env, project: Project
) -> None:
    with project.transaction():
        project.add("old", "live.count", active=True)
        project.set("old.in.last", 300)
        project.set("old.in.pause", 0.05)
        project.add("queued", "live.count", active=True)
        project.set("queued.in.last", 10)
        project.add("w", "live.generations")
        project.set("w.in.number", 2)
        project.set("w.in.last", 5)
    running = wait_until(lambda: {states(project, name)[0] for name in ("old", "queued")}, "jobs")
    wait_until(
        lambda: {states(project, n)[0] for n in ("old", "queued")} == {"running", "queued"},
        f"one runs, one is queued: {running}",
    )
    assert world.stop_server() == 0
    # The new version counts twice as far.
    write_module(world, "2.0", MODULE.replace("str(last)", "str(2 * last)"))
    world.start_server()
    world.log_in()
    project = world.project(project.name)
    wait_until(is_done(project, "old", 300), "what ran counts as far as it was told")
    wait_until(is_done(project, "queued", 10), "so does what was queued")
    assert step(project, "old").version == step(project, "queued").version == "1.0"
    project.set("queued.in.last", 20)
    wait_until(is_done(project, "queued", 40), "what comes next counts twice as far")
    assert step(project, "queued").version == "2.0"
    project.activate("w")
    wait_until(is_done(project, "w", [10, 12], "results"), "the new one in a workflow")
    assert step(project, "w/g-0").version == "2.0"
    assert step(project, "old").version == "1.0"
