"""The page about lost laptops: every command of it works, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.e2e import Env, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "revoke-a-lost-laptop.md"


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_revoke_a_lost_laptop(env: Env) -> None:
    env.open()
    worker = env.start_worker("laptop")
    other = env.start_worker("second")
    wait_until(lambda: other.id, "both have joined")
    env.client.add_user("alice", "correct horse battery")
    env.write("new-password", "another horse battery")
    token = env.client.join_tokens()[0].id
    commands = re.findall(r"^(cpc .+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 12
    for command in commands:
        words = command.replace("WORKER", worker.id).replace("TOKEN", token).split()[1:]
        env.cpc(*words)
    states = {one.id: one.state for one in env.client.workers()}
    assert states == {worker.id: "revoked", other.id: "revoked"}
    assert env.client.join_tokens()[0].revoked
    for one in (worker, other):
        assert one.process.wait(60) != 0
        assert "revoked" in one.said
    checked = env.client.check_audit()
    env.cpc("audit", "verify", "--noted", f"{checked.entries}:{checked.head}")
    assert env.run("audit", "verify", "--noted", f"1:{'0' * 64}").returncode == 1
