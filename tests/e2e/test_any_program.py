"""A program that nobody had heard of: its owner names it, a user describes it, files come back."""

from __future__ import annotations

import random

import pytest

from support.e2e import Env, all_done, wait_until
from support.e2e_programs import SHIFT_TOML, programs_file

pytestmark = pytest.mark.e2e


def test_a_program_is_named_described_mapped_and_its_files_fetched(env: Env) -> None:
    project = env.open()
    worker = env.start_worker("w", "--programs", programs_file(env))
    assert "shift 4.2" in worker.said
    assert f"worker {worker.id} of server {env.client.profile.server_id}" in worker.said
    assert "1 core," in worker.said
    shown = env.json("worker", "programs", "--file", env.root / "programs.toml")
    assert ("shift", "4.2") in {(p["name"], p["version"]) for p in shown["offered"]}

    source = random.Random(4)
    data = [b"", bytes(range(256)) * 3, source.randbytes(300_000), b"line\r\n\x00\xff"]
    files = [env.write(f"input {index}.bin", content) for index, content in enumerate(data)]
    env.cpc("define", env.write("shift.toml", SHIFT_TOML))
    known = [view["spec"]["name"] for view in env.json("functions", "list")]
    (shift,) = [name for name in known if name.endswith(".shift")]
    assert "Move every byte" in env.cpc("functions", "info", shift)
    env.cpc("add", "shift", "bytes.shift", "--map", "source")
    env.cpc("set-file", "shift.in.source", *files)
    env.cpc("set", "shift.in.by", 3)
    env.cpc("activate")
    assert "done" in env.cpc("wait", "shift", "--timeout", 40)

    assert project.get("shift.out.size") == [len(content) for content in data]
    fetched = env.json("get", "shift.out.result", "-o", env.root / "back")["files"]
    assert len(fetched) == len(data)
    for path, content in zip(fetched, data, strict=True):
        expected = bytes((byte + 3) % 256 for byte in content)
        assert (env.root / path).read_bytes() == expected

    again = env.write("again.bin", data[2])
    env.cpc("append", "shift.in.source", again)
    wait_until(lambda: all_done(project, "shift", 5), "the appended file is done")
    assert len(project.jobs()) == 5
