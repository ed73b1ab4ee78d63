"""What every store promises about jobs, identities and the audit log."""

from __future__ import annotations

import threading

import msgspec
import pytest

from copernicus.errors import Conflict, NotAuthenticated, NotFound
from copernicus.model.jobs import CheckpointRef, JobSpec, StoredFile
from copernicus.model.resources import ProgramNeed
from copernicus.scheduling.rows import CheckpointRow
from copernicus.store import MemberRecord
from copernicus.store.records import sender_of
from support.stores import (
    BACKENDS,
    EACH_BACKEND,
    attempt,
    job,
    join_token,
    project,
    session,
    user,
    worker,
)


@pytest.fixture(params=EACH_BACKEND)
def store(request, tmp_path):
    with BACKENDS[request.param](tmp_path / "server") as opened:
        yield opened


def test_rows_come_back_and_replace_each_other(store):
    spec = JobSpec("mdrun", "1.0", ProgramNeed("gromacs"), "d", "k")
    first = job(1, spec=spec)
    second = msgspec.structs.replace(first, state="leased", attempts=1, avoid=("w9",))
    ref = CheckpointRef("k", first.id, 1, 1, (StoredFile("state.cpt", "0" * 64, 9),), 500.0)
    kept = CheckpointRow("p-villin", "k", (ref,), 1)
    with store.transaction() as tx:
        tx.save_rows([first, attempt(first, 1), CheckpointRow("p-villin", "k"), second, kept])
        tx.save_rows([])
    assert store.job(first.id) == second
    assert store.attempts(first.id) == [attempt(first, 1)]
    assert store.checkpoints("p-villin") == store.checkpoints("p-villin", "k") == [kept]
    assert store.checkpoints("p-villin", "other") == []
    assert store.checkpoints() == [kept]
    assert store.job("p-villin.a99") is None


def test_a_restart_gets_what_has_not_ended(store):
    queued, leased, done, stopping, gone = (
        job(1),
        job(2, "leased"),
        job(3, "done"),
        job(4, "cancelled"),
        job(5, project="p-gone"),
    )
    attempts = [
        attempt(leased, 1, "lost"),
        attempt(leased, 2),
        attempt(done, 1, "ended"),
        attempt(stopping, 1),
    ]
    with store.transaction() as tx:
        tx.add_project(project())
        tx.add_project(project("gone"))
        tx.delete_project("p-gone", 1.0)
        tx.save_rows([queued, leased, done, stopping, gone, *attempts])
        tx.save_rows([CheckpointRow("p-villin", "k"), CheckpointRow("p-gone", "k")])
    assert sorted(j.id for j in store.live_jobs()) == [queued.id, leased.id, stopping.id]
    assert store.checkpoints() == [CheckpointRow("p-villin", "k")]
    assert store.live_attempts() == [attempts[0], attempts[1], attempts[3]]


def test_jobs_are_listed_in_pages(store):
    jobs = sorted([job(n, "done" if n % 2 else "queued") for n in range(25)], key=lambda j: j.id)
    with store.transaction() as tx:
        tx.save_rows([*jobs, job(1, project="p-other")])
    page = store.jobs("p-villin", limit=10)
    rest = store.jobs("p-villin", after=page[-1].id)
    assert page + rest == jobs
    assert len(store.jobs(states=["done"])) == 12
    assert len(store.jobs()) == 26


def test_users_are_made_once_and_changed(store):
    with store.transaction() as tx:
        tx.add_user(user("bob", admin=True))
        tx.add_user(user("ann"))
    with pytest.raises(Conflict, match="ann"), store.transaction() as tx:
        tx.add_user(user("ann"))
    assert store.users() == [user("ann"), user("bob", admin=True)]
    with store.transaction() as tx:
        tx.set_admin("bob", admin=False)
        tx.set_password("bob", "other")
    assert store.user("bob") == user("bob", password="other")
    assert store.user("eve") is None


@pytest.mark.parametrize("change", ["set_password", "set_admin", "delete_user"])
def test_a_user_that_is_not_there_cannot_be_changed(store, change):
    arguments = {"set_password": {"password": "x"}, "set_admin": {"admin": True}}.get(change, {})
    with pytest.raises(NotFound, match="eve"), store.transaction() as tx:
        getattr(tx, change)("eve", **arguments)


