"""Memory, disk and time: a job that goes beyond what it asks for is ended, and says so."""

from __future__ import annotations

import json
import sys

import pytest

from support.e2e import Env, wait_until

pytestmark = pytest.mark.e2e

EATER = """
import subprocess, sys, time
if sys.argv[1] == "memory":
    held = bytearray(int(sys.argv[2]) << 20)
    for at in range(0, len(held), 4096):
        held[at] = 1
    time.sleep(float(sys.argv[3]))
elif sys.argv[1] == "child":
    code = subprocess.call([sys.executable, __file__, "memory", *sys.argv[2:]])
    if code:
        sys.exit(3)
elif sys.argv[1] == "disk":
    with open("large.dat", "wb") as file:
        file.write(b"x" * (int(sys.argv[2]) << 20))
    time.sleep(float(sys.argv[3]))
print("ate")
"""
FUNCTION = """
name = "demo.eat"
program = "eater"
[inputs.how]
type = "str"
[inputs.mb]
type = "int"
[inputs.seconds]
type = "float"
[[run]]
argv = ["{program}", "{in.how}", "{in.mb}", "{in.seconds}"]
stdout = "said.txt"
[outputs.said]
text = "said.txt"
[resources]
memory_mb = %(memory)s
disk_mb = %(disk)s
%(more)s
[retry]
job_errors = 0
backoff_s = 0.05
"""


def eat(env: Env, how: str, mb: int, seconds: float, memory: int = 0, disk: int = 0, more=""):
    """A running job that takes so much of something for so long."""
    project = env.open()
    command = json.dumps([sys.executable, str(env.write("eater.py", EATER))])
    programs = env.write("programs.toml", f"[programs.eater]\ncommand = {command}\n")
    text = FUNCTION % {"memory": memory, "disk": disk, "more": more}
    env.cpc("define", env.write("eat.toml", text))
    env.start_worker("w1", "--programs", programs)
    env.cpc("add", "run", "demo.eat")
    for port, value in (("how", how), ("mb", mb), ("seconds", seconds)):
        env.cpc("set", f"run.in.{port}", value)
    env.cpc("activate", "run")
    return project


def ended(project, state: str) -> None:
    wait_until(lambda: project.instances()[0].state == state, f"it is {state}", 120)


@pytest.mark.parametrize("how", ["memory", "child"])
def test_a_job_killed_for_memory_is_tried_again_with_half_as_much_again(env: Env, how: str) -> None:
    project = eat(env, how, 180, 4.0, memory=100)
    ended(project, "done")
    (page,) = project.ended_jobs().jobs
    job = project.job(page.id)
    assert [one.outcome for one in job.tries] == ["failed", "failed", "completed"]
    assert [one.memory_mb for one in job.tries] == [100, 150, 225]
    assert job.tries[0].peak_memory_mb > 100
    assert 180 <= job.tries[-1].peak_memory_mb <= 225
    assert "225 MiB asked for" in env.cpc("job", "show", "run")
    records = project.trace("run.out.said").attempts
    assert records[-1].peak_memory_mb == job.tries[-1].peak_memory_mb


def test_a_job_that_is_never_given_enough_says_that_it_was_killed_for_memory(env: Env) -> None:
    project = eat(env, "memory", 400, 30.0, memory=50)
    ended(project, "failed")
    why = env.cpc("why", "run")
    assert "killed for memory" in why
    assert "asks for 168 MiB" in why
    assert len(project.job(project.ended_jobs().jobs[0].id).tries) == 4


def test_a_job_that_fills_the_disk_is_ended(env: Env) -> None:
    project = eat(env, "disk", 60, 60.0, disk=20)
    ended(project, "failed")
    assert "killed for disk space" in env.cpc("why", "run")


def test_a_job_that_takes_too_long_is_ended(env: Env) -> None:
    project = eat(env, "memory", 1, 60.0, more="timeout_s = 1.5")
    ended(project, "failed")
    assert "it took longer than 1.5 s" in env.cpc("why", "run")
