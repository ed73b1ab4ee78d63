"""Who may do what: one pure function over three tables; what no table grants is refused.

An administrator acts as an owner in every project: the server's disk is theirs anyway, and the
audit log tells who did it. A worker never acts in a project, only on the attempts it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from copernicus.errors import BadValue, NotAllowed, NotAuthenticated


class PrincipalKind(StrEnum):
    """How somebody proved who they are."""

    ANONYMOUS = "anonymous"
    USER = "user"
    WORKER = "worker"


class Scope(StrEnum):
    """What a user proved it with may be used for: a login for everything, a token for less."""

    READ = "read"
    EDIT = "edit"
    ALL = "all"
    LOGIN = "login"

    @classmethod
    def of_token(cls, name: str) -> Scope:
        """The scope of a token that is written like this.

        Raises:
            BadValue: no token has it.
        """
        if name not in (cls.READ, cls.EDIT, cls.ALL):
            raise BadValue(f"{name!r} is no scope of a token: read, edit or all.")
        return cls(name)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: ``name`` is the user's name or the worker's id.

    ``project`` is the id of the only project in which a user's token is good; empty: in all.
    """

    kind: PrincipalKind
    name: str = ""
    admin: bool = False
    scope: Scope = Scope.LOGIN
    project: str = ""

    @classmethod
    def user(
        cls, name: str, *, admin: bool = False, scope: Scope = Scope.LOGIN, project: str = ""
    ) -> Principal:
        """Somebody who has logged in, or who shows a token."""
        return cls(PrincipalKind.USER, name, admin, scope, project)

    @classmethod
    def worker(cls, worker_id: str) -> Principal:
        """A worker with a valid certificate."""
        return cls(PrincipalKind.WORKER, worker_id)


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS)


