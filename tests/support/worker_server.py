"""A scripted server for worker tests: real TLS on both ports, a queue in memory, real blobs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from copernicus.blobs import BlobStore, Manifest
from copernicus.errors import CopernicusError, NotFound
from copernicus.model.jobs import Command, JobSpec, Line, TaskCall
from copernicus.model.resources import ProgramNeed, Resources
from copernicus.protocol import (
    Assignment,
    Certificate,
    CheckpointRequest,
    Directive,
    ErrorBody,
    HeartbeatReply,
    HeartbeatRequest,
    JoinRequest,
    LeaseReply,
    LeaseRequest,
    MissingReply,
    MissingRequest,
    PartialRequest,
    RenewRequest,
    ResultOutcome,
    ResultReply,
    ResultRequest,
    ResultsReply,
    ResultsRequest,
    Share,
)
from copernicus.security.asgi import peer_certificate, server_config
from copernicus.security.bundle import WorkerBundle, write_worker_bundle
from copernicus.security.identity import verify_worker_certificate
from copernicus.security.renewal import verify_renewal
from copernicus.security.tls import server_context
from support.tls_servers import make_authority, serving, utc_now

PATIENCE_S = 30.0


class Refuse(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, ErrorBody(code, message)


class ScriptedServer:
    """What a test says to it is under its condition; what the worker did can be waited for."""

    def __init__(self, folder: Path) -> None:
        self.authority = make_authority(folder / "authority")
        self.blobs = BlobStore.in_folder(folder / "server-blobs", durable=False)
        self.changed = threading.Condition()
        self.queue: list[Assignment] = []
        self.granted: dict[str, tuple[Assignment, ...]] = {}
        self.offers: list[LeaseRequest] = []
        self.results: dict[str, ResultRequest] = {}
        self.beats: list[HeartbeatRequest] = []
        self.checkpoints: list[CheckpointRequest] = []
        self.directives: dict[str, str] = {}
        self.shares: dict[str, Share] = {}
        self.partials: list[PartialRequest] = []
        self.drain = False
        self.of_the_version_before = False
        self.grants_all = False
        self.grants_along = False
        self.lose_grant_along = False
        self.along: list[LeaseRequest] = []
        self.batches: list[int] = []
        self.joined: list[JoinRequest] = []
        self.renewed: list[tuple[str, RenewRequest]] = []
        self.uploaded: list[str] = []
        self.bytes_uploaded = 0
        self.certificate_life = timedelta(days=1)
        self.certificate_from = timedelta(0)
        self.fail: Callable[[str], None] = lambda path: None
        self.ports: list[int] = []
        self.closing = False
        self.lose_grant = False
        self._polls: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    # --- what tests say ---

    def add(self, *assignments: Assignment) -> None:
        with self.changed:
            self.queue.extend(assignments)
        self.wake()

    def wake(self) -> None:
        for event, loop in list(self._polls.items()):
            loop.call_soon_threadsafe(event.set)

    def wait_for(
        self, condition: Callable[[], bool], what: str = "", seconds: float = PATIENCE_S
    ) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"never: {what}"

    def result(self, attempt: str, seconds: float = PATIENCE_S) -> ResultRequest:
        self.wait_for(lambda: attempt in self.results, f"result of {attempt}", seconds)
        return self.results[attempt]

    def content(self, attempt: str, plain: dict) -> bytes:
        inline = self.results[attempt].inline
        if plain["$file"] in inline:
            return inline[plain["$file"]]
        return b"".join(self.blobs.read(plain["$file"]))

    def bundle(self, path: Path, **changes) -> Path:
        machine, user = self.ports
        fields = {
            "server_id": self.authority.server_id,
            "urls": (f"https://127.0.0.1:{machine}",),
            "join_urls": (f"https://127.0.0.1:{user}",),
            "ca_pem": self.authority.ca_pem,
            "pool": "default",
            "join_token": "jt_test.secret",
            "expires": utc_now() + timedelta(days=1),
        }
        write_worker_bundle(path, WorkerBundle(**{**fields, **changes}))
        return path

    # --- what the worker asks ---

    async def machine_port(self, scope, receive, send) -> None:
        await self._answer(scope, receive, send, self._machine, msgspec.msgpack.encode)

    async def user_port(self, scope, receive, send) -> None:
        await self._answer(scope, receive, send, self._user, msgspec.json.encode)

    async def _answer(self, scope, receive, send, route, encode) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            status, reply = 200, await route(scope, body, receive)
        except Refuse as error:
            status, reply = error.status, error.body
        except CopernicusError as error:
            status, reply = error.status, ErrorBody(error.code, error.message)
        if isinstance(reply, tuple):
            status, reply = reply
        content = reply if isinstance(reply, bytes) else encode(reply)
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        with self.changed:
            self.changed.notify_all()

    async def _user(self, scope, body: bytes, receive):
        self.fail(scope["path"])
        if scope["path"] == "/v1/health":
            return {"server_id": self.authority.server_id}
        if scope["path"] == "/v1/join":
            request = msgspec.json.decode(body, type=JoinRequest)
            self.joined.append(request)
            return self._issue(request.csr, f"w{len(self.joined)}")
        if scope["path"] == "/v1/renew":
            return self._renew("user", msgspec.json.decode(body, type=RenewRequest))
        raise NotFound(scope["path"])

    def _issue(self, csr: str, worker_id: str) -> Certificate:
        since = utc_now() + self.certificate_from
        pem = self.authority.issue_worker(csr, worker_id, self.certificate_life, since)
        return Certificate(worker_id, pem, self.authority.server_id)

    def _renew(self, port: str, request: RenewRequest) -> Certificate:
        known = verify_renewal(
            request.certificate,
            request.csr,
            request.challenge,
            request.signature,
            ca_pem=self.authority.ca_pem,
            now=utc_now(),
        )
        self.renewed.append((port, request))
        return self._issue(request.csr, known.worker_id)

    async def _machine(self, scope, body: bytes, receive):
        verify_worker_certificate(peer_certificate(scope), self.authority.ca_pem, utc_now())
        path, method = scope["path"], scope["method"]
        self.fail(path)
        query = parse_qs(scope["query_string"].decode())
        if path == "/v1/work/lease":
            return await self._lease(msgspec.msgpack.decode(body, type=LeaseRequest), receive)
        if path == "/v1/work/heartbeat":
            return self._beat(msgspec.msgpack.decode(body, type=HeartbeatRequest))
        if path == "/v1/work/checkpoint":
            self.checkpoints.append(msgspec.msgpack.decode(body, type=CheckpointRequest))
            return b""
        if path == "/v1/work/partial":
            self.partials.append(msgspec.msgpack.decode(body, type=PartialRequest))
            return b""
        if path == "/v1/work/result":
            return self._result(msgspec.msgpack.decode(body, type=ResultRequest))
        if path == "/v1/work/results":
            return self._results(msgspec.msgpack.decode(body, type=ResultsRequest))
        if path == "/v1/work/renew":
            return self._renew("machine", msgspec.msgpack.decode(body, type=RenewRequest))
        assert query["attempt"][0]
        if path == "/v1/work/blobs/missing":
            return self._missing(msgspec.msgpack.decode(body, type=MissingRequest))
        if path == "/v1/work/blobs":
            self.blobs.commit(msgspec.msgpack.decode(body, type=Manifest))
            return b""
        name = path.rpartition("/")[2]
        if method == "PUT":
            self.blobs.put_chunk(name, body)
            self.uploaded.append(name)
            self.bytes_uploaded += len(body)
            return b""
        return self._read(name, dict(scope["headers"]).get(b"range"))

    def _read(self, name: str, asked: bytes | None):
        if asked is None:
            return b"".join(self.blobs.read(name))
        first, last = asked.removeprefix(b"bytes=").split(b"-")
        return 206, b"".join(self.blobs.read(name, int(first), int(last) + 1))

    def _missing(self, request: MissingRequest) -> MissingReply:
        blobs = tuple(b for b in request.blobs if not self.blobs.has(b))
        return MissingReply(tuple(self.blobs.missing_chunks(request.chunks)), blobs)

    async def _lease(self, request: LeaseRequest, receive) -> LeaseReply:
        event = asyncio.Event()
        self._polls[event] = asyncio.get_running_loop()
        gone = asyncio.create_task(receive())
        gone.add_done_callback(lambda _: event.set())
        with self.changed:
            self.offers.append(request)
            self.changed.notify_all()
        end = time.monotonic() + request.wait_s
        try:
            while request.request_id not in self.granted and not self.closing:
                event.clear()
                found = () if gone.done() else self._match(request)
                if found:
                    self.granted[request.request_id] = found
                    if self.lose_grant:
                        self.lose_grant = False
                        raise Refuse(503, "busy", "the answer was lost on its way")
                    break
                left = end - time.monotonic()
                if left <= 0 or gone.done():
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), left)
        finally:
            del self._polls[event]
            gone.cancel()
        return LeaseReply(self.granted.get(request.request_id, ()))

    def _match(self, request: LeaseRequest) -> tuple[Assignment, ...]:
        free, found = request.offer.cores, []
        most = request.offer.max_jobs or free
        if self.grants_all:
            free = most = 1000
        names = {program.name for program in request.offer.programs}
        with self.changed:
            for assignment in list(self.queue):
                offered = self.grants_all or assignment.spec.program.name in names
                if assignment.cores <= free and offered:
                    self.queue.remove(assignment)
                    found.append(assignment)
                    free -= assignment.cores
                if not free or len(found) == most:
                    break
        return tuple(found)

    def _beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        self.beats.append(request)
        directives = tuple(
            Directive(
                beat.attempt,
                self.directives.get(beat.attempt, "go"),
                self.shares.get(beat.attempt),
            )
            for beat in request.beats
        )
        return HeartbeatReply(directives, self.drain)

    def _results(self, request: ResultsRequest) -> ResultsReply:
        if self.of_the_version_before:
            raise NotFound("there is no such route")
        self.batches.append(len(request.results))
        taken = tuple(ResultOutcome(self._result(one).verdict) for one in request.results)
        if request.lease is None or not self.grants_along:
            return ResultsReply(taken)
        self.along.append(request.lease)
        found = self._match(request.lease)
        self.granted[request.lease.request_id] = found
        if found and self.lose_grant_along:
            self.lose_grant_along = False
            raise Refuse(503, "busy", "the answer was lost on its way")
        return ResultsReply(taken, LeaseReply(found))

    def _result(self, request: ResultRequest) -> ResultReply:
        with self.changed:
            known = request.attempt in self.results
            self.results[request.attempt] = request
        return ResultReply("already" if known else "accepted")


@contextlib.contextmanager
def scripted_server(folder: Path) -> Iterator[ScriptedServer]:
    server = ScriptedServer(folder)
    authority = folder / "authority"

    # uvicorn takes a bound method for an application of the older, two-step kind.
    async def machine_app(scope, receive, send) -> None:
        await server.machine_port(scope, receive, send)

    async def user_app(scope, receive, send) -> None:
        await server.user_port(scope, receive, send)

    configs = [
        server_config(
            app,
            server_context(authority, require_client_certificate=machine),
            host="127.0.0.1",
            port=0,
        )
        for app, machine in ((machine_app, True), (user_app, False))
    ]
    with serving(configs) as ports:
        server.ports = ports
        try:
            yield server
        finally:
            server.closing = True
            server.wake()


def program_job(
    name: int, command: Command | list[Line], *, program: str = "sh", **fields
) -> Assignment:
    if not isinstance(command, Command):
        command = Command(lines=tuple(command))
    return _assignment(name, program, command=command, **fields)


def task_job(name: int, entry: str, inputs: dict, **fields) -> Assignment:
    return _assignment(name, "module/analysis", task=TaskCall(entry, inputs), **fields)


def _assignment(name: int, program: str, *, command=None, task=None, **fields) -> Assignment:
    spec = JobSpec(
        function="test.job",
        function_version="1",
        program=ProgramNeed(program),
        inputs_digest="0",
        checkpoint_key="key",
        command=command,
        task=task,
        resources=Resources(),
        label=f"job {name}",
    )
    base = {
        "attempt": f"p.a{name}#1",
        "job": f"p.a{name}",
        "number": 1,
        "project": "p",
        "spec": spec,
        "cores": 1,
        "lease_s": 120.0,
        "heartbeat_s": 30.0,
    }
    return Assignment(**{**base, **fields})


def sh(script: str, **fields) -> Line:
    """A line that lets the shell, configured as the program ``sh``, run a script."""
    return Line(("{program}", "-c", script), **fields)


PROGRAMS = '[programs.sh]\ncommand = ["/bin/sh"]\nversion = "1.0"\n'
