"""What peers gave is run again elsewhere: who is honest is counted, who is not is set aside."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from copernicus.model.functions import Port
from copernicus.model.jobs import Failure
from copernicus.model.types import FloatType
from copernicus.protocol import LeaseReply, ResultReply, ResultRequest
from support.cli_world import Terminal
from support.e2e import wait_until
from support.fake_peers import FakePeer
from support.places import Place, places
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with places(tmp_path_factory.mktemp("one"), 1, max_wait_s=300.0) as (made,):
        yield made


class Checked:
    """A project of which all that peers gave is verified, with a peer and a worker of its own."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.name = f"checked{next(_NUMBERS)}"
        self.root = f"/v1/projects/{self.name}"
        place.give_work(self.name, 0)
        self.set(1.0)
        self.peer = FakePeer(place, folder / "fake")
        self.own = ScriptedWorker(place.server, place.admin, folder / "own", host="node7")
        self._steps = itertools.count()

    def set(self, fraction: float, **more) -> dict:
        return self.place.admin.call(
            "PUT", f"{self.root}/verification", {"fraction": fraction, **more}
        )

    def given(self, said, function: str = "mine.echo") -> str:
        """The peer gives this; the path of it."""
        path = f"x{next(self._steps)}"
        edits = [add(path, function), set_input(f"{path}.in.text", "hello")]
        self.place.admin.edit(self.name, *edits)
        (job,) = self.peer.ask("lease", self.peer.asking(name=path), LeaseReply).assignments
        assert self.peer.complete(job, {"said": said}) == "accepted"
        return path

    def run_again(self, said) -> None:
        """The own worker gives this for the next second run."""
        (job,) = self.own.lease()
        assert self.own.complete(job, {"said": said}) == "accepted"

    def tally(self) -> dict:
        return {
            "same": 0,
            "differed": 0,
            "failed": 0,
            "left_out": 0,
            "open": 0,
            **self.view().get("verified", {}),
        }

    def view(self) -> dict:
        return self.place.admin.get(self.root)

    def state(self) -> tuple[str, int, int]:
        shown = self.place.peer(self.peer.id)
        return shown["state"], shown["verified"], shown["differed"]

    def close(self) -> None:
        self.place.admin.call("DELETE", self.root)
        for one in (self.peer, self.own):
            one.close()


@pytest.fixture
def checked(place: Place, tmp_path: Path) -> Iterator[Checked]:
    made = Checked(place, tmp_path)
    yield made
    made.close()


def test_an_honest_peer_is_counted_and_a_lying_one_gets_no_more_until_it_is_resumed(
    checked: Checked, tmp_path: Path
) -> None:
    admin = checked.place.admin
    checked.given("hello")
    checked.run_again("hello")
    assert checked.state() == ("trusted", 1, 0)
    lie = checked.given("a lie")
    checked.run_again("hello")
    assert checked.state() == ("doubted", 2, 1)
    assert checked.tally() == {"same": 1, "differed": 1, "failed": 0, "left_out": 0, "open": 0}
    said = checked.peer.refused(403, "lease", checked.peer.asking(name="more"))["message"]
    assert "was not the same elsewhere" in said
    # Everybody who looks at the result is told, as long as it is in use.
    (doubt,) = checked.view()["doubts"]
    assert doubt.startswith(f"{lie} (a2) was not the same on node7 as on peer ")
    assert admin.get(f"{checked.root}/jobs/a2")["doubt"] == doubt
    assert "doubt" not in admin.get(f"{checked.root}/jobs/a1")
    assert admin.get(f"{checked.root}/why", path=lie)["doubts"] == [doubt]
    assert "doubts" not in admin.get(f"{checked.root}/why", path="x0")
    cpc = Terminal(tmp_path / "home").login(checked.place.server)
    cpc("project", "use", checked.name)
    for words in (("why",), ("why", lie), ("job", "show", "a2"), ("job", "why", "a2"), ("status",)):
        assert "was not the same on" in " ".join(cpc(*words).out.split()), words
    shown = cpc("project", "verify", "--json").data
    assert (shown["fraction"], shown["verified"]["differed"]) == (1.0, 1)
    assert shown["doubts"] == [doubt]
    text = " ".join(cpc("project", "verify").out.split())
    assert "so far: 1 the same, 1 not the same, 0 second runs failed, 0 open" in text
    assert "not the same on node7" in text
    # It is made anew by somebody else, and an administrator believes the peer again.
    admin.edit(checked.name, {"type": "retry", "path": lie})
    assert checked.view()["doubts"], "its value is in use until then"
    checked.run_again("hello")
    assert not checked.view().get("doubts")
    assert "doubt" not in admin.get(f"{checked.root}/jobs/a2")
    admin.call("POST", f"/v1/peers/{checked.peer.id}/resume")
    assert checked.state() == ("trusted", 2, 1)
    checked.given("hello")


