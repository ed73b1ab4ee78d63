"""Logins on disk: several servers, one current, readable by their owner only."""

import stat

import pytest

from copernicus.calling.addresses import server_url
from copernicus.client.profiles import Profile, Profiles, profile_name
from copernicus.errors import BadSettings, NotAuthenticated, NotFound


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    monkeypatch.delenv("CPC_PROFILE", raising=False)
    return Profiles(tmp_path / "config")


def profile(user="ann", host="lab", **changes):
    fields = {"server_id": f"id-{host}", "urls": (f"https://{host}:14807",), "ca_pem": "PEM"}
    return Profile(**(fields | {"user": user, "token": "secret-token"} | changes))


def test_without_a_login_the_message_says_how_to_log_in(profiles):
    with pytest.raises(NotAuthenticated, match="cpc login"):
        profiles.get()


def test_the_first_profile_is_the_current_one_until_another_is_chosen(profiles):
    profiles.put("ann@lab", profile())
    profiles.put("ann@home", profile(host="home"))
    assert profiles.get()[0] == "ann@lab"

    profiles.use("ann@home")

    assert profiles.get() == ("ann@home", profile(host="home"))
    assert profiles.get("ann@lab")[1].server_id == "id-lab"


def test_the_environment_names_the_profile_for_one_shell(profiles, monkeypatch):
    profiles.put("ann@lab", profile())
    profiles.put("bob@lab", profile("bob"))
    monkeypatch.setenv("CPC_PROFILE", "bob@lab")

    assert profiles.get()[0] == "bob@lab"
    assert profiles.current == "bob@lab"


def test_the_file_is_its_owners_only_and_a_wider_one_is_refused(profiles):
    profiles.put("ann@lab", profile())
    assert stat.S_IMODE(profiles.path.stat().st_mode) == 0o600

    profiles.path.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        profiles.get()


def test_a_damaged_file_says_what_to_do(profiles):
    profiles.put("ann@lab", profile())
    profiles.path.write_text("{")

    with pytest.raises(BadSettings, match="log in again"):
        profiles.get()


def test_an_unknown_profile_lists_those_there_are(profiles):
    profiles.put("ann@lab", profile())

    with pytest.raises(NotFound, match="there are: ann@lab"):
        profiles.use("bob@lab")


def test_logging_out_keeps_the_server_and_the_project(profiles):
    profiles.put("ann@lab", profile(project="ala"))

    profiles.forget_token("ann@lab")

    kept = profiles.get()[1]
    assert (kept.token, kept.project, kept.server_id) == ("", "ala", "id-lab")


def test_a_server_that_was_met_is_known_by_its_address(profiles):
    profiles.put("ann@lab", profile())

    assert profiles.known_id("https://lab:14807") == "id-lab"
    assert profiles.known_id("https://other:14807") is None


def test_two_servers_at_one_address_are_two_profiles(profiles):
    url = "https://lab:14807"
    assert profiles.free_name("ann", url, "id-lab") == "ann@lab"
    profiles.put("ann@lab", profile())

    assert profiles.free_name("ann", url, "id-lab") == "ann@lab"
    other = profiles.free_name("ann", url, "id-another")
    assert other == "ann@lab-nother"
    profiles.put(other, profile(server_id="id-another"))
    assert profiles.free_name("ann", url, "id-another") == other
    assert profiles.known_id(url) is None


def test_a_profile_never_shows_its_token():
    assert "secret-token" not in repr(profile())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://lab.example.org:14807", "ann@lab.example.org"),
        ("https://lab.example.org:999", "ann@lab.example.org:999"),
    ],
)
def test_a_login_is_named_after_user_and_host(url, name):
    assert profile_name("ann", url) == name


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("lab.example.org", "https://lab.example.org:14807"),
        ("lab:999", "https://lab:999"),
        ("https://lab", "https://lab:14807"),
        ("https://[::1]:999/", "https://[::1]:999"),
    ],
)
def test_an_address_gets_its_scheme_and_port(text, url):
    assert server_url(text) == url


@pytest.mark.parametrize("text", ["http://lab", "lab.cpc", "a/b", "https://lab:port", "https://"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadSettings, match=r"https://host:14807"):
        server_url(text)
