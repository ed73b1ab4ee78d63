"""``cpc demo`` as a user runs it: it ends with a result, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Demo:
    """A demo in a folder of its own; everything temporary lies in that folder, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.process: subprocess.Popen[str] | None = None

    def start(self, *words: str) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "copernicus", "demo", *words],
            cwd=self.folder,
            env=os.environ | {"TMPDIR": str(self.temporary), "COLUMNS": "80"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a shell starts in the background ignores Ctrl-C, and so would all below it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        return self.process

    def finish(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        said, complained = process.communicate(timeout=150)
        return process.returncode, said, complained

    def until_it_says(self, words: str) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}: {self.process.communicate()[1]}")

    def left_behind(self) -> list[psutil.Process]:
        """The processes that have to do with this demo."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), process.cwd()]
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if any(str(self.temporary) in word for word in words):
                found.append(process)
        return found

    def is_gone(self) -> bool:
        return not self.left_behind() and not list(self.temporary.iterdir())


def wait_until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.05)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()
    for process in made.left_behind():
        process.kill()


@pytest.mark.openmm
@pytest.mark.timeout(170)
def test_alanine_dipeptide(demo: Demo) -> None:
    pytest.importorskip("openmm")
    code, said, complained = demo.finish("--minutes", "0.3")
    assert (code, complained) == (0, ""), complained
    (results,) = demo.folder.glob("copernicus-demo-*")
    assert (results / "ramachandran.png").read_bytes().startswith(b"\x89PNG")
    assert len((results / "surface.csv").read_text().splitlines()) == 36**2 + 1
    populations = json.loads((results / "populations.json").read_text())
    assert set(populations) == {"C5", "C7eq", "C7ax", "alpha_R", "alpha_L", "phi > 0"}
    assert sum(each["value"] for name, each in populations.items() if ">" not in name) == (
        pytest.approx(1.0)
    )
    assert populations["C5"]["value"] > 0.2
    trajectories = sorted((results / "trajectories").glob("run*.dcd"))
    assert len(trajectories) in (8, 16)
    assert (results / "trajectories" / "structure.pdb").exists()
    assert "generation 1 of 2" in said
    assert "C7eq" in said
    assert "LONG RUN" in said
    assert f"{results.name}/ramachandran.png" in said
    assert demo.is_gone()


@pytest.mark.timeout(170)
def test_pi(demo: Demo) -> None:
    code, said, complained = demo.finish("pi", "--folder", "result", "--minutes", "0.2")
    # A busy machine does not come to the wanted error in this time, which is exit code 1.
    assert (code in (0, 1), complained) == (True, ""), complained
    found = json.loads((demo.folder / "result" / "pi.json").read_text())
    assert abs(found["pi"] - 3.14159265) < 6 * found["error"]
    assert found["error"] < 0.001
    assert "8 jobs: pi = 3.14" in said
    assert demo.is_gone()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_a_demo_that_is_stopped_takes_everything_with_it(
    demo: Demo, number: signal.Signals, code: int
) -> None:
    process = demo.start("pi", "--folder", "result")
    demo.until_it_says("a worker with")
    assert len(demo.left_behind()) >= 2
    process.send_signal(number)
    _, complained = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in complained) == (code, False), complained
    assert demo.is_gone()
    assert not (demo.folder / "result").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death")
def test_a_demo_that_is_killed_leaves_no_process(demo: Demo) -> None:
    process = demo.start("pi", "--folder", "result")
    demo.until_it_says("a worker with")
    process.kill()
    process.communicate()
    wait_until(lambda: not demo.left_behind())


def test_a_worker_that_dies_ends_the_demo_with_its_reason(demo: Demo) -> None:
    process = demo.start("pi", "--folder", "result")
    demo.until_it_says("a worker with")
    worker = next(p for p in demo.left_behind() if "worker" in p.cmdline())
    worker.kill()
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complained.startswith("cpc: the worker has ended (exit code -9)"), complained
    assert demo.is_gone()
    assert (demo.folder / "result" / "logs" / "server.log").exists()


def test_the_list_of_demos(demo: Demo) -> None:
    code, said, _ = demo.finish("--list")
    assert code == 0
    assert "alanine" in said
    assert "pi" in said


def test_a_folder_that_is_in_use_is_refused_before_anything_starts(demo: Demo) -> None:
    (demo.folder / "mine").mkdir()
    (demo.folder / "mine" / "thesis.txt").write_text("mine")
    code, _, complained = demo.finish("pi", "--folder", "mine")
    assert code == 1
    assert "mine is not empty: name another folder" in complained
