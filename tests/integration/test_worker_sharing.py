"""What a worker tells of a running job: consistent, at the cost of its growth, when asked."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from copernicus.blobs import CHUNK_SIZE
from copernicus.model.jobs import Command, Join, Output, Series
from copernicus.protocol import Beat, Share
from support.worker_process import worker
from support.worker_server import program_job, scripted_server, sh

_NUMBERS = itertools.count(1)
MIB = 1 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with scripted_server(folder) as server, worker(server, folder / "w") as running:
        yield server, running


_LOOP = """
n=0
while [ ! -e {do}.end ]; do
  if [ -e {do}.$((n+1)) ]; then n=$((n+1)); . {do}.$n; touch {do}.$n.done; else sleep 0.02; fi
done
"""


class Running:
    """A job that does what is written into its folder ``do``, line by line, until ``end``."""

    def __init__(self, server, folder: Path, command_fields: dict) -> None:
        number = next(_NUMBERS)
        self.server = server
        self.pipe = folder / f"do{number}"
        self.attempt = f"p.a{number}#1"
        self._wishes = itertools.count(1)
        script = _LOOP.format(do=self.pipe)
        command = Command(lines=(sh(script),), **command_fields)
        self._steps = itertools.count(1)
        server.add(program_job(number, command, heartbeat_s=0.1))

    def do(self, script: str) -> None:
        step = next(self._steps)
        written = self.pipe.with_name(f"{self.pipe.name}.new")
        written.write_text(script + "\n")
        written.rename(f"{self.pipe}.{step}")
        done = Path(f"{self.pipe}.{step}.done")
        self.server.wait_for(lambda: bool(self.server.beats) and done.exists(), script)

    def ask(self, *names: str):
        wish = next(self._wishes)
        self.server.shares[self.attempt] = Share(once=names, wish=wish)
        return self.given(lambda one: one.wish == wish)

    def given(self, condition):
        def found():
            return [p for p in self.server.partials if p.attempt == self.attempt and condition(p)]

        self.server.wait_for(lambda: bool(found()), "a partial output")
        return found()[-1]

    def end(self):
        Path(f"{self.pipe}.end").touch()
        return self.server.result(self.attempt)


@pytest.fixture
def start(site, tmp_path):
    server, _ = site

    def start(**command_fields):
        return Running(server, tmp_path, command_fields)

    return start


def content(server, plain) -> bytes:
    return b"".join(server.blobs.read(plain["$file"]))


def test_a_growing_file_costs_its_growth(site, start):
    server, _ = site
    job = start(outputs=(Output("traj", pattern="traj", partial=True),))
    job.do("head -c 20971520 /dev/urandom > traj")
    first = job.ask("traj")
    assert content(server, first.outputs["traj"]) != b""
    before = server.bytes_uploaded
    sizes = [first.outputs["traj"]["size"]]
    for _ in range(4):
        job.do("head -c 700000 /dev/urandom >> traj")
        given = job.ask("traj")
        sizes.append(given.outputs["traj"]["size"])
    assert sizes == [20 * MIB + 700_000 * index for index in range(5)]
    moved = server.bytes_uploaded - before
    # Beside what is new, each look sends the last chunk that was not full before.
    assert 4 * 700_000 <= moved <= 4 * (700_000 + CHUNK_SIZE)
    result = job.end()
    assert result.outcome == "completed", result.failure
    assert content(server, given.outputs["traj"]) == job_file(server, result, "traj")


def job_file(server, result, port) -> bytes:
    return server.content(result.attempt, result.outputs[port])


def test_a_file_that_was_written_anew_is_read_anew(site, start):
    server, _ = site
    job = start(outputs=(Output("out", pattern="out", partial=True),))
    job.do("printf 'count 1 ' > out; head -c 3000000 /dev/zero >> out")
    job.ask("out")
    job.do("printf 'count 2 ' | dd of=out conv=notrunc status=none; head -c 100 /dev/zero >> out")
    second = job.ask("out")
    assert content(server, second.outputs["out"])[:8] == b"count 2 "
    job.do("printf short > new; mv new out")
    assert content(server, job.ask("out").outputs["out"]) == b"short"
    job.end()


def test_what_is_not_there_yet_is_left_out(start):
    job = start(
        outputs=(
            Output("a", pattern="a", partial=True, optional=True),
            Output("n", how="number", pattern="n", partial=True),
            Output("parts", "files", "part*", partial=True, optional=True),
        )
    )
    assert job.ask("a", "n", "parts").outputs == {}
    job.do("echo 1 > part1; echo 2 > part2; echo 41 > n")
    given = job.ask("a", "n", "parts").outputs
    assert given["n"] == 41
    assert [file["name"] for file in given["parts"]] == ["part1", "part2"]
    job.end()


def test_parts_are_joined_by_the_program(site, start):
    server, _ = site
    joined = Join(("{program}", "-c", 'cat "$@" > so_far', "-", "{filled:part*}"), "so_far")
    output = Output("all", pattern="whole", so_far="part*", join=joined, partial=True, name="all")
    job = start(outputs=(output,))
    job.do("printf one > part1")
    assert content(server, job.ask("all").outputs["all"]) == b"one"
    job.do("printf two > part2; touch part3")
    assert content(server, job.ask("all").outputs["all"]) == b"onetwo"
    job.do("printf onetwo > whole")
    assert job.end().outcome == "completed"


def test_regular_shares_come_again_without_being_asked_again(site, start):
    server, _ = site
    job = start(outputs=(Output("out", pattern="out", partial=True, optional=True),))
    server.shares[job.attempt] = Share(regular=("out",), interval_s=0.05)
    job.do("printf 1 > out")
    job.given(lambda one: content(server, one.outputs["out"]) == b"1")
    job.do("printf 2 >> out")
    last = job.given(lambda one: content(server, one.outputs["out"]) == b"12")
    first = next(one for one in server.partials if one.attempt == job.attempt)
    assert last.seq > first.seq
    job.end()


def test_series_are_rows_so_far_and_stay_with_the_ended_attempt(site, start):
    server, _ = site
    energies = Series("energies", "e.part*", units={"T": "K"})
    steps = Series("steps", "log", r"^at (?P<step>\d+): (?P<value>\S+)$")
    job = start(series=(energies, steps))
    job.do(r"printf 'step,T\n0,300\n1,301\n2,30' > e.part1; printf 'at 5: 1.5\nat ' > log")
    given = job.ask("series:energies", "series:steps").outputs
    assert content(server, given["series:energies"]) == b"step,T (K)\n0,300\n1,301\n"
    assert content(server, given["series:steps"]) == b"step,value\n5,1.5\n"
    job.do(
        r"printf '2\n' >> e.part1; printf 'step,T\n1,299\n2,298\n' > e.part2; echo '6: 2' >> log"
    )
    result = job.end()
    tables = {
        name: server.content(result.attempt, file) for name, file in result.record.series.items()
    }
    assert tables["energies"] == b"step,T (K)\n0,300\n1,299\n2,298\n"
    assert tables["steps"] == b"step,value\n5,1.5\n6,2\n"


def test_a_watched_log_comes_with_all_of_its_end_and_where_that_is(site, start):
    server, _ = site
    job = start()
    job.do("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; done")

    def last():
        found = [b for beat in server.beats for b in beat.beats if b.attempt == job.attempt]
        return found[-1] if found and found[-1].log_tail else Beat(job.attempt, 0, None, "")

    server.wait_for(lambda: last().log_tail.endswith("line 60\n"), "the log")
    assert last().log_tail.startswith("line 41\n")
    server.shares[job.attempt] = Share(watched=True)
    server.wait_for(lambda: last().log_tail.startswith("line 1\n"), "all of the log")
    assert last().log_end == len(last().log_tail)
    result = job.end()
    assert result.record.log.splitlines()[-1] == "line 60"
    assert len(result.record.log.splitlines()) == 60
