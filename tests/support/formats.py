"""A small server's database in the format of now, kept for the tests of all versions to come.

``python -m support.formats FOLDER`` (in ``tests``) writes ``NNNN.sql``, the database as text, and
``NNNN.json``, what must always be read from it. Written once for each format, never again.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from copernicus.engine.core import fold
from copernicus.evaluator.runner import Evaluation
from copernicus.evaluator.service import describe
from copernicus.model import edits as ed
from copernicus.model.effects import DescribeJob, Evaluate, SendAnswer
from copernicus.model.jobs import StoredFile
from copernicus.model.reports import Described, Rested
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.protocol import (
    Beat,
    CheckpointRequest,
    HeartbeatRequest,
    LeaseRequest,
    ResultRequest,
    WorkerFacts,
)
from copernicus.scheduling import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server import attempts
from copernicus.server.batch import Batch
from copernicus.server.holdings import Holdings
from copernicus.store import Store
from copernicus.store.folder import DATABASE
from copernicus.store.records import UserRecord, WorkerRecord
from copernicus.store.schema import FORMAT
from support.simulation.functions import DISCOVERY, compute

FUNCTIONS = {function.spec.entry: function for function in DISCOVERY.functions().values()}
WORKER = WorkerInfo("w1", "host-a")


class _Maker:
    """A server without ports: every step is a transaction."""

    def __init__(self, store: Store, put: Callable[[bytes], str] | None = None) -> None:
        self.store = store
        self._put = put or (lambda data: sha256(data).hexdigest())
        self.now = 1_000_000_000.0
        self.holdings = Holdings(SchedulerSettings())
        self.holdings.load(store, self.now)
        self.holdings.catalog = DISCOVERY.catalog()
        self.evaluations: dict[str, Evaluation] = {}
        self.asked = 0

    def do(self, change: Any) -> Any:
        self.now += 1.0
        batch = Batch(self.holdings, self.store, self.now)
        found = change(batch)
        batch.settle()
        batch.write_to(self.store)
        for project, effect in batch.outside:
            self._carry_out(project, effect)
        return found

    def _carry_out(self, project: str, effect: Any) -> None:
        match effect:
            case DescribeJob():
                command, failure = describe(FUNCTIONS[effect.entry], effect.inputs)
                report: Any = Described(effect.activation, command, failure)
            case Evaluate(start=start):
                self.evaluations[start.path] = Evaluation(start, FUNCTIONS[start.entry])
                report = Rested(self.evaluations[start.path].run())
            case SendAnswer():
                report = Rested(self.evaluations[effect.path].answer(effect.answer))
            case _:
                return
        self.do(lambda batch: batch.report(project, report))

    def edit(self, *edits: ed.Edit) -> None:
        self.do(lambda batch: batch.edit(self.holdings.projects.get("old"), edits, "ann"))

    def lease(self) -> Any:
        self.asked += 1
        programs = (ProgramOffer("sim", "1"), ProgramOffer("module/s", "1"))
        request = LeaseRequest(f"r{self.asked}", Offer(programs, 1, memory_mb=1000))
        found = self.do(lambda batch: attempts.lease(batch, WORKER, request))
        return found[0] if found else None

    def finish(self, grant: Any) -> None:
        spec = grant.spec
        inputs = spec.task.inputs if spec.task else json.loads(spec.command.files[0].text)
        outputs = {**compute(spec.function, inputs), "by": grant.attempt}
        if spec.command:
            data = f"result of {grant.attempt}".encode()
            outputs["file"] = {"$file": self._put(data), "size": len(data), "name": "f"}
        ended = ResultRequest(grant.attempt, 9, "completed", outputs)
        self.do(lambda batch: attempts.result(batch, WORKER.id, ended))

    def half_done(self, grant: Any) -> None:
        """A job that runs, with a checkpoint."""
        beats = HeartbeatRequest((Beat(grant.attempt, 1),))
        self.do(lambda batch: attempts.heartbeat(batch, WORKER.id, beats))
        files = (StoredFile("c", self._put(b"state"), 5),)
        point = CheckpointRequest(grant.attempt, 2, grant.spec.checkpoint_key, files, 4.0)
        self.do(lambda batch: attempts.checkpoint(batch, WORKER.id, point))


def make(folder: Path) -> None:
    """A server with one project, in a new folder."""
    with Store.open(folder, create=True) as store:
        fill_project(_Maker(store))


def fill_project(maker: _Maker) -> None:
    """A project that has lived: results, a workflow, a job under way, one that waits, edits."""
    ann = UserRecord("ann", "no password", admin=True, created=maker.now)
    facts = WorkerFacts(host="host-a", cores=4, memory_mb=8000)
    worker = WorkerRecord("w1", "host-a", "default", facts, "f" * 64, maker.now, maker.now)

    def begin(batch: Batch) -> None:
        batch.holdings.accounts.add(ann)
        batch.write(lambda tx: tx.add_user(ann))
        batch.write(lambda tx: tx.save_worker(worker))
        batch.audit("ann", "127.0.0.1", "project.create", "old")
        batch.create_project("p1", "old", "ann", 1)

    maker.do(begin)
    maker.edit(ed.AddInstance("run", "s.run", ("conf",), held=False))
    maker.edit(ed.SetInput("run.in.conf", [1, 2, 3]), ed.SetInput("run.in.n", 8))
    maker.edit(
        ed.AddInstance("ad", "s.adaptive", held=False),
        ed.SetInput("ad.in.starts", [4]),
        ed.SetInput("ad.in.generations", 2),
    )
    for _ in range(6):
        maker.finish(maker.lease())
    maker.edit(ed.SetInput("run.in.n", 16))
    maker.edit(ed.RenameInstance("run", "walk"))
    maker.half_done(maker.lease())
    maker.edit(ed.Skip("walk[2]"))


def summary(store: Store) -> dict[str, Any]:
    """What must be read from it for ever, whatever else is known of it later."""
    told = {}
    for record in store.projects():
        state = fold(store.load_project(record.id))
        told[record.name] = {
            "owner": record.owner,
            "position": record.position,
            "revision": record.revision,
            "instances": {p: i.function for p, i in sorted(state.instances.items())},
            "current": sorted(
                [path, str(number)]
                for path, instance in state.instances.items()
                for number, element in enumerate(instance.listed())
                if element.current
            ),
            "activations": {
                made.id: [made.path, made.outcome, made.inputs, made.outputs]
                for made in state.activations.values()
            },
            "jobs": {
                row.id: [row.state, row.attempts, [a.outcome for a in store.attempts(row.id)]]
                for row in store.jobs(record.id)
            },
            "checkpoints": [
                [ref.job, ref.step, [f.sha256 for f in ref.files]]
                for row in store.checkpoints(record.id)
                for ref in row.refs
            ],
        }
    users = [user.name for user in store.users()]
    return {"projects": told, "users": users, "workers": [w.id for w in store.workers()]}


def main() -> None:
    place = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "server"
        make(folder)
        with Store.open(folder) as store:
            told = summary(store)
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            text = "\n".join(database.iterdump())
    (place / f"{FORMAT:04}.sql").write_text(text + "\n")
    (place / f"{FORMAT:04}.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
