"""What a running job has so far, streamed by real workers to a function that takes it."""

from __future__ import annotations

import os

import pytest

from copernicus.client import Project
from support.e2e import Env, wait_until
from support.evaluators import TESTS, install

pytestmark = pytest.mark.e2e


def shown(project: Project) -> tuple[str, int]:
    """How ``sum.out.number`` stands, and what it shows (-1: nothing)."""
    port = project.instance_detail("sum").outputs[0]
    return port.state, int(port.shown or -1)


def test_a_stream_is_followed_withdrawn_with_its_worker_and_ended_by_the_result(env: Env) -> None:
    install(env.root / "lib", {"streams": "support.streams"})
    paths = [str(env.root / "lib"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    env.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    project = env.open(share_interval_s=0.3)
    programs = env.write("programs.toml", '[programs.sh]\ncommand = ["/bin/sh"]\n')
    stop = env.root / "stop"
    with project.transaction():
        project.add("run", "streams.write", active=True)
        project.set("run.in.stop", str(stop))
        project.set("run.in.most", 5000)
        project.add("sum", "streams.counted", active=True)
        project.connect("run.out.lines", "sum.in.lines")
    env.start_worker("first", "--programs", programs)
    env.start_worker("counter", "--programs", programs)

    state, early = wait_until(lambda: seen(project, 1), "a first count")
    assert state == "provisional"
    wait_until(lambda: seen(project, early + 1), "a later count")
    job = project.instance_detail("run").elements[0].job
    runner = next(w for w in env.workers if w.id == project.job(job).worker)
    env.kill_worker(runner)
    wait_until(lambda: shown(project) == ("waiting", -1), "it is withdrawn")

    env.start_worker("third", "--programs", programs)
    wait_until(lambda: seen(project, 1), "the next attempt streams, too")
    stop.touch()
    wait_until(lambda: shown(project)[0] == "current", "the result", 60)
    whole = project.get("run.out.lines").read_bytes().count(b"\n")
    assert shown(project)[1] == whole


def seen(project: Project, least: int) -> tuple[str, int] | None:
    state, number = shown(project)
    return (state, number) if number >= least else None
