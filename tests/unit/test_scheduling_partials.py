"""What running jobs give before their end: what is asked, what counts, when it is gone."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.errors import BadValue, Conflict, NotAllowed
from copernicus.model.jobs import AttemptRecord, Output, Series
from copernicus.model.reports import PartialGiven, PartialWithdrawn
from copernicus.protocol import Share
from support.scheduling import Desk, spec


@pytest.fixture
def desk():
    made = Desk()
    wanted = spec(key="p.a1")
    command = msgspec.structs.replace(
        wanted.command,
        outputs=(Output("xtc", partial=True), Output("log", partial=True), Output("conf")),
        series=(Series("energies", "*.csv"),),
    )
    made.submit(job_spec=msgspec.structs.replace(wanted, command=command))
    return made


def held(desk):
    return desk.scheduler.attempt_rows("p.a1")[-1].partial


def test_nothing_is_asked_of_a_worker_unless_somebody_wants_it(desk):
    assert desk.directive(desk.one()).share is None


def test_what_the_engine_streams_is_asked_for_regularly_and_told_to_it(desk):
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    found = desk.one()
    assert desk.directive(found).share == Share(("xtc",), 60.0)
    desk.give(found, xtc="one", log="l", seq=50)
    assert desk.partials == [PartialGiven("a1", 1, 50, {"xtc": "one"})]
    assert held(desk)["log"].value == "l"


def test_an_older_wish_of_the_engine_changes_nothing_and_an_empty_one_ends_it(desk):
    desk.scheduler.stream("p.a1", 3, ("xtc",))
    desk.scheduler.stream("p.a1", 2, ("log",))
    found = desk.one()
    assert desk.directive(found).share.regular == ("xtc",)
    desk.scheduler.stream("p.a1", 4, ())
    assert desk.directive(found).share is None


def test_what_a_person_asked_for_is_wanted_once_and_not_told_to_the_engine(desk):
    found = desk.one()
    wish = desk.scheduler.ask("p.a1", ("xtc",))
    share = desk.directive(found).share
    assert (share.once, share.wish, share.regular) == (("xtc",), wish, ())
    assert desk.scheduler.is_waiting("p.a1", wish)
    desk.give(found, wish=share.wish, xtc="one")
    assert not desk.scheduler.is_waiting("p.a1", wish)
    assert desk.directive(found).share is None
    assert desk.partials == []
    assert (held(desk)["xtc"].value, held(desk)["xtc"].step) == ("one", 7.0)


def test_a_later_wish_is_not_answered_by_what_an_earlier_one_brought(desk):
    found = desk.one()
    first = desk.scheduler.ask("p.a1", ("xtc",))
    second = desk.scheduler.ask("p.a1", ("log",))
    desk.give(found, wish=first, xtc="one")
    assert desk.scheduler.is_waiting("p.a1", second)
    assert desk.directive(found).share.once == ("xtc", "log")


def test_a_job_that_does_not_run_refuses_with_the_reason(desk):
    with pytest.raises(Conflict, match="does not run: no worker is connected"):
        desk.scheduler.ask("p.a1", ("xtc",))
    desk.complete(desk.one())
    with pytest.raises(Conflict, match="does not run: it is done"):
        desk.scheduler.ask("p.a1", ("xtc",))


def test_a_wait_ends_with_the_attempt(desk):
    found = desk.one()
    wish = desk.scheduler.ask("p.a1", ("xtc",))
    desk.beat(found)
    desk.pass_time(121)
    assert not desk.scheduler.is_waiting("p.a1", wish)


def test_it_comes_in_order_once_and_from_the_holder_alone(desk):
    found = desk.one()
    desk.give(found, seq=5, xtc="new")
    desk.give(found, seq=5, xtc="new")
    with pytest.raises(Conflict, match="out of date"):
        desk.give(found, seq=4, xtc="old")
    with pytest.raises(NotAllowed):
        desk.give(found, "w2", xtc="forged")
    assert held(desk)["xtc"].value == "new"


def test_only_outputs_that_mean_something_before_the_end_are_taken(desk):
    found = desk.one()
    desk.give(found, **{"series:energies": "table"})
    with pytest.raises(BadValue, match="'conf'"):
        desk.give(found, conf="half")


def test_it_goes_with_a_lost_attempt_and_the_zombie_may_not_give_more(desk):
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    found = desk.one()
    desk.give(found, seq=9, xtc="one")
    desk.pass_time(121)
    assert desk.partials[-1] == PartialWithdrawn("a1", 1)
    assert held(desk) == {}
    again = desk.one("w2")
    with pytest.raises(Conflict, match="no longer holds"):
        desk.give(found, seq=10, xtc="two")
    desk.give(again, "w2", seq=1, xtc="three")
    assert desk.partials[-1] == PartialGiven("a1", 2, 1, {"xtc": "three"})


@pytest.mark.parametrize("ending", ["fail", "stop"])
def test_it_goes_with_an_attempt_that_ends_without_a_result(desk, ending):
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    found = desk.one()
    desk.give(found, xtc="one")
    getattr(desk, ending)(found)
    assert desk.partials[-1] == PartialWithdrawn("a1", 1)


def test_a_result_takes_its_place_without_a_withdrawal(desk):
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    found = desk.one()
    desk.give(found, xtc="one")
    desk.complete(found)
    assert len(desk.partials) == 1
    assert held(desk) == {}


def test_nothing_is_withdrawn_that_the_engine_never_knew(desk):
    found = desk.one()
    desk.give(found, xtc="one")
    desk.fail(found)
    assert desk.partials == []


def test_it_survives_a_restart_and_the_engine_wishes_again(desk):
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    found = desk.one()
    desk.give(found, seq=3, xtc="one")
    desk.restart()
    assert held(desk)["xtc"].value == "one"
    assert desk.directive(found).share is None
    desk.scheduler.stream("p.a1", 1, ("xtc",))
    assert desk.directive(found).share.regular == ("xtc",)
    with pytest.raises(Conflict):
        desk.give(found, seq=2, xtc="old")


def test_an_attempt_that_is_told_to_stop_is_asked_for_nothing(desk):
    found = desk.one()
    desk.beat(found)
    desk.scheduler.ask("p.a1", ("xtc",))
    desk.cancel()
    directive = desk.directive(found)
    assert (directive.action, directive.share) == ("stop", None)


def test_a_log_is_watched_for_a_while(desk):
    found = desk.one()
    desk.scheduler.watch("p.a1", desk.now)
    assert desk.directive(found).share.watched
    desk.now += 31
    assert desk.directive(found).share is None


def test_every_attempt_keeps_the_end_of_its_log(desk):
    first = desk.one()
    desk.directive(first, log="first words")
    desk.pass_time(121)
    second = desk.one("w2")
    desk.fail(second, worker="w2")
    desk.pass_time(6)
    third = desk.one("w3")
    record = AttemptRecord(3, "w3", log="all is well", series={"energies": {"$file": "x"}})
    desk.complete(third, worker="w3", record=record)
    desk.restart()
    logs = [one.log for one in desk.scheduler.job_view("p.a1").tries]
    assert logs == ["first words", "last lines", "all is well"]
    assert desk.scheduler.job_view("p.a1").log_tail == "all is well"
    told = desk.ends["p.a1"][-1].attempts[-1]
    assert (told.log, told.series) == ("", {"energies": {"$file": "x"}})


def test_a_long_log_is_kept_from_a_whole_line_on(desk):
    found = desk.one()
    desk.complete(found, record=AttemptRecord(1, "w1", log="x" * 9000 + "\nlast line"))
    assert desk.scheduler.job_view("p.a1").log_tail == "last line"


def test_a_lost_attempt_leaves_the_series_that_it_had_shown(desk):
    found = desk.one()
    desk.give(found, xtc="one", **{"series:energies": {"$file": "table"}})
    desk.pass_time(121)
    assert desk.scheduler.attempt_rows("p.a1")[0].series == {"energies": {"$file": "table"}}
    assert held(desk) == {}