class Role(IntEnum):
    """What a user is in a project; a higher role may do all that a lower one may."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @classmethod
    def named(cls, name: str) -> Role:
        """The role that is written like this.

        Raises:
            BadValue: there is none of that name.
        """
        for role in cls:
            if role.label == name:
                return role
        raise BadValue(f"{name!r} is not a role: viewer, editor or owner.")

    @property
    def label(self) -> str:
        """How it is written: ``viewer``, ``editor`` or ``owner``."""
        return self.name.lower()


class Action(StrEnum):
    """Everything that a route can declare to do."""

    SEE_HEALTH = "health.see"
    LOG_IN = "session.begin"
    JOIN = "worker.join"
    RENEW = "worker.renew"
    JOIN_AS_PEER = "peer.join"
    SEE_PAGES = "pages.see"

    SEE_OWN_ACCOUNT = "account.see"
    END_SESSION = "session.end"
    MANAGE_OWN_ACCOUNT = "account.manage"
    LIST_PROJECTS = "project.list"
    CREATE_PROJECT = "project.create"
    SEE_FUNCTIONS = "function.see"
    SEE_WORKERS = "worker.see"
    SEE_QUEUE = "queue.see"
    REACH_PEER = "peer.reach"

    SEE_PROJECT = "project.see"
    DOWNLOAD = "project.download"
    EDIT_PROJECT = "project.edit"
    RUN_PROJECT = "project.run"
    CANCEL_JOB = "job.cancel"
    SHARE_PROJECT = "project.share"
    EXPORT_PROJECT = "project.export"
    DELETE_PROJECT = "project.delete"
    REMOVE_FILES = "project.collect"

    MANAGE_USERS = "user.manage"
    MANAGE_WORKERS = "worker.manage"
    MANAGE_POOLS = "pool.manage"
    MAKE_BUNDLE = "bundle.make"
    MANAGE_PEERS = "peer.manage"
    READ_AUDIT = "audit.read"
    MANAGE_SERVER = "server.manage"
    SEE_METRICS = "metrics.see"

    LEASE = "attempt.lease"
    HEARTBEAT = "attempt.heartbeat"
    CHECKPOINT = "attempt.checkpoint"
    REPORT_RESULT = "attempt.result"
    READ_ATTEMPT_BLOB = "attempt.blob.read"
    WRITE_ATTEMPT_BLOB = "attempt.blob.write"


PUBLIC_ACTIONS = frozenset(
    {
        Action.SEE_HEALTH,
        Action.LOG_IN,
        Action.JOIN,
        Action.RENEW,
        Action.JOIN_AS_PEER,
        Action.SEE_PAGES,
    }
)
USER_ACTIONS = frozenset(
    {
        Action.SEE_OWN_ACCOUNT,
        Action.END_SESSION,
        Action.MANAGE_OWN_ACCOUNT,
        Action.LIST_PROJECTS,
        Action.CREATE_PROJECT,
        Action.SEE_FUNCTIONS,
        Action.SEE_WORKERS,
        Action.SEE_QUEUE,
        Action.REACH_PEER,
    }
)
ADMIN_ACTIONS = frozenset(
    {
        Action.MANAGE_USERS,
        Action.MANAGE_WORKERS,
        Action.MANAGE_POOLS,
        Action.MAKE_BUNDLE,
        Action.MANAGE_PEERS,
        Action.READ_AUDIT,
        Action.MANAGE_SERVER,
        Action.SEE_METRICS,
    }
)
PROJECT_ACTIONS = {
    Action.SEE_PROJECT: Role.VIEWER,
    Action.DOWNLOAD: Role.VIEWER,
    Action.EDIT_PROJECT: Role.EDITOR,
    Action.RUN_PROJECT: Role.EDITOR,
    Action.CANCEL_JOB: Role.EDITOR,
    Action.SHARE_PROJECT: Role.OWNER,
    Action.EXPORT_PROJECT: Role.OWNER,
    Action.DELETE_PROJECT: Role.OWNER,
    Action.REMOVE_FILES: Role.OWNER,
}
_READ = frozenset(
    {
        Action.SEE_OWN_ACCOUNT,
        Action.END_SESSION,
        Action.LIST_PROJECTS,
        Action.SEE_FUNCTIONS,
        Action.SEE_WORKERS,
        Action.SEE_QUEUE,
        Action.SEE_PROJECT,
        Action.DOWNLOAD,
        Action.SEE_METRICS,
    }
)
_EDIT = _READ | {
    Action.CREATE_PROJECT,
    Action.EDIT_PROJECT,
    Action.RUN_PROJECT,
    Action.CANCEL_JOB,
}
_ALL = frozenset({*USER_ACTIONS, *ADMIN_ACTIONS, *PROJECT_ACTIONS})
SCOPE_ACTIONS = {
    Scope.READ: _READ,
    Scope.EDIT: _EDIT,
    # A token that was stolen must not be able to make others, or to lock its owner out.
    Scope.ALL: _ALL - {Action.MANAGE_OWN_ACCOUNT},
    Scope.LOGIN: _ALL,
}
OUTSIDE_PROJECTS = _READ & USER_ACTIONS
"""What a token for one project may do beside what it may there."""

WORKER_ACTIONS = frozenset({Action.LEASE})
ATTEMPT_ACTIONS = frozenset(
    {
        Action.HEARTBEAT,
        Action.CHECKPOINT,
        Action.REPORT_RESULT,
        Action.READ_ATTEMPT_BLOB,
        Action.WRITE_ATTEMPT_BLOB,
    }
)


def authorize(
    principal: Principal,
    action: Action,
    role_in_project: Role | None = None,
    *,
    holds_attempt: bool = False,
) -> None:
    """Return if this is allowed.

    Args:
        principal: who asks.
        action: what they want to do.
        role_in_project: what a user is in the project that the action is about, if anything.
        holds_attempt: True if the worker holds the attempt that the action is about.

    Raises:
        NotAuthenticated: nobody in particular asks for what needs a name.
        NotAllowed: known, but without the right.
    """
    if is_allowed(principal, action, role_in_project, holds_attempt=holds_attempt):
        return
    if principal.kind is PrincipalKind.ANONYMOUS:
        raise NotAuthenticated("Log in first.")
    raise NotAllowed(_refusal(principal, action, role_in_project))


_WORDS = {
    Action.DOWNLOAD: "fetch files of this project",
    Action.EDIT_PROJECT: "change this project",
    Action.RUN_PROJECT: "run this project",
    Action.CANCEL_JOB: "cancel jobs of this project",
    Action.SHARE_PROJECT: "share this project",
    Action.EXPORT_PROJECT: "save this project",
    Action.DELETE_PROJECT: "delete this project",
    Action.REMOVE_FILES: "change which files this project keeps",
    Action.MANAGE_OWN_ACCOUNT: "change its account",
    Action.CREATE_PROJECT: "make projects",
    Action.REACH_PEER: "go through this server to a peer",
    Action.MANAGE_USERS: "manage users",
    Action.MANAGE_WORKERS: "manage workers",
    Action.MANAGE_POOLS: "manage pools",
    Action.MAKE_BUNDLE: "make worker bundles",
    Action.MANAGE_PEERS: "manage peers",
    Action.READ_AUDIT: "read the audit log",
    Action.MANAGE_SERVER: "manage the server",
    Action.SEE_METRICS: "see the metrics",
}


def _refusal(principal: Principal, action: Action, role: Role | None) -> str:
    """Who may not do what, and who could help."""
    what = _WORDS.get(action, f"do {action.value}")
    said = f"{principal.kind.capitalize()} {principal.name} may not {what}"
    if principal.kind is not PrincipalKind.USER:
        return f"{said}."
    needed = PROJECT_ACTIONS.get(action)
    if action not in SCOPE_ACTIONS[principal.scope] or not _in_reach(principal, action):
        where = " in one project" if principal.project else ""
        return (
            f"{said} with this token, whose scope is {principal.scope.value}{where}: log in, or "
            "make another token (cpc user token create)"
        )
    if needed is None:
        return f"{said}: only administrators may; ask one, or log in as one (cpc login --user NAME)"
    is_now = f", not a {role.label}" if role is not None else ""
    return (
        f"{said}: that needs its {needed.label}{is_now}; ask an owner for "
        f"cpc project grant {principal.name} {needed.label}"
    )


def is_allowed(
    principal: Principal,
    action: Action,
    role_in_project: Role | None = None,
    *,
    holds_attempt: bool = False,
) -> bool:
    """True if ``authorize`` would return, for showing or hiding a button."""
    if action in PUBLIC_ACTIONS:
        return True
    if principal.kind is PrincipalKind.USER:
        return _user_may(principal, action, role_in_project)
    if principal.kind is PrincipalKind.WORKER:
        return action in WORKER_ACTIONS or (holds_attempt and action in ATTEMPT_ACTIONS)
    return False


def _in_reach(user: Principal, action: Action) -> bool:
    return not user.project or action in PROJECT_ACTIONS or action in OUTSIDE_PROJECTS


def _user_may(user: Principal, action: Action, role: Role | None) -> bool:
    if action not in SCOPE_ACTIONS[user.scope] or not _in_reach(user, action):
        return False
    if action in USER_ACTIONS:
        return True
    if action in ADMIN_ACTIONS:
        return user.admin
    needed = PROJECT_ACTIONS.get(action)
    if needed is None:
        return False
    return user.admin or (role is not None and role >= needed)
