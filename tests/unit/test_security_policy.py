"""Who may do what."""

import pytest

from copernicus.errors import BadValue, NotAllowed, NotAuthenticated
from copernicus.security.policy import (
    ADMIN_ACTIONS,
    ANONYMOUS,
    ATTEMPT_ACTIONS,
    PROJECT_ACTIONS,
    PUBLIC_ACTIONS,
    USER_ACTIONS,
    WORKER_ACTIONS,
    Action,
    Principal,
    Role,
    authorize,
    is_allowed,
)

ANNA, ADMIN, WORKER = (
    Principal.user("anna"),
    Principal.user("root", admin=True),
    Principal.worker("w-01"),
)


def allowed(principal, role=None, **holds) -> set[Action]:
    return {action for action in Action if is_allowed(principal, action, role, **holds)}


def test_every_action_is_in_exactly_one_table():
    tables = [
        PUBLIC_ACTIONS,
        USER_ACTIONS,
        ADMIN_ACTIONS,
        set(PROJECT_ACTIONS),
        WORKER_ACTIONS,
        ATTEMPT_ACTIONS,
    ]
    assert sum(map(len, tables)) == len(Action)
    assert set().union(*tables) == set(Action)


def test_strangers_get_only_what_is_public():
    assert allowed(ANONYMOUS) == PUBLIC_ACTIONS
    assert allowed(ANONYMOUS, Role.OWNER, holds_attempt=True) == PUBLIC_ACTIONS


def test_a_user_without_a_role_sees_no_project():
    assert allowed(ANNA) == PUBLIC_ACTIONS | USER_ACTIONS


@pytest.mark.parametrize("role", Role)
def test_a_role_includes_the_lower_ones(role):
    in_projects = {action for action, needed in PROJECT_ACTIONS.items() if needed <= role}
    assert allowed(ANNA, role) == PUBLIC_ACTIONS | USER_ACTIONS | in_projects


def test_what_each_role_adds():
    def added(role, below):
        return allowed(ANNA, role) - allowed(ANNA, below)

    assert added(Role.VIEWER, None) == {Action.SEE_PROJECT, Action.DOWNLOAD}
    assert added(Role.EDITOR, Role.VIEWER) == {
        Action.EDIT_PROJECT,
        Action.RUN_PROJECT,
        Action.CANCEL_JOB,
    }
    assert added(Role.OWNER, Role.EDITOR) == {
        Action.SHARE_PROJECT,
        Action.DELETE_PROJECT,
        Action.EXPORT_PROJECT,
        Action.REMOVE_FILES,
    }


def test_an_administrator_does_all_but_a_worker_s_part():
    assert allowed(ADMIN, holds_attempt=True) == set(Action) - WORKER_ACTIONS - ATTEMPT_ACTIONS


def test_a_worker_touches_only_what_it_holds():
    assert allowed(WORKER) == PUBLIC_ACTIONS | WORKER_ACTIONS
    assert allowed(WORKER, Role.OWNER) == PUBLIC_ACTIONS | WORKER_ACTIONS
    held = PUBLIC_ACTIONS | WORKER_ACTIONS | ATTEMPT_ACTIONS
    assert allowed(WORKER, holds_attempt=True) == held


def test_an_administrator_flag_means_nothing_but_for_users():
    assert allowed(Principal(WORKER.kind, "w", admin=True)) == allowed(WORKER)
    assert allowed(Principal(ANONYMOUS.kind, "", admin=True)) == PUBLIC_ACTIONS


def test_a_refusal_says_who_and_what():
    authorize(ANNA, Action.EDIT_PROJECT, Role.EDITOR)
    with pytest.raises(NotAllowed, match="User anna may not change this project") as refused:
        authorize(ANNA, Action.EDIT_PROJECT, Role.VIEWER)
    assert "cpc project grant anna editor" in refused.value.message
    with pytest.raises(NotAllowed, match="may not make worker bundles: only administrators may"):
        authorize(ANNA, Action.MAKE_BUNDLE)
    with pytest.raises(NotAllowed, match=r"Worker w-01 may not do attempt\.result"):
        authorize(WORKER, Action.REPORT_RESULT)
    with pytest.raises(NotAuthenticated, match="Log in"):
        authorize(ANONYMOUS, Action.LIST_PROJECTS)


@pytest.mark.parametrize("role", Role)
def test_a_role_is_read_as_it_is_written(role):
    assert Role.named(role.label) is role
    with pytest.raises(BadValue, match="not a role"):
        Role.named(role.name)


def test_every_refusal_to_a_user_is_in_words():
    for action in {*PROJECT_ACTIONS, *ADMIN_ACTIONS} - {Action.SEE_PROJECT}:
        with pytest.raises(NotAllowed) as refused:
            authorize(ANNA, action)
        assert action.value not in refused.value.message
