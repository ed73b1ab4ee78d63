"""Many elements at once on a real server: others get their turns, lists have an end."""

from collections import Counter

import pytest

from copernicus.server import batch, views
from copernicus.server.embedded import EmbeddedServer
from support.e2e import wait_until
from support.server_client import PASSWORD, User, add, define, echo_function, set_input

MANY = 40


@pytest.fixture
def admin(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "FIRED_AT_ONCE", 7)
    monkeypatch.setattr(views, "LISTED", 10)
    with EmbeddedServer.make(tmp_path / "server", PASSWORD)[1] as server:
        user = User(server, "admin")
        user.call("POST", "/v1/projects", {"name": "many"})
        texts = [str(index) for index in range(MANY)]
        edits = add("run", mapped=["text"]), set_input("run.in.text", texts)
        user.edit("many", define(echo_function()), *edits)
        yield user
        user.close()


def test_what_fires_at_once_fires_in_several_batches(admin):
    root = "/v1/projects/many"
    wait_until(lambda: admin.get(root)["states"] == {"queued": MANY}, "all to be queued")
    opened = [e for e in admin.get(f"{root}/journal") if e["kind"] == "activation_opened"]
    assert len(opened) == MANY
    assert max(Counter(entry["at"] for entry in opened).values()) <= 7


def test_the_list_of_jobs_has_an_end(admin):
    root = "/v1/projects/many"
    wait_until(lambda: admin.get(root)["states"] == {"queued": MANY}, "all to be queued")
    assert [job["path"] for job in admin.get(f"{root}/jobs")] == [f"run[{i}]" for i in range(10)]
