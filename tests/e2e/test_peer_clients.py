"""People who reach a server through their own one: real servers, and no other route to it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.client import Client
from copernicus.client.profiles import Profile, Profiles
from copernicus.errors import CopernicusError
from support.e2e import Env, wait_until
from support.e2e_programs import SHIFT_TOML
from support.namespaces import closed_cluster, inside
from support.peering import commands, id_of, open_server, servers
from support.server_client import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reach-a-server-through-your-own.md"
ID = "srd5cbzgqmk2xnxuhpfwkoz7a4"
REFUSED_S = 0.5
TEXT = "bytes that only the far server and the user see"


def test_a_user_works_at_a_server_that_only_their_own_one_reaches(tmp_path: Path) -> None:
    """As the page says."""
    let_near, let_far, log_in, use, status, again = (c.split() for c in commands(PAGE))
    with closed_cluster() as net, servers(tmp_path, "far", "near", "user") as (far, near, user):
        far.address, near.address = net.outside.address, net.gate
        with inside(net.outside):
            project = far.open("ala")
            far.client.add_user("bob", PASSWORD)
            project.define(far.write("shift.toml", SHIFT_TOML))
            project.add("shift", "bytes.shift")
            project.set("shift.in.source", far.write("source", TEXT))
            invited = far.client.invite_peer()
        with inside(net.head):
            open_server(near, host="0.0.0.0")
            near.client.add_user("ann", PASSWORD)
            near.client.add_peer(invited.url, invited.token)
        there, here = id_of(far), id_of(near)
        user.write("password", PASSWORD).chmod(0o600)
        with inside(net.inner):
            with pytest.raises(OSError, match="unreachable"):
                socket.create_connection((far.address, far.ports[1]), timeout=REFUSED_S)
            bundle = near.server / "client.cpc"
            Client.login(bundle, "ann", PASSWORD, config=user.config).close()
            said = user.refused(3, "--on", there, "status")
            assert f"cpc --on {there} login" in said
            assert "allows it at both servers" in refusal(user, there)
        with inside(net.head):
            near.cpc(*of(there, let_near))
        with inside(net.inner):
            assert "allows it at both servers" in refusal(user, there)
            other = f"{'b' if there[0] == 'a' else 'a'}{there[1:]}"
            assert "There is no peer" in refusal(user, other)
        with inside(net.outside):
            far.cpc(*of(here, let_far))

        with inside(net.inner):
            assert f"server {there}" in user.cpc(*of(there, log_in))
            assert user.json("profile", "list")[0]["current"], "the near server stays the current"
            with Client(config=user.config, on=there) as bob:
                assert bob.me().name == "bob"
                assert bob.projects() == [], "what bob may is for the far server to say"
                bob.create_project("own")
        with inside(net.outside):
            project.share("bob", "editor")
        with inside(net.inner):
            user.cpc(*of(there, use))
            assert "shift" in user.cpc(*of(there, status))
            assert "shift" in user.cpc(*of(there, again))
            user.cpc("--on", there[:8], "get", "shift.in.source", "-o", "copy")
            assert (user.root / "copy").read_text() == TEXT

        with inside(net.inner), watching(user, there) as seen:
            numbers = iter(range(2, 1000))

            def is_seen() -> bool:
                with inside(net.outside):
                    project.set("shift.in.by", next(numbers))
                return b"shift" in seen.read_bytes()

            wait_until(is_seen, "what others do, live", 60)
            with inside(net.outside):
                far.client.suspend_peer(here)
            assert "it is suspended" in refusal(user, there)
            with inside(net.outside):
                project.add("unseen", "bytes.shift")
                assert "unseen" in {one.path for one in project.instances()}
        assert b"unseen" not in seen.read_bytes()
        with inside(net.outside):
            let = far.json("audit", "--actor", here, "--action", "peer.clients")
            assert {one["source"] for one in let} == {net.head.address}
            # Everything that bob did came by way of the near server.
            assert {one["source"] for one in far.json("audit", "--actor", "bob")} == {here}
        with inside(net.head):
            let = near.json("audit", "--actor", "ann", "--action", "peer.reach")
            assert {one["object"] for one in let} == {there}


def of(server_id: str, command: list[str]) -> list[str]:
    """A command of the page, about this server."""
    return [server_id if word == ID else word for word in command]


def refusal(env: Env, far: str) -> str:
    """Why a login at the far server does not come about."""
    (near,) = (name for name, one in profiles(env) if not one.via)
    with pytest.raises(CopernicusError) as refused:
        Client.login(far, "bob", PASSWORD, config=env.config, through=near)
    return refused.value.message


def profiles(env: Env) -> list[tuple[str, Profile]]:
    return list(Profiles(env.config).all().items())


@contextlib.contextmanager
def watching(env: Env, far: str) -> Iterator[Path]:
    """What ``cpc watch`` at the far server has printed, as a file, until the end of the block."""
    output = env.root / "watched"
    argv = [*env.command(), "--on", far, "watch"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            argv, env=env.environment(), cwd=env.root, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield output
    finally:
        process.kill()
        process.wait()
