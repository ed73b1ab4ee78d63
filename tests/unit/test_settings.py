"""Settings: what wins over what, and what is refused with which words."""

from __future__ import annotations

import pytest

from copernicus.errors import BadSettings
from copernicus.settings import SETTINGS_FILE, ServerSettings, load_settings, settings_toml


def test_defaults_without_a_file(tmp_path):
    assert load_settings(tmp_path, {}, {}) == ServerSettings()


def test_arguments_win_over_environment_over_file(tmp_path):
    text = settings_toml(
        {"lease_s": 90, "heartbeat_s": 10.0, "names": ["a", 'b"\\'], "log_json": True}
    )
    (tmp_path / SETTINGS_FILE).write_text(text)
    environment = {"CPC_HEARTBEAT_S": "11", "CPC_EVALUATORS": "3", "CPC_NOT_OURS": "x", "HOME": "/"}
    found = load_settings(tmp_path, {"evaluators": 4, "host": None}, environment)
    assert (found.lease_s, found.heartbeat_s, found.evaluators) == (90.0, 11.0, 4)
    assert found.names == ("a", 'b"\\')
    assert found.log_json


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"lease_s": 10.0}, "lease_s is 10.0, but must be at least twice heartbeat_s"),
        ({"user_port": 13807}, "another port than machine_port"),
        ({"machine_port": 70000}, "a port, 0 to 65535"),
        ({"evaluators": 0}, "evaluators is 0, but must be more than 0"),
        ({"evaluators": "two"}, "evaluators is 'two', but must be of type int"),
        ({"evaluators": True}, "must be of type int"),
        ({"names": "host"}, "must be a list of texts"),
        ({"log_level": "loud"}, "debug, info, warning or error"),
        ({"leas_s": 1}, "there is no setting 'leas_s'"),
    ],
)
def test_wrong_settings_are_named_with_the_remedy(tmp_path, overrides, said):
    with pytest.raises(BadSettings, match=said):
        load_settings(tmp_path, overrides, {})


def test_a_wrong_variable_or_file_is_named(tmp_path):
    with pytest.raises(BadSettings, match="CPC_LEASE_S: lease_s is 'soon'"):
        load_settings(tmp_path, {}, {"CPC_LEASE_S": "soon"})
    (tmp_path / SETTINGS_FILE).write_text("lease_s = ")
    with pytest.raises(BadSettings, match="not valid TOML"):
        load_settings(tmp_path, {}, {})


def test_both_ports_may_be_free_ones(tmp_path):
    found = load_settings(tmp_path, {"machine_port": 0, "user_port": 0}, {})
    assert (found.machine_port, found.user_port) == (0, 0)
