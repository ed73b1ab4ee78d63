"""Servers, logins, users and profiles from the shell."""

import os
import shutil
import signal

import pytest

from copernicus.server.embedded import EmbeddedServer
from copernicus.server.folder import read_running
from support.cli_world import PASSWORD, Terminal, until


@pytest.fixture
def cpc(tmp_path):
    return Terminal(tmp_path / "ann")


def log_in(cpc, server, *words, user="admin"):
    return ("login", *words, "--user", user, "--password-file", cpc.password)


def test_a_login_by_bundle_is_remembered_and_ended(cpc, server):
    shown = cpc.login(server)("whoami").out
    assert "admin (administrator)" in shown
    assert server.running.server_id in shown

    cpc("logout")

    assert "logged out" in cpc.refused(3, "whoami")
    assert "logged out" in cpc("profile", "list").out


def test_a_login_by_address_needs_the_right_id(cpc, server):
    url, server_id = server.user_url, server.running.server_id

    assert f"It shows the id {server_id}" in cpc.refused(1, *log_in(cpc, server, url))
    wrong = "a" * 26
    said = cpc.refused(4, *log_in(cpc, server, url, "--server-id", wrong))
    assert f"is the server {server_id}, not {wrong}" in said
    cpc(*log_in(cpc, server, url, "--server-id", server_id))
    # The server is known from here on: its id need not be given again.
    cpc(*log_in(cpc, server, url))


def test_a_wrong_password_is_refused_without_showing_it(cpc, server):
    cpc.password.write_text("a wrong password\n")

    said = cpc.refused(3, *log_in(cpc, server, server.folder / "client.cpc"))

    assert "Wrong user name or password" in said
    assert "a wrong password" not in said


def test_a_forged_bundle_is_refused(cpc, server):
    text = (server.folder / "client.cpc").read_text()
    forged = cpc.file("forged.cpc", text.replace(server.running.server_id, "a" * 26))

    assert "do not use it" in cpc.refused(1, *log_in(cpc, server, forged))


def test_another_server_at_the_known_address_is_not_believed(cpc, server, tmp_path):
    _, other = EmbeddedServer.make(tmp_path / "other", PASSWORD)
    with other:
        cpc.login(other)
        profiles = cpc.config / "profiles.json"
        swapped = profiles.read_text().replace(str(other.running.user_port), "PORT")
        profiles.write_text(swapped.replace("PORT", str(server.running.user_port)))

        assert "is not the server" in cpc.refused(4, "whoami")


def test_users_are_made_and_have_only_their_own_rights(cpc, server, tmp_path):
    cpc.login(server)
    cpc("user", "add", "bob", "--password-file", cpc.password)
    assert "bob" in cpc("user", "list").out
    bob = Terminal(tmp_path / "bob").login(server, "bob")

    assert "administrator" not in bob("whoami").out
    assert bob.run("user", "list").code == 1
    assert bob.run("worker", "bundle", "-o", tmp_path / "w.cpc").code == 1
    bob("project", "create", "bobs")
    cpc("user", "add", "eve", "--password-file", cpc.password)
    eve = Terminal(tmp_path / "eve").login(server, "eve")
    assert "bobs" in eve.refused(1, "status", "-p", "bobs")
    bob("project", "share", "eve", "--role", "viewer")
    eve("status", "-p", "bobs")
    assert eve.run("pause", "-p", "bobs").code == 1
    bob("project", "share", "eve", "--remove")
    assert eve.run("status", "-p", "bobs").code == 1

    bob.file("new", "another good password\n")
    bob("user", "passwd", "--password-file", bob.folder / "new")
    assert "log in again" in bob.refused(3, "whoami")
    cpc("user", "remove", "eve", "--yes")
    assert eve.run("whoami").code == 3


