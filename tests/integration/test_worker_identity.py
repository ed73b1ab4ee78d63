"""How a worker becomes one, stays one, and what it says when it is refused."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta

import pytest

from copernicus.errors import BadSettings, NotAuthenticated, ServerUnreachable
from copernicus.worker.identity import obtain_identity
from copernicus.worker.probe import Machine
from support.worker_process import wait_until, worker
from support.worker_server import Refuse, program_job, scripted_server, sh

MACHINE = Machine((0, 1), 1000)


@pytest.fixture
def server(tmp_path):
    with scripted_server(tmp_path) as running:
        yield running


def obtain(bundle, work_dir):
    work_dir.mkdir(mode=0o700, exist_ok=True)
    return asyncio.run(obtain_identity(bundle, work_dir, MACHINE))


def test_joins_once_and_keeps_its_key_private(server, tmp_path):
    bundle = server.bundle(tmp_path / "b.cpc")
    first = obtain(bundle, tmp_path / "work")
    second = obtain(bundle, tmp_path / "work")
    assert first.worker_id == second.worker_id == "w1"
    (request,) = server.joined
    assert request.token == "jt_test.secret"
    assert request.facts.cores == 2
    assert stat.S_IMODE(first.pair_file.stat().st_mode) == 0o600
    assert "PRIVATE" not in request.csr


def test_an_expired_bundle_is_good_for_who_has_joined(server, tmp_path):
    obtain(server.bundle(tmp_path / "b.cpc"), tmp_path / "work")
    old = server.bundle(tmp_path / "old.cpc", expires=datetime.now(UTC) - timedelta(days=1))
    assert obtain(old, tmp_path / "work").worker_id == "w1"
    with pytest.raises(BadSettings, match="expired"):
        obtain(old, tmp_path / "other")


def test_an_expired_certificate_is_renewed_by_its_key(server, tmp_path):
    bundle = server.bundle(tmp_path / "b.cpc")
    server.certificate_from, server.certificate_life = timedelta(days=-2), timedelta(days=1)
    first = obtain(bundle, tmp_path / "work")
    old = first.certificate
    server.certificate_from = timedelta(0)
    second = obtain(bundle, tmp_path / "work")
    assert [port for port, _ in server.renewed] == ["user"]
    assert second.worker_id == "w1"
    assert second.certificate != old
    assert not second.out_of_date(datetime.now(UTC))


def test_fault_41_a_certificate_of_the_future_is_renewed_by_its_key(server, tmp_path):
    bundle = server.bundle(tmp_path / "b.cpc")
    server.certificate_from = timedelta(days=2)
    obtain(bundle, tmp_path / "work")
    server.certificate_from = timedelta(0)
    again = obtain(bundle, tmp_path / "work")
    assert [port for port, _ in server.renewed] == ["user"]
    assert again.worker_id == "w1"
    assert not again.out_of_date(datetime.now(UTC))


def test_a_worker_renews_while_it_works(server, tmp_path):
    # Life begins five minutes early, for clocks that are a little off: two thirds are over soon.
    server.certificate_from, server.certificate_life = timedelta(seconds=-9), timedelta(seconds=15)
    with worker(server, tmp_path / "w") as running:
        server.wait_for(lambda: len(server.renewed) >= 1, "a renewal")
        server.certificate_from, server.certificate_life = timedelta(0), timedelta(days=1)
        server.wait_for(lambda: len(server.renewed) >= 2, "another")
        server.add(program_job(1, [sh("true")]))
        assert server.result("p.a1#1").outcome == "completed"
        wait_until(lambda: "was renewed" in running.said(), "a word of it")


def test_a_dead_address_is_named(server, tmp_path):
    url = "https://127.0.0.1:9"
    bundle = server.bundle(tmp_path / "b.cpc", join_urls=(url,))
    with pytest.raises(ServerUnreachable, match=url):
        obtain(bundle, tmp_path / "work")


def test_the_next_address_is_tried(server, tmp_path):
    machine, user = server.ports
    dead = "https://127.0.0.1:9"
    folder = tmp_path / "w"
    folder.mkdir()
    bundle = server.bundle(
        folder / "lab.cpc",
        urls=(dead, f"https://127.0.0.1:{machine}"),
        join_urls=(dead, f"https://127.0.0.1:{user}"),
    )
    server.add(program_job(1, [sh("true")]))
    with worker(server, folder, bundle=bundle):
        assert server.result("p.a1#1").outcome == "completed"


def test_fault_41_another_server_at_the_address_is_recognised(server, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with scripted_server(other) as stranger:
        stranger.ports, mine = server.ports, stranger.ports
        bundle = stranger.bundle(tmp_path / "b.cpc")
        stranger.ports = mine
        with pytest.raises(ServerUnreachable, match="not the server of this bundle"):
            obtain(bundle, tmp_path / "work")
    assert server.joined == []


def test_fault_39_a_used_up_token_is_told(server, tmp_path):
    def refuse(path: str) -> None:
        raise Refuse(401, "not_authenticated", "The join token has no uses left.")

    server.fail = refuse
    with pytest.raises(NotAuthenticated, match="no uses left"):
        obtain(server.bundle(tmp_path / "b.cpc"), tmp_path / "work")


def test_fault_40_a_revoked_worker_gives_up_and_says_so(server, tmp_path):
    server.add(program_job(1, [sh("sleep 1000")], heartbeat_s=0.1))
    with worker(server, tmp_path / "w") as running:
        server.wait_for(lambda: bool(server.beats))

        def refuse(path: str) -> None:
            if path.startswith("/v1/work"):
                raise Refuse(401, "not_authenticated", "Worker w1 was revoked.")

        server.fail = refuse
        assert running.process.wait(30) == 3
        assert "Worker w1 was revoked." in running.said()
        assert "jt_test" not in running.said()
