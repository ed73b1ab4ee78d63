"""A script that a user wrote: never run by the server, nor by a worker whose owner forbids it."""

from __future__ import annotations

import pytest

from support.e2e import Env, wait_until

pytestmark = pytest.mark.e2e

SCRIPT = """\
# /// copernicus
# name = "mine.shout"
# [inputs.text]
# type = "File"
# [inputs.times]
# type = "int"
# default = 2
# [outputs.length]
# type = "int"
# [outputs.shouted]
# file = "shouted.txt"
# [outputs.worker]
# type = "str"
# ///
import json, os, pathlib

given = json.loads(pathlib.Path("inputs.json").read_text())
text = pathlib.Path(given["text"]).read_text().upper() * given["times"]
pathlib.Path("shouted.txt").write_text(text)
where = pathlib.Path.cwd().parts[-4]
pathlib.Path("MARK").open("a").write(where)
out = {"length": len(text), "worker": where}
pathlib.Path("outputs.json").write_text(json.dumps(out))
"""


def test_a_script_runs_only_where_its_owner_allows_it(env: Env) -> None:
    project = env.open()
    env.start_worker("careful")
    assert "mine.shout can be placed" in env.cpc("define", env.write("shout.py", SCRIPT))
    env.cpc("add", "shout", "mine.shout", "--active")
    env.cpc("set-file", "shout.in.text", env.write("a.txt", "hello"))
    wait_until(lambda: project.jobs(), "the job is queued")
    why = wait_until(
        lambda: "--allow-scripts" in (told := env.cpc("why", "shout")) and told, "why says so"
    )
    assert "no worker offers python" in why
    assert not list(env.root.rglob("MARK"))
    assert [job.attempts for job in project.jobs()] == [0]

    env.start_worker("trusting", "--allow-scripts")
    env.cpc("wait", "shout", "--timeout", "40")
    assert project.get("shout.out.length") == 10
    assert project.get("shout.out.worker") == "trusting"
    env.cpc("get", "shout.out.shouted", "-o", env.root / "back.txt")
    assert (env.root / "back.txt").read_text() == "HELLOHELLO"
