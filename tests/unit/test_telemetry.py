"""Logs: lines for machines, without secrets and without terminal controls."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from copernicus.security.tokens import TokenKind, new_token
from copernicus.telemetry import configure_logging, get_logger


@pytest.fixture
def logged():
    stream = io.StringIO()
    configure_logging(level="info", as_json=True, to=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_lines_say_what_they_belong_to(logged):
    get_logger("runtime").info("serving", project="p1")
    get_logger("runtime").debug("too much")
    (line,) = logged()
    assert (line["event"], line["part"], line["project"]) == ("serving", "runtime", "p1")
    assert line["level"] == "info"


def test_fault_50_secrets_are_hidden_by_name_and_by_form(logged):
    token = new_token(TokenKind.USER).text
    log = get_logger("http")
    log.info("login", password="letmein", Authorization="Bearer x", note=f"said {token}!")
    log.error("bug", exc_info=ValueError(f"bad {token}"))
    text = json.dumps(logged())
    assert "letmein" not in text
    assert "Bearer" not in text
    assert token not in text
    assert "said [hidden]!" in text


def test_fault_50_terminal_controls_are_taken_out(logged):
    get_logger("http").info("x", path="/a\x1b[31m\r\nforged line")
    assert logged()[0]["path"] == "/a?[31m?\nforged line"
