"""What every store promises about projects and their journals."""

from __future__ import annotations

import threading

import pytest

from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model.events import InputSet, JobMade, ProjectCreated
from copernicus.model.jobs import JobSpec
from copernicus.model.network import Literal
from copernicus.model.resources import ProgramNeed
from copernicus.store import Entry, MemberRecord, PositionConflict
from support.stores import BACKENDS, EACH_BACKEND, created, entries, facts, project, user


@pytest.fixture(params=EACH_BACKEND)
def store(request, tmp_path):
    with BACKENDS[request.param](tmp_path / "server") as opened:
        yield opened


@pytest.fixture
def villin(store):
    with store.transaction() as tx:
        tx.add_project(project())
        tx.append("p-villin", entries([created()]))
    return "p-villin"


def test_events_come_back_as_they_were(store, villin):
    spec = JobSpec("mdrun", "1.0", ProgramNeed("gromacs", ">=2022"), "d", "k")
    events = [
        InputSet("run", "nsteps", Literal(5)),
        InputSet("run", "conf", None),
        JobMade("a1", spec),
    ]
    written = entries(events, since=1, revision=2)
    with store.transaction() as tx:
        tx.append(villin, written)
    assert store.journal(villin, since=1) == written
    assert list(store.load_project(villin)) == [created(), *events]


def test_a_journal_is_read_in_pages_and_from_any_position(store, villin):
    with store.transaction() as tx:
        tx.append(villin, entries(facts(2500), since=1))
    assert [e.position for e in store.journal(villin, since=10, limit=3)] == [11, 12, 13]
    assert list(store.load_project(villin)) == [created(), *facts(2500)]
    assert store.journal(villin, since=2501) == []
    assert store.journal("p-unknown") == []


@pytest.mark.parametrize("positions", [[1], [3], [2, 4], [2, 2], [0]])
def test_events_that_do_not_follow_are_refused_and_nothing_is_kept(store, villin, positions):
    bad = [Entry(position, 1, 1.0, facts(1)[0]) for position in positions]

    def write():
        with store.transaction() as tx:
            tx.set_meta("beside", "it")
            tx.append(villin, bad)

    with pytest.raises(PositionConflict, match="p-villin"):
        write()
    assert list(store.load_project(villin)) == [created()]
    assert store.project(villin).position == 1
    assert store.meta("beside") is None


def test_an_unknown_project_has_no_journal_to_append_to(store):
    with pytest.raises(PositionConflict), store.transaction() as tx:
        tx.append("p-unknown", entries([created()]))


def test_several_appends_are_one_transaction(store, villin):

    def write(last):
        with store.transaction() as tx:
            tx.append(villin, entries(facts(2), since=1))
            tx.append(villin, entries(facts(2), since=last))
            tx.append(villin, [])

    with pytest.raises(PositionConflict):
        write(last=4)
    assert len(store.journal(villin)) == 1
    write(last=3)
    assert len(store.journal(villin)) == 5


def test_a_project_tells_where_its_journal_is(store, villin):
    with store.transaction() as tx:
        tx.append(villin, entries(facts(3), since=1, revision=4))
    found = store.project(villin)
    assert (found.position, found.revision, found.changed, found.created) == (4, 4, 103.0, 10.0)


def test_a_number_that_no_message_holds_is_refused(store, villin):
    huge = [InputSet("run", "seed", Literal(2**80))]
    with pytest.raises(BadValue, match="too large"), store.transaction() as tx:
        tx.append(villin, entries(huge, since=1))
    assert store.project(villin).position == 1


def test_a_name_is_taken_until_its_project_is_deleted(store, villin):
    again = project("again")
    with store.transaction() as tx:
        tx.add_project(again)
    with pytest.raises(Conflict, match="villin"), store.transaction() as tx:
        tx.rename_project(again.id, "villin")
    with pytest.raises(Conflict, match="villin"), store.transaction() as tx:
        tx.add_project(project())
    with store.transaction() as tx:
        tx.delete_project(villin, 50.0)
        tx.rename_project(again.id, "villin")
    assert store.project_by_name("villin").id == again.id
    assert [p.name for p in store.projects()] == ["villin"]
    assert [p.deleted for p in store.projects(deleted=True)] == [50.0]
    assert len(store.journal(villin)) == 1
    with pytest.raises(NotFound):
        store.project(villin)
    with pytest.raises(NotFound), store.transaction() as tx:
        tx.delete_project(villin, 51.0)


def test_members_see_their_projects(store, villin):
    with store.transaction() as tx:
        tx.add_user(user("ann"))
        tx.add_user(user("bob"))
        tx.set_member(MemberRecord(villin, "bob", "viewer"))
        tx.set_member(MemberRecord(villin, "bob", "editor"))
        tx.add_project(project("other", owner="bob"))
    assert store.members(villin) == [MemberRecord(villin, "bob", "editor")]
    assert [p.name for p in store.projects_of("bob")] == ["other", "villin"]
    assert [p.name for p in store.projects_of("ann")] == ["villin"]
    with store.transaction() as tx:
        assert tx.remove_member(villin, "bob")
        assert not tx.remove_member(villin, "bob")
    assert [p.name for p in store.projects_of("bob")] == ["other"]


def test_readers_see_the_last_commit_and_do_not_wait_for_the_writer(store, villin):
    seen = []
    with store.transaction() as tx:
        tx.append(villin, entries(facts(1), since=1))
        reader = threading.Thread(target=lambda: seen.append(len(store.journal(villin))))
        reader.start()
        reader.join(timeout=10)
    assert seen == [1]
    assert len(store.journal(villin)) == 2


def test_threads_write_one_after_the_other(store, villin):
    def write(name):
        for n in range(20):
            with store.transaction() as tx:
                tx.add_project(project(f"{name}-{n}"))
                tx.append(f"p-{name}-{n}", entries([ProjectCreated(name, name, "ann", n)]))

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.projects()) == 81
    assert all(p.position == 1 for p in store.projects())


def test_a_transaction_inside_another_is_a_bug(store):
    with store.transaction(), pytest.raises(RuntimeError), store.transaction():
        pass
    with store.transaction() as tx:
        tx.set_meta("after", "it")
    assert store.meta("after") == "it"