def test_several_logins_live_side_by_side(cpc, server, tmp_path):
    cpc.login(server)
    cpc("user", "add", "carl", "--password-file", cpc.password)
    cpc(*log_in(cpc, server, server.folder / "client.cpc", user="carl"))
    names = [p["name"] for p in cpc("profile", "list", "--json").data]

    assert "carl" in cpc("whoami").out
    cpc("profile", "use", next(name for name in names if name.startswith("admin@")))
    assert "admin" in cpc("whoami").out
    carls = next(name for name in names if name.startswith("carl@"))
    assert cpc("whoami", "--profile", carls, "--json").data["user"] == "carl"


def test_a_servers_folder_from_init_to_check(cpc, tmp_path):
    folder, copy = tmp_path / "server", tmp_path / "copy"
    ports = ("--host", "127.0.0.1", "--machine-port", 0, "--user-port", 0)
    made = cpc("server", "init", folder, "--name", "127.0.0.1", *ports, "--json").data
    assert len(made["password"]) >= 12
    assert made["server_id"] in cpc.run("server", "status", folder).out
    assert cpc.run("server", "status", folder).code == 1
    assert "never replaced" in cpc.refused(1, "server", "init", folder)

    started = cpc("server", "start", folder, "--background", "--json").data
    try:
        assert started["server_id"] == made["server_id"]
        assert str(started["user_port"]) in cpc("server", "status", folder).out
        assert "runs already" in cpc.refused(1, "server", "start", folder, "-d")
        cpc.file("first", made["password"])
        words = ("--user", "admin", "--password-file", cpc.folder / "first")
        cpc("login", folder / "client.cpc", *words)
        cpc("project", "create", "kept")
        cpc("server", "backup", folder, copy)
        assert "another Copernicus process" in cpc.refused(1, "server", "check", folder)
        assert "exists already" in cpc.refused(1, "server", "backup", folder, copy)
    finally:
        cpc("server", "stop", folder)
    assert "No server runs" in cpc("server", "stop", folder).out
    assert "Nothing answers" in cpc.refused(4, "status")
    for place in (folder, copy):
        assert "the journal of kept replays" in cpc("server", "check", place).out


def test_a_taken_port_is_said_by_the_command_that_starts_in_the_background(cpc, server, tmp_path):
    folder = tmp_path / "server"
    port = server.running.user_port
    ports = ("--host", "127.0.0.1", "--machine-port", 0, "--user-port", port)
    cpc("server", "init", folder, "--name", "127.0.0.1", *ports)

    assert f"Port {port} of 127.0.0.1 is in use" in cpc.refused(1, "server", "start", folder, "-d")


def test_a_killed_server_is_seen_as_not_running_and_starts_again(cpc, tmp_path):
    folder = tmp_path / "server"
    ports = ("--host", "127.0.0.1", "--machine-port", 0, "--user-port", 0)
    cpc("server", "init", folder, "--name", "127.0.0.1", *ports)
    cpc("server", "start", folder, "-d")
    os.kill(read_running(folder).pid, signal.SIGKILL)

    until(lambda: cpc.run("server", "status", folder).code == 1)
    cpc("server", "start", folder, "-d")
    cpc("server", "stop", folder)


def test_a_damaged_file_is_found_by_the_check(cpc, tmp_path):
    folder = tmp_path / "server"
    _, made = EmbeddedServer.make(folder, PASSWORD)
    with made:
        cpc.login(made)
        cpc("project", "create", "x")
        cpc("project", "info")
        from copernicus import Client

        with Client(config=cpc.config) as client:
            client.project().files.upload([cpc.file("data", "content of a file\n")])
    chunk = next(p for p in (folder / "blobs").rglob("*") if p.is_file() and p.stat().st_size == 18)
    chunk.chmod(0o600)
    chunk.write_bytes(b"CONTENT of a file\n")

    done = cpc.run("server", "check", folder)

    assert done.code == 1
    assert "is damaged" in done.out
    shutil.rmtree(folder)