def test_sessions_end_by_time_by_hand_and_with_the_password(store):
    with store.transaction() as tx:
        tx.add_user(user())
        for name, expires in {"old": 50.0, "a": 100.0, "b": 100.0, "c": 100.0}.items():
            tx.add_session(session(name, expires=expires))
    assert store.session("old", now=49.9) == session("old", expires=50.0)
    assert store.session("old", now=50.0) is None
    with store.transaction() as tx:
        assert tx.sweep_expired(60.0) == 1
        assert tx.end_session("a")
        assert not tx.end_session("a")
        tx.touch_sessions({"b": 70.0, "unknown": 70.0})
        tx.touch_sessions({})
    assert store.session("b", now=60.0).last_used == 70.0
    assert {s.sha256 for s in store.sessions_of("ann")} == {"b", "c"}
    with store.transaction() as tx:
        tx.set_password("ann", "new")
    assert store.sessions_of("ann") == []


def test_a_deleted_user_leaves_no_way_in(store):
    with store.transaction() as tx:
        tx.add_user(user())
        tx.add_session(session("a"))
        tx.add_project(project(owner="bob"))
        tx.set_member(MemberRecord("p-villin", "ann", "editor"))
        tx.delete_user("ann")
    assert store.user("ann") is None
    assert store.session("a", now=2.0) is None
    assert store.projects_of("ann") == []


def test_who_has_sent_a_file_is_kept_until_they_go_or_it_is_long_ago(store):
    first, second = "1" * 64, "2" * 64
    with store.transaction() as tx:
        tx.add_user(user("eve"))
        tx.note_uploads(sender_of("user", "eve"), [first], 10.0)
        tx.note_uploads(sender_of("user", "eve"), [second], 10.0)
        tx.note_uploads(sender_of("worker", "eve"), [first], 10.0)
        tx.note_uploads(sender_of("user", "eve"), [first], 20.0)
    assert store.has_sent("user eve", first)
    assert not store.has_sent("worker eve", second)
    with store.transaction() as tx:
        assert tx.sweep_uploads(15.0) == 2
    assert store.has_sent("user eve", first)
    assert not store.has_sent("user eve", second)
    with store.transaction() as tx:
        tx.delete_user("eve")
    assert not store.has_sent("user eve", first)


def test_a_join_token_is_used_no_more_often_than_it_may_be(store):
    with store.transaction() as tx:
        tx.add_join_token(join_token(uses=5))
    outcomes = []

    def join():
        try:
            with store.transaction() as tx:
                outcomes.append(tx.use_join_token("t1", "digest", 50.0).uses_left)
        except NotAuthenticated:
            outcomes.append(None)

    threads = [threading.Thread(target=join) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for n in outcomes if n is not None) == [0, 1, 2, 3, 4]
    assert outcomes.count(None) == 3
    assert store.join_tokens()[0].uses_left == 0


@pytest.mark.parametrize(
    ("token", "digest", "now"), [("t2", "digest", 1.0), ("t1", "other", 1.0), ("t1", "digest", 100)]
)
def test_a_wrong_or_expired_join_token_is_refused(store, token, digest, now):
    with store.transaction() as tx:
        tx.add_join_token(join_token())
    with pytest.raises(NotAuthenticated), store.transaction() as tx:
        tx.use_join_token(token, digest, now)
    assert store.join_tokens() == [join_token()]


def test_a_revoked_join_token_is_refused(store):
    with store.transaction() as tx:
        tx.add_join_token(join_token())
        tx.revoke_join_token("t1", 7.0)
    with pytest.raises(NotAuthenticated), store.transaction() as tx:
        tx.use_join_token("t1", "digest", 1.0)
    assert store.join_tokens() == [msgspec.structs.replace(join_token(uses=0), revoked_at=7.0)]
    with pytest.raises(NotFound), store.transaction() as tx:
        tx.revoke_join_token("t2", 7.0)


def test_workers_are_seen_drained_and_revoked(store):
    with store.transaction() as tx:
        tx.save_worker(worker())
        tx.save_worker(worker("w2"))
        tx.touch_workers({"w1": 9.0, "unknown": 9.0})
        tx.set_draining("w1", draining=True)
        tx.revoke_worker("w2", 8.0)
    assert store.worker("w1") == msgspec.structs.replace(worker(), last_seen=9.0, draining=True)
    assert store.workers()[1] == msgspec.structs.replace(worker("w2"), revoked_at=8.0)
    with pytest.raises(NotFound, match="w3"), store.transaction() as tx:
        tx.revoke_worker("w3", 8.0)


def audit(store, count):
    with store.transaction() as tx:
        for n in range(count):
            tx.audit(
                at=n, actor="ann", source="::1", action="job.cancel", object="a1", outcome="done"
            )


def test_the_audit_log_is_a_chain(store):
    audit(store, 1200)
    log = store.audit_log()
    assert [e.number for e in log] == list(range(1, 1001))
    assert log + store.audit_log(since=1000) == store.audit_log(limit=5000)
    assert len({e.previous for e in log}) == len(log)
    assert store.check_audit().broken is None
