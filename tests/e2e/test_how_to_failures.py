"""The page about failures: its commands work as they stand, its TOML is understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from copernicus.model.retries import FailurePattern
from copernicus.sdk.toml_functions import read_function
from support.e2e import Env, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "handle-failures.md"
FUNCTION = """
name = "example.fails"
program = "sh"
[[run]]
argv = ["{program}", "-c", "exit 1"]
[outputs.code]
exit_code = true
"""


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == kind]


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


def test_the_rules_of_a_function() -> None:
    (text,) = blocks("toml")
    retry = read_function(FUNCTION + text, "the page").retry
    assert (retry.job_errors, retry.backoff_s) == (1, 60)
    assert retry.permanent == (FailurePattern((2,)), FailurePattern(log="unknown residue"))
    assert retry.transient == (FailurePattern(log="license server"), FailurePattern((75,)))


def test_every_command_of_the_page(env: Env) -> None:
    project = env.open()
    rules, workers = map(commands, blocks(""))
    for command in rules[:-1]:
        env.cpc(*command)
    found = project.view().retries
    assert (found.job_errors, found.backoff_s) == (5, 30)
    assert found.permanent == (FailurePattern((2,)),)
    assert found.transient == (FailurePattern(log="CUDA error"),)
    shown = env.cpc("project", "retries")
    assert "CUDA error" in shown
    assert "exit:2" in shown
    env.cpc(*rules[-1])
    assert project.view().retries.job_errors is None
    assert "there is no" not in env.refused(1, "project", "retries", "--permanent", "(")

    worker = env.start_worker("w")
    wait_until(lambda: env.client.workers()[0].state == "connected", "it is connected")
    drained = False
    for command in workers:
        words = [worker.id if word == "w-3f9a" else word for word in command]
        if command[1] == "resume" and not drained:
            assert "neither drained nor quarantined" in env.refused(1, *words)
            continue
        env.cpc(*words)
        drained = command[1] == "drain"
        if drained:
            assert worker.process.wait(30) == 0, "it is idle"
    assert env.json("worker", "list") == []
