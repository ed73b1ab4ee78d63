"""The whole API with generated requests, as everybody: no 5xx, no leak, refusals in form.

``schemathesis`` makes the requests from the OpenAPI description: such as fit it, and such as do
not. The seed is fixed, so a failure comes again; ``--fuzz-inputs`` makes it longer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.schemas import OpenApiSchema

from support.everybody import CALLERS, PROJECT, World, running_world
from support.server_client import User

SECRET = "canary-of-a-project-of-others"
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
# These end the callers' own logins; the matrix of routes tries them.
LEFT_OUT = ("/v1/logout", "/v1/me/password")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("fuzzed"), {"max_wait_s": 0.1}) as made:
        made.admin.call("POST", "/v1/projects", {"name": SECRET})
        yield made


@pytest.fixture(scope="module")
def description(world) -> OpenApiSchema:
    return schemathesis.openapi.from_dict(world.admin.get("/schema/openapi.json"))


@pytest.mark.timeout(600)
def test_no_generated_request_breaks_the_server_or_tells_secrets(world, description, pytestconfig):
    wanted = pytestconfig.getoption("--fuzz-inputs")
    operations = [
        operation.ok()
        for operation in description.get_all_operations()
        if operation.ok().path.startswith("/v1/") and operation.ok().path not in LEFT_OUT
    ]
    assert len(operations) > 50
    each = max(wanted // (len(operations) * len(MODES)), 1)
    sent = 0
    for operation in operations:
        for mode in MODES:
            sent += attack(world, operation, mode, each)
    print(f"{sent} requests to {len(operations)} operations")
    assert sent >= min(wanted, 1000) * 0.6
    assert world.admin.get("/v1/health")["server_id"]
    log = world.server.folder / "server.log"
    assert not log.exists() or "bug" not in log.read_text()


def attack(world: World, operation: Any, mode: GenerationMode, number: int) -> int:
    sent = 0

    @seed(20_260_000)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def one(case: Any, data: st.DataObject) -> None:
        nonlocal sent
        if "project" in case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["project"] = PROJECT
        caller = data.draw(st.sampled_from(CALLERS))
        user = world.users[caller.name]
        reply = send(user, case)
        sent += 1
        if reply is None:
            return
        status, text = reply
        where = f"{caller.name}: {case.method} {case.formatted_path}: {status} {text[:300]}"
        assert status < 500, where
        if status >= 400 and case.method != "HEAD":
            assert set(json.loads(text)) == {"code", "message"}, where
        if caller.name != "admin":
            assert SECRET not in text, where

    try:
        one()
    except Exception as error:
        if type(error).__name__ == "Unsatisfiable":
            return sent
        raise
    return sent


def send(user: User, case: Any) -> tuple[int, str] | None:
    """Status and text of the answer; None for what no client can put on the wire."""
    given = case.as_transport_kwargs(base_url=str(user.http.base_url))
    headers = {k: v for k, v in (given.get("headers") or {}).items() if k.lower() != "user-agent"}
    if user.token:
        headers["Authorization"] = f"Bearer {user.token}"
    content = given.get("data")
    if given.get("json") is not None:
        content = json.dumps(given["json"]).encode("utf-8", "replace")
    try:
        request = user.http.build_request(
            given["method"],
            given["url"],
            params=given.get("params"),
            headers=headers,
            content=content if isinstance(content, bytes | str) else None,
        )
    except (httpx2.InvalidURL, UnicodeError, TypeError, ValueError):
        return None
    for attempt in (1, 2):
        try:
            reply = user.http.send(request, stream=True)
            break
        except httpx2.LocalProtocolError:
            return None
        except httpx2.RemoteProtocolError:
            if attempt == 2:
                raise
    try:
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            return reply.status_code, ""
        return reply.status_code, reply.read().decode("utf-8", "replace")
    finally:
        reply.close()
