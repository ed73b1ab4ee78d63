"""Small programs that the project has never heard of, with what an owner and a user write of them.

``shift`` turns every byte of a file around; ``count`` counts slowly, can be stopped and continued,
and goes on beyond its end while it is held; ``trial`` does what its text says.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from support.e2e import Env

_SHIFT = """
import sys
if sys.argv[1] == "--version":
    print("shift, release 4.2 of a program nobody knows")
    raise SystemExit
source, target, by = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = open(source, "rb").read()
open(target, "wb").write(bytes((byte + by) % 256 for byte in data))
print(len(data), "bytes")
"""

_COUNT = """
import os, signal, sys, time
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
last, pause = int(sys.argv[1]), float(sys.argv[2])
here = int(open("state").read()) if sys.argv[3:] == ["--resume"] else 0
held = os.path.join(os.path.dirname(sys.argv[0]), "hold")
print("begins at", here, flush=True)
step = here
while step <= last or os.path.exists(held):
    open("new", "w").write(str(step))
    os.replace("new", "state")
    if stopped:
        raise SystemExit(1)
    time.sleep(pause)
    step += 1
open("result", "w").write(str(last))
"""

_TRIAL = """
import os, sys, time
text = open(sys.argv[1]).read()
if text == "fail":
    print("cannot do this", file=sys.stderr)
    raise SystemExit(3)
if text == "segfault":
    os.kill(os.getpid(), 11)
if text == "fill":
    with open("big", "wb") as big:
        while True:
            big.write(bytes(1 << 20))
if text == "nothing":
    raise SystemExit
open("out", "w").write(text.upper())
"""

SHIFT_TOML = """
name = "bytes.shift"
program = {name = "shift", versions = ">=4"}
doc = "Move every byte of a file."

[inputs.source]
type = "File"
[inputs.by]
type = "int"
default = 1

[[run]]
argv = ["{program}", "{in.source}", "out.bin", "{in.by}"]
stdout = "said.txt"

[outputs.result]
file = "out.bin"
[outputs.size]
number = {file = "said.txt", regex = '(\\d+) bytes'}
"""

COUNT_TOML = """
name = "slow.count"
program = "count"

[inputs.last]
type = "int"
on_change = "extend"
[inputs.pause]
type = "float"
default = 0.005

[[run]]
argv = ["{program}", "{in.last}", "{in.pause}"]
stdout = "said.txt"
when = "fresh"
ok = [0, 1]
[[run]]
argv = ["{program}", "{in.last}", "{in.pause}", "--resume"]
stdout = "said.txt"
when = "resume"
ok = [0, 1]

[checkpoint]
files = ["state"]
required = ["state"]
step = {pattern = "state", regex = '(\\d+)'}
interval_s = 0.3

[progress]
pattern = "state"
regex = '(?P<step>\\d+)'

[done_when]
files = ["result"]

[outputs.result]
number = {file = "result", regex = '(\\d+)'}
[outputs.began]
number = {file = "said.txt", regex = 'begins at (\\d+)'}
"""

TRIAL_TOML = """
name = "any.trial"
program = "trial"
[retry]
job_errors = 0

[inputs.text]
type = "File"
on_change = "cancel"

[[run]]
argv = ["{program}", "{in.text}"]

[outputs.out]
text = "out"
"""


def programs_file(env: Env) -> Path:
    """What the owner of a worker writes to make the programs known."""
    tables = []
    for name, code in (("shift", _SHIFT), ("count", _COUNT), ("trial", _TRIAL)):
        script = env.write(f"{name}.sh", f'#!/bin/sh\nexec "{sys.executable}" "$0.py" "$@"\n')
        script.chmod(0o755)
        env.write(f"{name}.sh.py", code)
        tables.append(f'[programs.{name}]\ncommand = ["{script}"]')
    tables[0] += """
version = {argv = ["{program}", "--version"], regex = 'release (\\d+\\.\\d+)'}"""
    return env.write("programs.toml", "\n".join(tables) + "\n")


@contextlib.contextmanager
def held(env: Env) -> Iterator[None]:
    """No counter of this environment comes to its end meanwhile."""
    file = env.write("hold", "")
    yield
    file.unlink()


def count(env: Env, name: str, last: int, pause: float = 0.005) -> None:
    """An active instance of the counter."""
    project = env.project()
    if "slow.count" not in {view.function for view in project.instances()}:
        project.define(env.write("count.toml", COUNT_TOML))
    with project.transaction():
        project.add(name, "slow.count", active=True)
        project.set(f"{name}.in.last", last)
        project.set(f"{name}.in.pause", pause)
