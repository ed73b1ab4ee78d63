"""Every error as an ``ErrorBody``, in the form that the port speaks; bugs only by an id."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, SerializationException, ValidationException

from copernicus.errors import CopernicusError
from copernicus.protocol import ErrorBody
from copernicus.telemetry import get_logger

_LOG = get_logger("http")
_CODES = {401: "not_authenticated", 403: "not_allowed", 404: "not_found", 413: "too_large"}

AnyRequest = Request[Any, Any, Any]
# What was wrong is often part of the message, and as long as somebody likes.
_LONGEST = 4000
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Handler = Callable[[AnyRequest, Any], Response[Any]]


def refusal_handlers(media_type: MediaType) -> dict[int | type[Exception], Handler]:
    """The exception handlers of a port that speaks ``media_type``."""

    def answer(status: int, code: str, message: str) -> Response[Any]:
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]} ..."
        return Response(
            ErrorBody(code, message),
            status_code=status,
            media_type=media_type,
            headers=PAGE_HEADERS,
        )

    def ours(_request: AnyRequest, error: CopernicusError) -> Response[Any]:
        if error.status == 500:
            _LOG.error("failed", code=error.code, reason=error.message)
        return answer(error.status, error.code, error.message)

    def of_http(_request: AnyRequest, error: HTTPException) -> Response[Any]:
        code = _CODES.get(error.status_code, "bad_request")
        return answer(error.status_code, code, _sentence(error))

    def malformed(_request: AnyRequest, error: Exception) -> Response[Any]:
        if isinstance(error, RecursionError):
            return answer(400, "bad_request", "The request is nested too deeply.")
        return answer(400, "bad_request", f"The request cannot be read: {error}")

    def bug(request: AnyRequest, error: Exception) -> Response[Any]:
        name = secrets.token_hex(4)
        _LOG.error("bug", id=name, method=request.method, path=request.url.path, exc_info=error)
        message = f"This is a bug of the server; its log has more under {name}."
        return answer(500, "internal", message)

    return {
        CopernicusError: ours,
        HTTPException: of_http,
        SerializationException: malformed,
        msgspec.DecodeError: malformed,
        UnicodeDecodeError: malformed,
        RecursionError: malformed,
        Exception: bug,
    }


def _sentence(error: HTTPException) -> str:
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        wrong = [f"{_place(one)}: {one.get('message', '')}" for one in error.extra]
        return "The request cannot be read: " + "; ".join(wrong)
    return error.detail


def _place(one: dict[str, Any]) -> str:
    return str(one.get("key") or one.get("source") or "the body")
