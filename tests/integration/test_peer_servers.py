"""``cpc network``: three servers in a row and four workers, drawn by each of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from copernicus.protocol.servers import ServerCounts
from support.cli_world import Terminal
from support.e2e import wait_until
from support.places import Place, places
from support.server_client import PASSWORD, ScriptedWorker


def pictured(place: Place, other: Place) -> dict[str, Any]:
    peers = place.admin.get("/v1/servers")["peers"]
    return next(one for one in peers if one["peer"]["id"] == other.id)


def test_every_server_draws_what_it_knows_and_is_told_counts_only(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack, places(tmp_path, 2, tell_peers="names") as both:
        middle, far = both
        (mine,) = stack.enter_context(places(tmp_path / "mine", 1))
        middle.works_for(mine)
        far.works_for(middle)
        secret = [
            ScriptedWorker(place.server, place.admin, tmp_path, f"hidden{number}")
            for number, place in enumerate((mine, middle, far, far))
        ]
        mine.give_work("precious", 3)
        held: list[Any] = []

        def is_told() -> Any:
            # A worker is connected as long as it is heard of.
            secret[0].lease(0.0, cores=0)
            secret[3].lease(0.0, cores=0)
            # The far one asks only when the one in the middle has its two.
            worker, most = (secret[1], 2) if len(held) < 2 else (secret[2], 3)
            if len(held) < most:
                held.extend(worker.lease(1.0, cores=most - len(held)))
            told = pictured(mine, middle)["told"] or {}
            (behind,) = told.get("peers") or [{}]
            full = (told.get("workers"), told.get("busy"), behind.get("busy")) == (1, 2, 1)
            return full and behind["workers"] == 2 and pictured(mine, middle)

        there = wait_until(is_told, "all counts of the row", 120)
        (behind,) = there["told"]["peers"]
        assert there["told"]["cores"] == 4
        assert (behind["id"], behind["cores"]) == (far.id, 8)
        assert (behind["lends"], behind["borrows"]) == (True, False)
        assert there["peer"]["borrowed_cores"] == 3

        at_far = pictured(far, middle)
        assert (at_far["peer"]["lent"], at_far["told"]["peers"][0]["id"]) == (1, mine.id)
        for place, others in ((mine, secret[1:]), (far, secret[:2])):
            said = str(place.admin.get("/v1/servers"))
            assert not [w for w in others if w.id in said or w.identity.worker_id in said]
            assert "precious" not in said
            assert ("hidden0" in said, "hidden1" in said) == (place is mine, False)

        draw(tmp_path, mine, there)
        secret[0].refused(404, "tell", ServerCounts())
        stack.close()
        gone = wait_until(lambda: (o := pictured(middle, mine))["unreachable"] and o, "no answer")
        assert gone["peer"]["trouble"]
        shown = Terminal(tmp_path / "there").login(middle.server)("network").out
        assert "✕ unreachable" in shown
        for worker in secret:
            worker.close()


def draw(folder: Path, mine: Place, there: dict[str, Any]) -> None:
    """An administrator sees it; a user is told why not."""
    user = Terminal(folder / "here").login(mine.server)
    assert user("network", "--json").data["server"]["id"] == mine.id
    shown = user("network").out
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.replace("│", " ").split())
    assert "● connected hidden0 4 cores" in flat
    assert f"({there['peer']['id'][-6:]}) works for us borrowed: 3 jobs on 3 cores" in flat
    assert "1 worker, 4 cores: 2 busy, 2 idle" in flat
    assert "2 workers, 8 cores: 1 busy, 7 idle" in flat
    mine.admin.call("POST", "/v1/users", {"name": "guest", "password": PASSWORD})
    guest = Terminal(folder / "guest").login(mine.server, "guest")
    assert "only administrators may" in guest.refused(1, "network")
