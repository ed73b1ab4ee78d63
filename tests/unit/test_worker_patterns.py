"""Expressions of users are matched as Python's own are, and for so long and no longer."""

from __future__ import annotations

import re
import threading

import pytest

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Failure, JobSpec, Number, Progress
from copernicus.model.resources import ProgramNeed
from copernicus.model.retries import FailurePattern
from copernicus.worker.folder import JobFolder
from copernicus.worker.numbers import ProgressReader, read_number
from copernicus.worker.patterns import TooSlow, find, find_all
from copernicus.worker.verdict import judged

EVIL = r"^(a|aa)+$"
TEXT = f"{'a' * 80}!\n"


def spec(**fields):
    return JobSpec("f", "1", ProgramNeed("p"), "d", "k", **fields)


def facts(match):
    return match.span(), match.groups(), match.groupdict()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr("copernicus.worker.patterns.PATIENCE_S", 0.4)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "log").write_text(f"step 1\n{TEXT}step 20\n")
    return JobFolder(tmp_path)


@pytest.mark.parametrize(
    "expression", [r"step (\d+)", r"(?P<step>\d+)$", r"^\w+(?= 2)", r"[a-c!]\n", r"(?i)STEP\s\d"]
)
def test_what_is_found_is_what_pythons_own_finds(folder, expression):
    text = folder.text("log")
    own = list(re.finditer(expression, text, re.MULTILINE))
    assert list(map(facts, find_all(expression, text))) == list(map(facts, own))
    assert facts(find(expression, text)) == facts(own[0])


def test_an_expression_that_backtracks_ends_and_is_named():
    with pytest.raises(TooSlow, match="did not come to an end") as refused:
        find_all(EVIL, TEXT)
    assert repr(EVIL) in refused.value.message
    with pytest.raises(TooSlow):
        find(EVIL, TEXT)


def test_other_threads_go_on_meanwhile():
    ended = threading.Event()

    def match() -> None:
        with pytest.raises(TooSlow):
            find(EVIL, TEXT)
        ended.set()

    thread = threading.Thread(target=match)
    thread.start()
    turns = 0
    while not ended.wait(0.01):
        turns += 1
    thread.join()
    assert turns > 10, "the interpreter was held up"


def test_what_is_no_expression_is_said():
    with pytest.raises(BadDefinition, match="no regular expression"):
        find("(", "x")


def test_progress_that_takes_too_long_is_given_up(folder, tmp_path):
    evil = Progress("log", rf"{EVIL}\nstep (?P<step>\d+)")
    reader = ProgressReader(folder, evil)
    assert reader.read() is None
    (tmp_path / "log").write_text("a\nstep 30\n")
    assert reader.read() is None, "it was tried again"
    assert ProgressReader(folder, evil).read().step == 30


def test_a_number_that_takes_too_long_is_no_number(folder):
    with pytest.raises(TooSlow):
        read_number(folder, Number("log", EVIL))
    assert read_number(folder, Number("log", r"step (\d+)")) == 20


def test_a_failure_is_not_of_a_kind_that_cannot_be_told_in_time():
    evil, good = FailurePattern(log=EVIL), FailurePattern(log="a!")
    failure = Failure("it failed", "job_error", 1)
    assert judged(failure, spec(permanent=(evil,)), TEXT) == failure
    assert judged(failure, spec(permanent=(evil, good)), TEXT).verdict == "permanent"
