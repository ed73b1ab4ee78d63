"""Logs: one line per happening, with what it belongs to, and never with a secret in it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

_SECRET_NAME = re.compile(
    r"password|token|secret|key_pem|authorization|csr|signature", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"(?:ut_|jt_)[0-9a-f]{16}\.[A-Za-z0-9_-]{43}|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HIDDEN = "[hidden]"


def configure_logging(
    *, level: str = "info", as_json: bool = False, to: TextIO | None = None
) -> None:
    """Set up the logs of this process: coloured text for people, or JSON lines for machines."""
    stream = to or sys.stderr
    renderer: structlog.types.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            cast("int", getattr(logging, level.upper()))
        ),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def ensure_logging(*, level: str, as_json: bool) -> None:
    """Set up the logs, unless the program that this is part of has done so."""
    if not structlog.is_configured():
        configure_logging(level=level, as_json=as_json)


def get_logger(part: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one part of the program."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(part=part))


def _hide_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank out values named like secrets, texts that look like ours, and terminal controls."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = _HIDDEN
        elif isinstance(value, str):
            event[name] = _CONTROL.sub("?", _SECRET_TEXT.sub(_HIDDEN, value))
    return event