def test_a_doubted_peer_is_sent_away_at_once_and_what_it_holds_goes_to_others(
    checked: Checked,
) -> None:
    admin, peer = checked.place.admin, checked.peer
    checked.given("a lie")
    for number in range(2):
        edits = [add(f"held{number}"), set_input(f"held{number}.in.text", "hello")]
        admin.edit(checked.name, *edits)
    (second_run,) = checked.own.lease(cores=1)
    held = peer.ask("lease", peer.asking(name="held", cores=2), LeaseReply).assignments
    assert len(held) == 2
    before = checked.place.peer(peer.id)["last_contact"]
    answers: list[LeaseReply] = []

    def wait_for_work() -> None:
        wanted = msgspec.structs.replace(peer.asking(name="waits", cores=1), wait_s=300.0)
        answers.append(peer.ask("lease", wanted, LeaseReply))

    waits = threading.Thread(target=wait_for_work)
    waits.start()
    wait_until(lambda: checked.place.peer(peer.id)["last_contact"] > before, "it asks for more")
    assert checked.own.complete(second_run, {"said": "hello"}) == "accepted"
    # It would wait for five minutes, longer than this test and its client do.
    waits.join(50)
    assert [(one.assignments, one.drain) for one in answers] == [((), True)]
    attempts = [one.attempt for one in held]
    assert {one.action for one in peer.beat(*attempts).directives} == {"discard"}
    late = ResultRequest(held[0].attempt, 9, "completed", {"said": "late"})
    assert "not granted" in peer.refused(403, "result", late)["message"]
    assert len(checked.own.lease()) == 2


def test_ten_second_runs_are_open_at_most_and_what_is_left_out_is_counted(
    checked: Checked, tmp_path: Path
) -> None:
    for _ in range(12):
        checked.given("hello")
    assert checked.tally()["open"] == 10
    assert checked.tally()["left_out"] == 2
    cpc = Terminal(tmp_path / "home").login(checked.place.server)
    said = " ".join(cpc("project", "verify", "--project", checked.name).out.split())
    assert "! 2 left out, as 10 second runs were open" in said
    held = checked.own.lease()
    assert {checked.own.complete(job, {"said": "hello"}) for job in held} == {"accepted"}
    checked.given("hello")
    tally = checked.tally()
    assert (tally["same"], tally["open"]) == (len(held), 11 - len(held))
    assert tally["left_out"] == 2


def test_only_the_functions_that_are_named_are_verified_and_stochastic_ones_never(
    checked: Checked,
) -> None:
    stochastic = msgspec.structs.replace(echo_function("mine.random"), stochastic=True)
    specs = (echo_function("mine.other"), stochastic)
    checked.place.admin.edit(checked.name, *map(define, specs))
    checked.set(1.0, of=["mine.other"])
    checked.given("hello")
    assert checked.tally()["open"] == 0
    checked.given("hello", "mine.other")
    assert checked.tally()["open"] == 1
    checked.set(1.0)
    checked.given("hello", "mine.random")
    assert checked.tally()["open"] == 1
    checked.set(0.0)
    checked.given("hello")
    assert checked.tally()["open"] == 1
    # What the own worker gives is not verified.
    checked.set(1.0)
    checked.run_again("hello")
    checked.place.admin.edit(checked.name, add("own"), set_input("own.in.text", "hello"))
    checked.run_again("hello")
    assert checked.tally() == {"same": 1, "differed": 0, "failed": 0, "left_out": 0, "open": 0}


