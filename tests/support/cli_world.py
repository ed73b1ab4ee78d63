"""A user at a terminal: their own logins, ``cpc`` run in this process, a worker beside it."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from copernicus.cli.main import main

PASSWORD = "correct horse battery"

COUNT = r"""
name = "steps.count"
program = "stepper"
doc = "Count slowly, and say how far it is."

[inputs.start]
type = "File"
doc = "what to begin with"

[inputs.steps]
type = "int"
default = 2

[inputs.title]
type = "str | None"

[[run]]
argv = ["{program}", "{in.start}", "{in.steps}"]
stdout = "log.txt"

[progress]
pattern = "log.txt"
regex = 'step (?P<step>\d+) of (?P<total>\d+)'

[outputs.log]
file = "log.txt"

[outputs.last]
type = "int"
number = {file = "log.txt", regex = 'step (\d+)'}

[retry]
job_errors = 0
"""

STEPPER = """#!/bin/sh
read begin < "$1"
if [ "$begin" = bad ]; then echo "the start is bad" >&2; exit 3; fi
echo "began with $begin"
i=0
while [ $i -lt "$2" ]; do i=$((i+1)); echo "step $i of $2"; sleep 0.05; done
"""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self):
        return json.loads(self.out)


class Terminal:
    """Somebody who runs ``cpc``, with a folder for logins and one to work in."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "config"
        folder.mkdir(parents=True, exist_ok=True)
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")

    def run(self, *words):
        out, err = io.StringIO(), io.StringIO()
        before = dict(os.environ)
        os.environ |= {"CPC_CONFIG_DIR": str(self.config), "COLUMNS": "80"}
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    code = main([str(word) for word in words])
                except SystemExit as end:
                    code = int(end.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Done(code, out.getvalue(), err.getvalue())

    def __call__(self, *words):
        """Run a command that must work."""
        done = self.run(*words)
        assert done.code == 0, done
        return done

    def refused(self, code, *words):
        """Run a command that must be refused, with one line on standard error."""
        done = self.run(*words)
        assert done.code == code, done
        assert done.err.startswith("cpc: "), done
        assert done.err.count("\n") == 1, done
        return done.err

    def login(self, server, user="admin"):
        bundle = server.folder / "client.cpc"
        self("login", bundle, "--user", user, "--password-file", self.password)
        return self

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content) if isinstance(content, str) else path.write_bytes(content)
        return path


@contextlib.contextmanager
def worker(folder, bundle, *words):
    """``cpc worker start`` with the program ``stepper``, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    stepper = folder / "stepper"
    stepper.write_text(STEPPER)
    stepper.chmod(0o755)
    programs = folder / "programs.toml"
    programs.write_text(f'[programs.stepper]\ncommand = ["{stepper}"]\nversion = "1.0"\n')
    command = [sys.executable, "-m", "copernicus", "worker", "start"]
    command += ["--bundle", str(bundle), "--programs", str(programs), "--cores", "1"]
    command += ["--work-dir", str(folder / "work"), *words]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield folder / "log"
    finally:
        process.terminate()
        process.wait(30)


def until(condition, timeout_s=30.0):
    """Wait for a condition, and return what it returns."""
    end = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def counting(cpc, name, *starts, steps=2):
    """A project with the held instance ``run``, mapped over files with these contents."""
    cpc("project", "create", name)
    cpc("define", cpc.file("count.toml", COUNT))
    cpc("add", "run", "steps.count", "--map", "start")
    files = [cpc.file(f"start{n}.txt", f"{text}\n") for n, text in enumerate(starts)]
    cpc("set-file", "run.in.start", *files)
    cpc("set", "run.in.steps", steps)
