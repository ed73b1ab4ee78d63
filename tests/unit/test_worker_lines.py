"""Command lines, paths, patterns and numbers: what a job's description turns into."""

from __future__ import annotations

import os

import pytest

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.filenames import sane_path
from copernicus.model.jobs import Line, Number, Progress
from copernicus.worker.folder import JobFolder
from copernicus.worker.joblog import JobLog
from copernicus.worker.lines import Places, argv_of, natural_key
from copernicus.worker.numbers import ProgressReader, read_number

PLACES = Places(
    program=("/opt/gmx", "-quiet"),
    cores=4,
    gpus="0,1",
    job="p.a1",
    part=2,
    glob=lambda pattern: [f"{pattern}-1", f"{pattern}-2"],
    filled=lambda pattern: [f"{pattern}-1"],
)


def test_placeholders_are_filled_in_and_other_braces_stay():
    texts = ("-nt", "{cores}", "g{gpus}", "{job}.part{part}", "{x}", "{glob:*.x}", "{filled:*.y}")
    line = Line(("{program}", *texts))
    assert argv_of(line, PLACES) == [
        "/opt/gmx",
        "-quiet",
        "-nt",
        "4",
        "g0,1",
        "p.a1.part2",
        "{x}",
        "*.x-1",
        "*.x-2",
        "*.y-1",
    ]


@pytest.mark.parametrize("argv", [(), ("/bin/sh",), ("x{program}",), (" {program}",), ("{cores}",)])
def test_nothing_but_the_program_is_started(argv):
    with pytest.raises(BadDefinition, match="program"):
        argv_of(Line(argv), PLACES)


def test_names_sort_as_people_count():
    names = ["p10", "p9", "p1", "a", "p"]
    assert sorted(names, key=natural_key) == ["a", "p", "p1", "p9", "p10"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a//b",
        "../a",
        "a/..",
        ".",
        "a\x00",
        "a\n",
        "C:\\x",
        "nul",
        "CON.txt",
        "a" * 256,
        " ",
    ],
)
def test_wild_paths_are_refused(path):
    with pytest.raises(BadValue):
        sane_path(path)


@pytest.mark.parametrize("path", ["a", "a/b.c", "md.part0002.xtc", "ä/ß", ".hidden", "a b"])
def test_ordinary_paths_pass(path):
    assert sane_path(path) == path


@pytest.fixture
def folder(tmp_path):
    for name in ("a1.txt", "a10.txt", "a9.txt", "sub/b.txt", "sub/deep/c.txt", "d.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link.txt").symlink_to(tmp_path / "d.dat")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    os.mkfifo(tmp_path / "pipe.txt")
    return JobFolder(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a1.txt", "a9.txt", "a10.txt"]),
        ("a?.txt", ["a1.txt", "a9.txt"]),
        ("a[!1].txt", ["a9.txt"]),
        ("**/*.txt", ["a1.txt", "a9.txt", "a10.txt", "sub/b.txt", "sub/deep/c.txt"]),
        ("sub/*", ["sub/b.txt"]),
        ("d.dat", ["d.dat"]),
        ("link.txt", []),
        ("linked/b.txt", []),
        ("pipe.txt", []),
        ("a+.txt", []),
        ("../*", []),
    ],
)
def test_patterns_find_regular_files_only(folder, pattern, found):
    assert folder.matching(pattern) == found


def test_reading_through_a_link_is_refused(folder):
    with pytest.raises(OSError, match="symbolic"), folder.reading("link.txt"):
        pass
    with pytest.raises(OSError), folder.reading("linked/b.txt"):
        pass


def test_writing_does_not_follow_a_link(folder):
    with pytest.raises(OSError), folder.writing("link.txt"):
        pass
    with pytest.raises(OSError), folder.writing("linked/new"):
        pass
    assert folder.text("d.dat") == "d.dat"


def test_a_number_is_the_last_match_in_the_newest_file(tmp_path):
    (tmp_path / "md1.log").write_text("step 5\nstep 7\n")
    (tmp_path / "md2.log").write_text("step 1\n")
    os.utime(tmp_path / "md2.log", (1, 1))
    assert read_number(JobFolder(tmp_path), Number("md*.log", r"step (\d+)")) == 7
    assert read_number(JobFolder(tmp_path), Number("none", r"step (\d+)")) is None


def test_progress_follows_a_growing_log_and_tells_the_rest(tmp_path):
    now = [0.0]
    rule = Progress(
        "md.log", r"step (?P<step>\d+)(?: at (?P<rate>\S+))?$", total=100, unit="ns/day"
    )
    reader = ProgressReader(JobFolder(tmp_path), rule, lambda: now[0])
    assert reader.read() is None
    log = tmp_path / "md.log"
    log.write_text("step 10\n")
    first = reader.read()
    assert (first.step, first.total, first.remaining_s) == (10, 100, None)
    now[0] = 10.0
    with log.open("a") as file:
        file.write("step 30 at 5.5\nstep")
    second = reader.read()
    assert (second.step, second.rate, second.unit) == (30, 5.5, "ns/day")
    assert second.remaining_s == pytest.approx(35.0)


def test_the_log_keeps_its_end(tmp_path):
    log = JobLog(lambda: tmp_path / "job.log", limit=1000)
    for number in range(500):
        log.write(f"line {number}\n".encode())
    log.close()
    text = (tmp_path / "job.log").read_text()
    assert len(text) <= 1000
    assert text.endswith("line 499\n")
    assert "older lines" in text
    assert log.tail(2) == "line 498\nline 499"