def test_numbers_may_be_as_far_apart_as_the_tolerance_says(checked: Checked) -> None:
    number = msgspec.structs.replace(
        echo_function("mine.number"), outputs=(Port("said", FloatType()),)
    )
    checked.place.admin.edit(checked.name, define(number))
    checked.set(1.0, tolerance=1e-3)
    checked.given(1.0, "mine.number")
    checked.run_again(1.0005)
    assert checked.state() == ("trusted", 1, 0)
    checked.given(1.0, "mine.number")
    checked.run_again(1.005)
    assert checked.state() == ("doubted", 2, 1)


def test_a_second_run_that_fails_is_no_doubt(checked: Checked) -> None:
    checked.given("hello")
    (job,) = checked.own.lease()
    failed = ResultRequest(job.attempt, 1, "failed", failure=Failure("broken", "definition"))
    assert checked.own.ask("result", failed, ResultReply).verdict == "accepted"
    assert checked.state() == ("trusted", 0, 0)
    assert checked.tally() == {"same": 0, "differed": 0, "failed": 1, "left_out": 0, "open": 0}
    assert "doubts" not in checked.view()
    newest = checked.place.admin.get("/v1/audit", count=1)[0]
    assert (newest["action"], newest["outcome"]) == ("project.verify", "failed")
    assert newest["object"] == f"{checked.name}: a1: broken"
    checked.given("hello")


def test_only_an_administrator_sets_what_is_verified(checked: Checked, tmp_path: Path) -> None:
    admin, rule = checked.place.admin, f"{checked.root}/verification"
    for fraction in (2.0, -0.5):
        admin.refused(422, "bad_value", "PUT", rule, {"fraction": fraction})
    admin.refused(422, "bad_value", "PUT", rule, {"fraction": 0.5, "tolerance": -1.0})
    said = admin.refused(422, "bad_value", "PUT", rule, {"fraction": 1.0, "of": ["mine.eco"]})
    assert said.startswith("there is no function 'mine.eco'")
    for name, role in (("rowan", "owner"), ("vera", "viewer"), ("sten", "")):
        admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD})
        if role:
            admin.call("PUT", f"{checked.root}/members", {"user": name, "role": role})
        user = User(checked.place.server, name)
        code = (403, "not_allowed") if role else (404, "not_found")
        said = user.refused(*code, "PUT", rule, {"fraction": 0.0})
        assert ("administrator" in said) == bool(role), said
        user.close()
    assert checked.view()["verification"] == {"fraction": 1.0}
    cpc = Terminal(tmp_path / "home").login(checked.place.server)
    words = ("project", "verify", "--project", checked.name)
    assert "0 (nothing is verified) to 1" in cpc.refused(1, *words, "2")
    assert "say how much" in cpc.refused(1, *words, "--tolerance", "1e-6")


def test_where_two_real_peers_differ_both_get_no_more_until_somebody_decides(
    tmp_path: Path,
) -> None:
    """One of them lies: nobody knows which, so an administrator resumes the other one."""
    with places(tmp_path, 3) as (home, liar, honest):
        for one in (liar, honest):
            one.works_for(home)
        home.give_work("p", 0)
        home.admin.call("PUT", "/v1/projects/p/verification", {"fraction": 1.0})
        lies = ScriptedWorker(liar.server, liar.admin, tmp_path / "lies")
        works = ScriptedWorker(honest.server, honest.admin, tmp_path / "works")
        home.admin.edit("p", add("one"), set_input("one.in.text", "hello"))
        deliver(lies, "a lie")
        deliver(works, "hello")

        def states() -> set[str]:
            return {home.peer(one.id)["state"] for one in (liar, honest)}

        wait_until(lambda: states() == {"doubted"}, "both are doubted")
        assert home.peer(liar.id)["differed"] == 1
        assert home.peer(honest.id)["verified"] == 0
        home.admin.edit("p", {"type": "retry", "path": "one"})
        home.admin.call("POST", f"/v1/peers/{honest.id}/resume")
        assert lies.lease(wait_s=1.0) == []
        deliver(works, "hello")
        wait_until(lambda: not home.admin.get("/v1/projects/p").get("doubts"), "it is made anew")
        assert home.peer(liar.id)["state"] == "doubted"
        for worker in (lies, works):
            worker.close()


def deliver(worker: ScriptedWorker, said: str) -> None:
    """Wait for a job of the peer, and give this."""
    (job,) = wait_until(lambda: worker.lease(wait_s=10.0, cores=1), "work of the peer")
    assert worker.complete(job, {"said": said}) == "accepted"
