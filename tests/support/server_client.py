"""Real requests over real TLS to a real server: as a user, and as a worker."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from copernicus.blobs import manifest_of
from copernicus.blobs.chunks import split
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Checkpoint, Command, Done, Line, Output, Placed
from copernicus.model.resources import Offer, ProgramNeed, ProgramOffer
from copernicus.model.types import FileType, IntType, StrType
from copernicus.protocol import (
    Assignment,
    Beat,
    Certificate,
    CheckpointRequest,
    HeartbeatReply,
    HeartbeatRequest,
    JoinRequest,
    LeaseReply,
    LeaseRequest,
    ResultReply,
    ResultRequest,
    WorkerFacts,
)
from copernicus.security.files import write_private
from copernicus.security.identity import make_key_and_csr
from copernicus.security.tls import client_context
from copernicus.server.embedded import EmbeddedServer

PASSWORD = "correct horse battery"
_REQUESTS = itertools.count()


def ca_of(server: EmbeddedServer) -> str:
    return (server.folder / "identity" / "ca.pem").read_text()


def to_the_end(events: Iterator[dict]) -> list[dict]:
    """What still comes in a stream that ends with a right.

    It ends in form, or by a cut where a busy machine does not come to that within half a second.
    """
    seen = []
    with suppress(httpx2.RemoteProtocolError):
        for event in events:
            seen.append(event)  # noqa: PERF402 - a cut must not lose what came before it
    return seen


class User:
    """Somebody at the user port."""

    def __init__(self, server: EmbeddedServer, name: str = "", password: str = PASSWORD) -> None:
        self.http = httpx2.Client(
            base_url=server.user_url,
            verify=client_context(ca_of(server)),
            timeout=30,
            trust_env=False,
        )
        self.token = ""
        if name:
            reply = self.call("POST", "/v1/login", {"user": name, "password": password})
            self.token = reply["token"]

    def send(self, method: str, path: str, body=None, **more) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        content = more.pop("content", None)
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        return self.http.request(method, path, content=content, headers=headers, **more)

    def call(self, method: str, path: str, body=None, **more):
        reply = self.send(method, path, body, **more)
        assert reply.status_code < 300, (method, path, reply.status_code, reply.text)
        return json.loads(reply.content) if reply.content else None

    def get(self, path: str, /, **params):
        return self.call("GET", path, params=params)

    def refused(self, status: int, code: str, method: str, path: str, body=None, **more) -> str:
        reply = self.send(method, path, body, **more)
        assert reply.status_code == status, (reply.status_code, reply.text)
        error = json.loads(reply.content)
        assert error["code"] == code, error
        return error["message"]

    def edit(self, project: str, *edits, **more):
        body = {"edits": list(edits), **more}
        return self.call("POST", f"/v1/projects/{project}/edits", body)

    def upload(self, project: str, data: bytes, name: str = "file") -> dict:
        manifest = manifest_of(io.BytesIO(data))
        digest, root = manifest.sha256, f"/v1/projects/{project}"
        pieces = dict(zip((chunk.sha256 for chunk in manifest.chunks), split([data]), strict=True))
        missing = self.call("POST", f"{root}/blobs/missing", {"chunks": list(pieces)})
        for chunk in missing["chunks"]:
            self.call("PUT", f"{root}/chunks/{chunk}", content=pieces[chunk])
        self.call("POST", f"{root}/blobs", manifest)
        return {"$file": digest, "size": len(data), "name": name}

    @contextmanager
    def events(self, project: str, **more) -> Iterator[Iterator[dict]]:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        path = f"/v1/projects/{project}/events"
        with self.http.stream("GET", path, headers=headers, params=more) as reply:
            assert reply.status_code == 200, reply.read()
            yield _sse(reply)

    def metric(self, name: str, *, uncounted: float | None = None, **labels: str) -> float:
        """One of the server's metrics by its whole name; what there is not is an error.

        With labels, a counter appears when it is first counted: before that it is ``uncounted``.
        """
        reply = self.send("GET", "/v1/metrics")
        assert reply.status_code == 200, (reply.status_code, reply.text)
        families = list(text_string_to_metric_families(reply.text))
        samples = [each for family in families for each in family.samples if each.name == name]
        found = [each.value for each in samples if each.labels == labels]
        if not found and uncounted is not None:
            assert name in {f"{f.name}_total" for f in families if f.type == "counter"}, name
            return uncounted
        assert len(found) == 1, (name, labels, [each.labels for each in samples])
        return float(found[0])

    def close(self) -> None:
        self.http.close()


def _sse(reply: httpx2.Response) -> Iterator[dict]:
    fields: dict[str, str] = {}
    for line in reply.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            entry = json.loads(fields["data"])
            assert fields["event"] == entry["kind"]
            assert fields.get("id", "0") == str(entry["position"])
            yield entry
            fields = {}
        else:
            fields = {}


class ScriptedWorker:
    """A worker that does what the test says."""

    def __init__(
        self, server: EmbeddedServer, admin: User, folder: Path, host: str = "host"
    ) -> None:
        bundle = admin.call("POST", "/v1/bundles", {"pool": "default", "uses": 1, "days": 1})
        key, csr = make_key_and_csr()
        facts = WorkerFacts(host, cores=4)
        anyone = User(server)
        reply = anyone.call("POST", "/v1/join", JoinRequest(bundle["join_token"], csr, facts))
        anyone.close()
        self.identity = msgspec.convert(reply, Certificate)
        self.id = self.identity.worker_id
        self.key = key
        self.show(server, folder, self.identity.certificate)

    def show(self, server: EmbeddedServer, folder: Path, certificate: str) -> None:
        """Call the server with this certificate from now on."""
        folder.mkdir(exist_ok=True)
        cert_file, key_file = folder / f"{self.id}.pem", folder / f"{self.id}.key"
        write_private(cert_file, certificate.encode())
        write_private(key_file, self.key.encode())
        context = client_context(ca_of(server), cert_file=cert_file, key_file=key_file)
        self._context = context
        self.http = httpx2.Client(
            base_url=server.machine_url, verify=context, timeout=60, trust_env=False
        )
        self._seq = itertools.count(1)

    def at(self, server: EmbeddedServer) -> None:
        self.http.close()
        self.http = httpx2.Client(
            base_url=server.machine_url, verify=self._context, timeout=60, trust_env=False
        )

    def send(self, path: str, body: object) -> httpx2.Response:
        return self.http.post(f"/v1/work/{path}", content=msgspec.msgpack.encode(body))

    def ask(self, path: str, body: object, kind):
        reply = self.send(path, body)
        assert reply.status_code < 300, (reply.status_code, reply.content)
        return msgspec.msgpack.decode(reply.content, type=kind) if kind else None

    def refused(self, status: int, path: str, body: object) -> dict:
        """What is said; asked once more where the server has just cut the connection."""
        try:
            reply = self.send(path, body)
        except httpx2.TransportError:
            reply = self.send(path, body)
        assert reply.status_code == status, (reply.status_code, reply.content)
        return msgspec.msgpack.decode(reply.content)

    def offer(self, cores: int = 4, program: str = "echo") -> Offer:
        return Offer((ProgramOffer(program, "1.0"),), cores, memory_mb=1000)

    def lease(self, wait_s: float = 10.0, request: str = "", cores: int = 4) -> list[Assignment]:
        request = request or f"r{next(_REQUESTS)}"
        body = LeaseRequest(request, self.offer(cores), wait_s)
        return list(self.ask("lease", body, LeaseReply).assignments)

    def beat(self, *attempts: str, **more) -> HeartbeatReply:
        beats = tuple(Beat(attempt, next(self._seq), **more) for attempt in attempts)
        return self.ask("heartbeat", HeartbeatRequest(beats), HeartbeatReply)

    def complete(self, job: Assignment, outputs: dict, **more) -> str:
        body = ResultRequest(job.attempt, next(self._seq), "completed", outputs, **more)
        return self.ask("result", body, ResultReply).verdict

    def checkpoint(self, job: Assignment, files, step: float) -> None:
        key = job.spec.checkpoint_key
        body = CheckpointRequest(job.attempt, next(self._seq), key, tuple(files), step)
        self.ask("checkpoint", body, None)

    def upload(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        reply = self.http.put(f"/v1/work/chunks/{digest}", content=data)
        assert reply.status_code == 204, reply.content
        return digest

    def close(self) -> None:
        self.http.close()


def echo_function(name: str = "mine.echo") -> FunctionSpec:
    """Text (and a file) in, text out: a function without code."""
    command = Command(
        lines=(Line(("{program}", "{in.text}"), stdout="out.txt"),),
        outputs=(Output("said", "text", "out.txt"),),
        files=(Placed("data.bin", port="data"),),
        checkpoint=Checkpoint(files=("state.cpt",), required=("state.cpt",)),
        done_when=Done(files=("out.txt",)),
    )
    return FunctionSpec(
        name,
        "1",
        "program",
        inputs=(
            Port("text", StrType()),
            Port("data", FileType(), required=False),
            Port("n", IntType(), required=False, default=1),
        ),
        outputs=(Port("said", StrType()),),
        program=ProgramNeed("echo"),
        template=command,
    )


def define(spec: FunctionSpec) -> dict:
    return {"type": "define", "spec": msgspec.to_builtins(spec)}


def add(path: str, function: str = "mine.echo", **more) -> dict:
    return {"type": "add_instance", "path": path, "function": function, "held": False, **more}


def set_input(target: str, value) -> dict:
    return {"type": "set_input", "target": target, "value": value}


def connect(source: str, target: str) -> dict:
    return {"type": "connect", "source": source, "target": target}
