"""A server that stores in PostgreSQL, whose database dies in the middle of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from copernicus.server.database import open_store
from copernicus.server.folder import settings_of
from support.e2e import Env, all_done, states, wait_until
from support.e2e_programs import SHIFT_TOML, count, programs_file
from support.postgres import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

FILES = 24


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.stop()


@pytest.mark.timeout(300)
def test_a_database_killed_in_the_middle_of_a_run_is_survived_by_itself(
    env: Env, own_cluster: Cluster
) -> None:
    project = env.open(database=own_cluster.new_database())
    server = env.server_process
    worker = env.start_worker("w", "--programs", programs_file(env), cores=2)
    project.define(env.write("shift.toml", SHIFT_TOML))
    count(env, "slow", 60, 0.05)
    with project.transaction():
        project.add("shift", "bytes.shift", map="source", active=True)
        project.set("shift.in.source", [env.write(f"f{n}", bytes([n]) * 50) for n in range(FILES)])
    for done in (3, 9):
        wait_until(lambda done=done: states(project, "shift").count("done") >= done, "some are")
        own_cluster.kill()
        own_cluster.start()
    wait_until(lambda: all_done(project, "shift", FILES), "all are done", 120)
    wait_until(lambda: all_done(project, "slow", 1), "it has counted", 60)
    project.set("slow.in.last", 61)

    def kinds() -> Counter[str]:
        return Counter(entry.kind for entry in project.journal())

    wait_until(lambda: kinds()["activation_ended"] == FILES + 2, "edits are taken again", 60)
    assert kinds()["job_made"] == FILES + 2
    assert server.poll() is None
    assert worker.process.poll() is None
    assert env.stop_server() == 0
    with open_store(env.server, settings_of(env.server)) as store:
        assert store.check_audit().broken is None
