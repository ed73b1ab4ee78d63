"""Every command of cpc can be found, understood and tried from its own help."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from copernicus.cli.app import COMMANDS, GROUPS, build
from copernicus.cli.entries import Entry

each_command = pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)


@each_command
def test_help_says_what_it_does_with_an_example(
    entry: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    build()([*entry.name.split(), "--help"], exit_on_error=False, result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    assert " ".join(entry.summary.split()) in said
    assert "Example" in said
    assert all(example.startswith(f"cpc {entry.name}") for example in entry.examples)


@each_command
def test_every_argument_is_described(entry: Entry) -> None:
    module, _, name = entry.target.partition(":")
    function = getattr(import_module(module), name)
    described = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        if parameter != "options":
            assert f"{parameter}: " in described, f"{entry.name} does not describe {parameter}"


def test_every_group_has_commands() -> None:
    owners = {e.name.rpartition(" ")[0] for e in COMMANDS} - {""}
    assert set(GROUPS) == owners | {o.rpartition(" ")[0] for o in owners} - {""}


@each_command
def test_every_command_can_print_json(entry: Entry) -> None:
    module, _, name = entry.target.partition(":")
    options = inspect.signature(getattr(import_module(module), name)).parameters["options"]
    assert options.default.json is False
