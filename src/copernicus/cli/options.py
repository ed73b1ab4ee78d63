"""Options that many commands have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

_GROUP = "Common options"


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class Local:
    """Of commands that ask no server."""

    json: Annotated[bool, Parameter(show_default=False)] = False
    """Print JSON instead of text."""


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class AtServer(Local):
    """Of commands that ask a server."""

    profile: Annotated[str | None, Parameter(env_var="CPC_PROFILE", show_env_var=False)] = None
    """Login to use (cpc profile list); default: the current one."""

    on: Annotated[str | None, Parameter(env_var="CPC_ON", show_env_var=False)] = None
    """A peer of that server (its id): work there, through the server."""


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class InProject(AtServer):
    """Of commands that look at or change a project."""

    project: Annotated[
        str | None, Parameter(name=["--project", "-p"], env_var="CPC_PROJECT", show_env_var=False)
    ] = None
    """The project; default: the current one (cpc project use)."""


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class InEdit(InProject):
    """Of commands that change what is in a project."""

    preview: Annotated[bool, Parameter(show_default=False)] = False
    """Change nothing: say what would run again, be cancelled or retired, and what it would cost."""


LOCAL = Local()
AT_SERVER = AtServer()
IN_PROJECT = InProject()
IN_EDIT = InEdit()
