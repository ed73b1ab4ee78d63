"""The page about peers, done to the letter by two groups and a third one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.e2e import Env
from support.peering import commands, id_of, open_server, peer, servers

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
ID = "srd5cbzgqmk2xnxuhpfwkoz7a4"


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_share_idle_workers(tmp_path: Path) -> None:
    with servers(tmp_path, "there", "here", "later") as (there, here, later):
        there.open("ala")
        for env in (here, later):
            open_server(env)
        url = there.client.profile.urls[0]
        invitation, asked, done = "", "", 0
        for line in commands(HOW_TO / "share-idle-workers.md"):
            at: Env = there
            if line.startswith("peer add"):
                at = here
            elif line.startswith("peer request"):
                at = later
            told = line.replace("https://there.example.org:14807", url)
            told = told.replace("INVITATION", invitation)
            told = told.replace(ID, asked if line.startswith("peer trust") else id_of(here))
            said = at.cpc(*told.split())
            done += 1
            if line == "peer invite":
                found = re.search(r"cpc peer add (\S+) (\S+)", said)
                assert found, said
                assert found[1].rpartition(":")[2] == url.rpartition(":")[2]
                invitation = found[2]
            elif line.startswith("peer request"):
                assert id_of(there) in said
                (asked,) = re.findall(r"cpc peer trust (\S+)", said)
                assert asked == id_of(later)
                assert peer(there, later)["state"] == "requested"
        assert done == 16
        assert peer(there, later)["state"] == "trusted"
        shown = peer(there, here)
        assert (shown["cores"], shown["hours"], shown["priority"]) == (16, 1000.0, 10)
        assert (shown["projects"], shown["state"]) == (["ala"], "trusted")
        said = here.refused(3, "peer", "add", url, invitation)
        assert said.startswith("This invitation is used up")
        there.cpc("peer", "remove", id_of(here), "--yes")
        assert [one["id"] for one in there.json("peer", "list")] == [id_of(later)]
