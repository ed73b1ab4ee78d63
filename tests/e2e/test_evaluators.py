"""Module code that crashes or hangs is an error on its instance, and nobody else's."""

from __future__ import annotations

import os

import pytest

from support.e2e import Env, is_alive, wait_until
from support.e2e_programs import count, programs_file
from support.evaluators import TESTS, install

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("how", ["crash", "hang", "raise"])
def test_a_module_that_breaks_harms_only_its_instance(env: Env, how: str) -> None:
    install(env.root / "lib", {"counting": "support.server_functions", "broken": "no_such_module"})
    paths = [str(env.root / "lib"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    env.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    project = env.open(evaluators=2, evaluator_restarts=1, describe_timeout_s=2.0)
    with project.transaction():
        project.add("bad", "counting.shout", active=True)
        project.set("bad.in.text", how)
        project.add("sum", "counting.count", active=True)
        project.set("sum.in.n", 3)
    count(env, "fine", 10)
    env.start_worker("w", "--programs", programs_file(env))

    wait_until(lambda: all_but_bad_done(env), "the others are done")
    assert project.get("sum.out.total") == 3
    failure = wait_until(lambda: project.instance_detail("bad").elements[0].failure, "it fails")
    assert failure.cause == ("definition" if how == "raise" else "infrastructure")
    shown = env.cpc("why", "bad")
    assert "bad failed" in shown
    words = {"crash": "exit code 9", "hang": "within 2 s", "raise": "no such text"}
    assert words[how] in " ".join(shown.split())
    assert is_alive(env.server_psutil)

    listed = env.run("functions", "list")
    assert listed.returncode == 0
    assert "broken" in listed.stderr
    assert "no_such_module" in listed.stderr


def all_but_bad_done(env: Env) -> bool:
    states = {view.path: view.state for view in env.project().instances()}
    return states["sum"] == states["fine"] == "done"


def test_a_killed_evaluator_is_replaced(env: Env) -> None:
    project = env.open()
    (evaluator,) = [
        child
        for child in env.server_psutil.children(recursive=True)
        if "copernicus.evaluator" in child.cmdline()
    ]
    evaluator.kill()
    project.add("prep", "gromacs.grompp", active=True)
    for name in ("conf", "top", "mdp"):
        project.set(f"prep.in.{name}", env.write(f"{name}.gro", "text"))
    wait_until(lambda: project.jobs(), "it was described by another evaluator")
    assert project.jobs()[0].state == "queued"
    count(env, "fine", 10)
    env.start_worker("w", "--programs", programs_file(env))
    wait_until(lambda: project.instance_detail("fine").summary.state == "done", "fine is done")
