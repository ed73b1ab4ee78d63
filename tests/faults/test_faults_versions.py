"""Workers, servers, clients of other versions: real builds, or lines changed before they start."""

from __future__ import annotations

import pytest

from copernicus.store.store import Store
from support.builds import build
from support.crashes import check_made_once
from support.e2e import Env, all_done, states, wait_until
from support.e2e_programs import COUNT_TOML, count, programs_file

pytestmark = pytest.mark.timeout(300)  # with the builds, of which the first test makes two

NEXT = {"0.2.0": 2, "0.3.0": 3}
SPEAKS = "from copernicus.protocol import common, machine; import copernicus.protocol as p; "
SPEAKS += "common.PROTOCOL = p.PROTOCOL = {0}"


def speaks(protocol: int) -> str:
    """The lines by which a process is of another version."""
    return SPEAKS.format(protocol)


def closed(env: Env) -> None:
    for worker in env.workers:
        if worker.process.poll() is None:
            worker.end()
    assert env.stop_server() == 0
    check_made_once(env)


def test_fault_14_a_worker_of_the_version_before_works(env: Env) -> None:
    project = env.open()
    env.stop_server()
    env.start_server(prelude=speaks(2))
    env.start_worker("w", "--programs", programs_file(env))
    count(env, "c", 20)
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    closed(env)


def test_fault_14_a_newer_worker_is_told_to_have_the_server_upgraded(env: Env) -> None:
    env.open()
    worker = env.start_worker("w", prelude=speaks(2), wait=False)
    assert worker.process.wait(60) != 0
    assert "protocol 2, the server 1: upgrade the server" in worker.said


def test_fault_14_a_worker_that_became_too_old_delivers_and_ends(env: Env) -> None:
    project = env.open(max_wait_s=1.0, lease_s=60.0)
    worker = env.start_worker("w", "--programs", programs_file(env), "--retry", 0.5, cores=2)
    count(env, "c", 600)
    wait_until(lambda: states(project, "c") == ["running"], "it runs")
    env.stop_server()
    env.start_server(prelude=speaks(3))
    assert worker.process.wait(60) == 1
    assert "speaks protocol 1, the server 3: upgrade the worker" in worker.said
    closed(env)
    with Store.open(env.server) as store:
        (one,) = store.projects()
        assert [job.state for job in store.jobs(one.id)] == ["done"]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The Pythons of the next minor version, and of the one after that."""
    root = tmp_path_factory.mktemp("builds")
    return {version: build(root, version, number) for version, number in NEXT.items()}


def work_together(env: Env, server: str, others: str) -> None:
    """A server of one build; a worker and ``cpc`` of the other."""
    env.init_server()
    env.start_server(python=server)
    version = env.run("--version", python=others).stdout
    env.log_in()
    bundle = env.run("worker", "bundle", "-o", env.bundle, python=others)
    assert bundle.returncode == 0, bundle.stderr
    env.start_worker("w", "--programs", programs_file(env), python=others)
    for command in (
        ("project", "create", "p"),
        ("project", "use", "p"),
        ("define", env.write("count.toml", COUNT_TOML)),
        ("add", "c", "slow.count", "--active"),
        ("set", "c.in.last", "20"),
        ("wait", "c", "--timeout", "60"),
    ):
        done = env.run(*command, python=others)
        assert done.returncode == 0, (version, command, done.stdout, done.stderr)
    got = env.run("get", "c.out.result", "--json", python=others)
    assert "20" in got.stdout, got.stderr


def test_fault_14_a_server_of_the_next_build_works_with_worker_and_client_of_this(
    env: Env, builds: dict[str, str]
) -> None:
    work_together(env, builds["0.2.0"], "")
    closed(env)


def test_fault_14_a_server_of_this_build_works_with_a_client_of_the_next_and_tells_its_worker(
    env: Env, builds: dict[str, str]
) -> None:
    project = env.open()
    worker = env.start_worker("new", python=builds["0.2.0"], wait=False)
    assert worker.process.wait(60) != 0
    assert "speaks protocol 2, the server 1: upgrade the server" in worker.said
    env.start_worker("w", "--programs", programs_file(env))
    count(env, "c", 20)
    assert env.run("wait", "c", "--timeout", "60", python=builds["0.2.0"]).returncode == 0
    told = env.run("get", "c.out.result", python=builds["0.2.0"])
    assert (told.returncode, told.stdout.strip()) == (0, "20.0"), told.stderr
    assert states(project, "c") == ["done"]
    closed(env)


def test_fault_14_builds_two_minor_versions_apart_refuse_each_other_in_words(
    env: Env, builds: dict[str, str]
) -> None:
    env.open()
    far = builds["0.3.0"]
    login = ("login", env.server / "client.cpc", "--user", "admin")
    refused = env.run(*login, "--password-file", env.password, python=far)
    assert refused.returncode == 1
    assert "This client speaks protocol 3, the server 1: upgrade the server" in refused.stderr
    worker = env.start_worker("new", python=far, wait=False)
    assert worker.process.wait(60) != 0
    assert "speaks protocol 3, the server 1: upgrade the server" in worker.said
    closed(env)
    env.start_server(python=far)
    refused = env.run(*login, "--password-file", env.password)
    assert "This client speaks protocol 1, the server 3: upgrade the client" in refused.stderr
    old = env.start_worker("old", wait=False)
    assert old.process.wait(60) != 0
    assert "speaks protocol 1, the server 3: upgrade the worker" in old.said
