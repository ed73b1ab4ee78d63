"""The scheduler against a model of a few lines: what each job's end must be, step by step."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from copernicus.errors import Conflict, NotAllowed
from support.scheduling import Desk, offer, spec

JOBS = [f"{project}.a{number}" for project in "pq" for number in range(3)]
WORKERS = ["w1", "w2", "w3"]


class SchedulerMachine(RuleBasedStateMachine):
    """``holder`` is who was granted what; ``result`` the first completed result of each job."""

    @initialize()
    def start(self):
        self.desk = Desk()
        self.versions = dict.fromkeys(JOBS, 0)
        self.wanted = {}
        self.holder = {}
        self.result = {}
        self.failed = set()
        self.values = 0

    @rule(job=st.sampled_from(JOBS), cores=st.integers(1, 3), held=st.booleans())
    def submit(self, job, cores, held):
        if job not in self.wanted:
            self.versions[job] += 1
            wanted = spec(job, checkpoint=cores != 3, cores=cores, job_errors=1, worker_losses=1)
            self.desk.submit(job, wanted, version=self.versions[job], on_hold=held)
            self.wanted[job] = True

    @rule(job=st.sampled_from(JOBS), checkpoint=st.booleans())
    def cancel(self, job, checkpoint):
        self.versions[job] += 1
        self.desk.cancel(job, version=self.versions[job], checkpoint=checkpoint)
        self.wanted[job] = False

    @rule(worker=st.sampled_from(WORKERS), cores=st.integers(1, 4))
    def lease(self, worker, cores):
        found = self.desk.lease(worker, offer(cores))
        assert sum(one.cores for one in found) <= cores
        for one in found:
            assert one.attempt not in self.holder
            assert self.wanted[one.job]
            assert one.job not in self.result
            self.holder[one.attempt] = (worker, one)

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def beat(self, data):
        worker, one = self._someone(data)
        if self.desk.beat(one, worker) == "go":
            assert self.wanted[one.job]
            assert one.job not in self.result

    @precondition(lambda self: self.holder)
    @rule(data=st.data(), step=st.integers(0, 100))
    def checkpoint(self, data, step):
        worker, one = self._someone(data)
        if one.spec.command is not None:
            try:
                self.desk.checkpoint(one, float(step), worker)
            except Conflict:
                assert self.desk.beat(one, worker) == "discard"

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def complete(self, data):
        worker, one = self._someone(data)
        self.values += 1
        verdict = self.desk.complete(one, self.values, worker)
        assert verdict != "already"
        if verdict == "accepted":
            assert one.job not in self.result
            self.result[one.job] = {"out": self.values}
            assert self.desk.complete(one, self.values, worker) == "already"

    @precondition(lambda self: self.holder)
    @rule(data=st.data(), cause=st.sampled_from(["job_error", "infrastructure", "resource"]))
    def fail(self, data, cause):
        worker, one = self._someone(data)
        self.desk.fail(one, cause, worker)

    @precondition(lambda self: self.holder)
    @rule(data=st.data())
    def stop(self, data):
        worker, one = self._someone(data)
        self.desk.stop(one, worker, step=5.0)

    @precondition(lambda self: self.holder)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def lie(self, data, worker):
        holder, one = self._someone(data)
        if worker != holder:
            try:
                self.desk.complete(one, "forged", worker)
            except NotAllowed:
                return
            raise AssertionError("a forged result was taken")

    @rule(seconds=st.sampled_from([1.0, 60.0, 130.0]))
    def pass_time(self, seconds):
        self.desk.pass_time(seconds)

    @rule()
    def restart(self):
        self.desk.restart()

    @rule(project=st.sampled_from("pq"), held=st.booleans())
    def pause(self, project, held):
        self.desk.scheduler.set_on_hold(project, held)
        self.desk.save()

    def _someone(self, data):
        return self.holder[data.draw(st.sampled_from(sorted(self.holder)))]

    @invariant()
    def results_are_told_once_and_stay(self):
        for job, outputs in self.result.items():
            row = self.desk.scheduler.job_row(job)
            assert row.outputs == outputs
            assert outputs in [end.outputs for end in self.desk.ends[job]]
        for job, ends in self.desk.ends.items():
            if job not in self.result:
                assert all(end.failure for end in ends)
                assert self.desk.state(job) == "failed"

    @invariant()
    def memory_is_what_is_stored(self):
        for (kind, *_), row in self.desk.stored.items():
            if kind == "job":
                known = self.desk.scheduler.job_row(row.id)
                assert known.state == row.state
                assert known.attempts == row.attempts

    def teardown(self):
        """After the storm, everything that is wanted ends."""
        for project in "pq":
            self.desk.scheduler.set_on_hold(project, False)
        for _ in range(40):
            self.desk.pass_time(700.0)
            for one in self.desk.lease("w9", offer(9)):
                self.desk.complete(one, "late", "w9")
        for job, wanted in self.wanted.items():
            if wanted:
                assert self.desk.state(job) in ("done", "failed"), job


SchedulerMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestScheduler = SchedulerMachine.TestCase
