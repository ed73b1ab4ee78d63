"""What the server says is what its journal says; nothing depends on a client; backups are whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from copernicus.client import Client, Project
from copernicus.engine import views
from copernicus.engine.core import fold
from copernicus.engine.state import ProjectState
from copernicus.model.paths import parse
from copernicus.server.database import open_store
from copernicus.server.folder import settings_of
from support.e2e import ADMIN_PASSWORD, Env, all_done, states, wait_until
from support.e2e_programs import SHIFT_TOML, count, held, programs_file

pytestmark = pytest.mark.e2e

VALUES = ("shift.out.size", "shift.out.result", "shift.in.source", "c.out.result", "again.out.size")
TRACED = ("shift.out.result[1]", "again.out.result[2]", "c.out.result")


def run_everything(env: Env, project: Project) -> None:
    """Something of every kind: mapped, connected, extended, failed, retried, skipped, removed."""
    files = [env.write(f"f{index}", bytes([index]) * 100 * index) for index in range(3)]
    env.start_worker("w", "--programs", programs_file(env), cores=2)
    project.define(env.write("shift.toml", SHIFT_TOML))
    with project.transaction():
        project.add("shift", "bytes.shift", map="source", active=True)
        project.add("again", "bytes.shift", map="source", active=True)
        project.connect("shift.out.result", "again.in.source")
        project.set("shift.in.source", files[:2])
    count(env, "c", 100)
    count(env, "gone", 10)
    wait_until(lambda: all_done(project, "again", 2), "two are done")
    project.append("shift.in.source", files[2])
    wait_until(lambda: all_done(project, "c", 1), "it has counted")
    project.set("c.in.last", 150)
    project.remove("gone")
    project.hold("again")
    project.set("again.in.by", 7)
    project.activate("again")
    wait_until(lambda: all_done(project, "c", 1), "it has counted on")
    wait_until(lambda: all_done(project, "again", 3), "three are done")


def served(project: Project) -> Any:
    """Everything that the live server answers about the project, as plain data."""
    instances = project.instances()
    return msgspec.to_builtins(
        {
            "instances": instances,
            "details": [project.instance_detail(view.path) for view in instances],
            "values": [project.value(path) for path in VALUES],
            "traces": [project.trace(path) for path in TRACED],
            "history": project.history(),
            "journal": project.journal(),
        }
    )


def folded(state: ProjectState, paths: list[str]) -> Any:
    return msgspec.to_builtins(
        {
            "instances": views.instances(state),
            "details": [views.instance(state, path, 0, 100) for path in paths],
            "values": [views.value(state, parse(path)) for path in VALUES],
            "traces": [views.trace(state, parse(path)) for path in TRACED],
        }
    )


def test_the_journal_from_its_start_gives_what_the_server_answers(env: Env) -> None:
    project = env.open()
    run_everything(env, project)
    live = served(project)
    view = project.view()
    assert env.stop_server() == 0

    with open_store(env.server, settings_of(env.server)) as store:
        events = list(store.load_project(view.id))
        jobs = store.jobs(view.id)
    state = fold(events)

    assert len(events) == view.position == len(live["journal"])
    assert state.revision == view.revision
    assert views.project_states(state) == view.states
    paths = [found["path"] for found in live["instances"]]
    expected = folded(state, paths)
    for part, content in expected.items():
        assert content == live[part], part
    assert {job.state for job in jobs} <= {"done", "cancelled"}


def test_a_server_on_a_copy_of_the_folder_gives_the_same_answers(env: Env) -> None:
    project = env.open()
    run_everything(env, project)
    live = served(project)

    env.cpc("server", "backup", env.server, env.root / "copy")

    running = env.start_server(env.root / "copy")
    bundle = (env.server / "client.cpc").read_text()
    ports = f":{env.client.profile.urls[0].rpartition(':')[2]}", f":{running.user_port}"
    copied = env.write("copy.cpc", bundle.replace(*ports))
    with Client.login(copied, "admin", ADMIN_PASSWORD, config=env.root / "other") as other:
        again = other.project("p")
        assert served(again) == live
        for index in range(3):
            one = project.get(f"again.out.result[{index}]").download(env.root / f"one{index}")
            two = again.get(f"again.out.result[{index}]").download(env.root / f"two{index}")
            assert one.read_bytes() == two.read_bytes()


def test_nothing_depends_on_a_client(env: Env) -> None:
    """The client says what it wants, and is gone; what it wanted is there when one comes back."""
    project = env.open()
    count(env, "c", 300)
    with held(env):
        env.start_worker("w", "--programs", programs_file(env))
        wait_until(lambda: states(project, "c") == ["running"], "it runs")
        env.cpc("logout")
        env.client.close()

    def written() -> bool:
        return "finished c" in (env.root / "w.log").read_text()

    wait_until(written, "the worker has finished it")
    assert "logged out" in env.refused(3, "status")
    env.log_in()
    project = env.project()
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    assert project.get("c.out.result") == 300
