"""``copernicus.testing``: authors try their modules without a server."""

from __future__ import annotations

import inspect
import socket

import pytest

from copernicus import testing
from copernicus.errors import BadValue, NotFound
from support import authored

PROGRAMS = {"counter": "sh"}


@pytest.fixture
def p():
    with testing.project(authored.module, programs=PROGRAMS) as made:
        yield made


def line_of(function, text):
    lines, first = inspect.getsourcelines(function.body)
    return f"authored.py:{first + next(i for i, line in enumerate(lines) if text in line)}"


def test_a_workflow_runs_with_real_programs_and_tasks(p):
    p.add("grow", authored.grow, start=p.file("start.txt", "6\n"), least=3.0)
    p.run()
    assert p.state("grow") == "done"
    assert p.value("grow.out.mean") == pytest.approx(3.5)
    assert p.value("grow.out.report").path.read_text() == "3.5"
    assert [job.function for job in p.jobs] == [
        "authored.count",
        "authored.mean",
        "authored.report",
    ]
    assert (p.jobs[1].folder / "seen.txt").read_text() == "2"


def test_a_change_runs_only_what_depends_on_it(p, tmp_path):
    start = tmp_path / "start.txt"
    start.write_text("6\n")
    grow = p.add("grow", authored.grow, start=start, least=3.0)
    p.run()
    done = len(p.jobs)
    p.set("grow.in.least", 2.9)
    p.run()
    assert len(p.jobs) == done
    grow["least"] = 4.0
    p.add("broken", "authored.broken")
    with pytest.raises(testing.Failed, match="broken: counter ended with exit code 3"):
        p.run()
    assert p.value("grow.out.rounds") == 9


def test_mapped_elements_connections_and_transactions(p):
    with p.transaction():
        run = p.add("run", authored.count, map=("to",), start=p.file("a", ""), to=[1, 2, 3])
        p.add("mean", authored.mean, files=run.out.numbers)
    p.run()
    assert p.value("run.out.count") == [1, 2, 3]
    assert p.value("mean.out.files") == 3
    assert p.value("run.out.numbers")[2].path.read_text() == "1\n2\n3\n"
    p.append("run.in.to", 4)
    p.run()
    assert [job.path for job in p.jobs].count("run") == 4


def test_a_failure_has_its_reason_and_its_log(p):
    p.add("broken", authored.broken)
    with pytest.raises(testing.Failed, match="exit code 3") as failed:
        p.run()
    assert "it hurts" in str(failed.value)
    p.add("refuse", authored.refuse, value=3.0)
    p.run(check=False)
    assert "ValueError: 3.0 is too much" in p.failure("refuse").reason
    with pytest.raises(BadValue, match="no current value"):
        p.value("refuse.out.result")


def test_what_a_workflow_tolerates_is_no_failure_of_the_project(p):
    p.add("w", authored.tolerant, map=["values"], values=[[0.5, 3.0], [3.0, 4.0]])
    p.run()
    assert p.value("w.out.good") == [1, 0]
    assert p.failure("w@e1/1") is not None


def test_a_program_that_is_not_here_says_how_to_go_on():
    with testing.project(authored.module) as p:
        p.add("broken", authored.broken)
        with pytest.raises(testing.Failed, match="no program counter here") as failed:
            p.run()
    assert "stand_ins" in str(failed.value)


def test_a_program_that_hangs_is_ended():
    with testing.project(authored.module, programs=PROGRAMS, job_timeout_s=0.3) as p:
        p.add("endless", authored.endless)
        with pytest.raises(testing.Failed, match=r"longer than 0\.3 s"):
            p.run()


def test_stand_ins_do_the_work_of_programs_that_are_not_here(tmp_path):
    def count(start, to):
        numbers = tmp_path / "numbers.txt"
        numbers.write_text(f"{to}\n")
        return {"numbers": numbers, "count": to}

    with testing.project(authored.module, stand_ins={authored.count: count}) as p:
        p.add("grow", authored.grow, start=p.file("s", ""), least=2.0)
        p.run()
        assert p.value("grow.out.rounds") == 3


def test_a_function_of_no_installed_module_is_refused():
    with testing.project() as p, pytest.raises(NotFound, match="give its Module"):
        p.add("count", authored.count)


def test_nothing_is_sent_anywhere(monkeypatch):
    def refuse(*_args):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with testing.project(authored.module, programs=PROGRAMS) as p:
        p.add("grow", authored.grow, start=p.file("s", "1"), least=0.5)
        p.run()


# --- what depends on luck ------------------------------------------------------------------------


def departure(p, function):
    p.add("w", function, start=p.file("s", "1\n"))
    with pytest.raises(testing.Departed) as departed:
        p.run()
    return departed.value


def test_branches_that_share_nothing_may_be_answered_in_any_order(p):
    p.add("w", authored.branches, start=p.file("s", "1\n"))
    p.run()
    assert p.value("w.out.last") == 12.0


def test_state_shared_between_branches_is_found_at_its_line(p):
    found = departure(p, authored.shared)
    assert "another order" in found.message
    assert "do its branches share state" in found.message
    assert found.line == line_of(authored.shared, "net.call(")


def test_the_order_of_a_set_is_found_under_another_hash_seed(p):
    found = departure(p, authored.hashed)
    assert "hash seed" in found.message
    assert found.line == line_of(authored.hashed, "net.call(")


def test_state_outside_is_found(p):
    found = departure(p, authored.remembers)
    assert "did something else" in found.message
    assert found.line == line_of(authored.remembers, "net.call(")


def test_replay_finds_the_same(p):
    inputs = {"start": p.file("s", "1")}
    with pytest.raises(testing.Departed, match="another order"):
        testing.replay(authored.shared, inputs, lambda _key, _port: 1)
    with pytest.raises(testing.Departed, match="hash seed"):
        testing.replay(authored.hashed, inputs, lambda _key, _port: 1)
    assert testing.replay(authored.branches, inputs, lambda _key, _port: 1).ended
