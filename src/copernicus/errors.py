"""One tree of errors. Every class has a stable code and an HTTP status; the message is for people.

CopernicusError
├── UserError            somebody asked for what cannot be: say what, where, and the remedy
│   ├── BadValue             a value does not have the type of its port
│   ├── NotFound             the thing named does not exist (or may not be seen)
│   ├── Conflict             it exists, but its state forbids this
│   ├── BadDefinition        a function, module or TOML description is wrong
│   ├── BadSettings          a setting, bundle or folder is wrong
│   ├── UpgradeNeeded        the two sides are too many versions apart
│   └── NotAllowed           known, but without the right
├── NotAuthenticated     no login, no identity, or one that is expired or revoked
├── ServerUnreachable    nothing answers, or what answers is not the server it should be
├── ServerBusy           full disk, stopping: try again later; nothing was lost
└── InternalError        our bug: an id in the log, never the details to the outside
"""

from __future__ import annotations

from typing import ClassVar


class CopernicusError(Exception):
    """Root of every error that Copernicus raises on purpose."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The sentence that is shown to the user."""
        return str(self.args[0]) if self.args else self.__class__.__doc__ or ""


class UserError(CopernicusError):
    """The request cannot be carried out as it was asked."""

    code = "bad_request"
    status = 400


class BadValue(UserError):
    """A value does not have the type of its port."""

    code = "bad_value"
    status = 422


class NotFound(UserError):
    """There is no such thing, or it may not be seen."""

    code = "not_found"
    status = 404


class Conflict(UserError):
    """The present state does not allow this."""

    code = "conflict"
    status = 409


class BadDefinition(UserError):
    """A function, module or TOML description is wrong."""

    code = "bad_definition"
    status = 422


class BadSettings(UserError):
    """A setting, a bundle or a folder is wrong."""

    code = "bad_settings"
    status = 400


class UpgradeNeeded(UserError):
    """The other side speaks another version: upgrade the older one."""

    code = "upgrade_needed"
    status = 426


class NotAllowed(UserError):
    """This identity may not do this."""

    code = "not_allowed"
    status = 403


class NotAuthenticated(CopernicusError):
    """Log in first: there is no valid identity."""

    code = "not_authenticated"
    status = 401
    exit_code = 3


class ServerUnreachable(CopernicusError):
    """The server does not answer, or is not the one that it should be."""

    code = "unreachable"
    status = 502
    exit_code = 4


class ServerBusy(CopernicusError):
    """The server cannot take this now; nothing was lost, try again."""

    code = "busy"
    status = 507


class InternalError(CopernicusError):
    """A bug in Copernicus."""

    code = "internal"
    status = 500


def _walk(cls: type[CopernicusError]) -> list[type[CopernicusError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in _walk(child))]


def error_for_code(code: str) -> type[CopernicusError]:
    """The class that has this stable code (``CopernicusError`` if none has)."""
    return next((cls for cls in _walk(CopernicusError) if cls.code == code), CopernicusError)
