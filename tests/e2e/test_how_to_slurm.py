"""The page about Slurm, done to the letter on a real one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.e2e import Env, all_done, wait_until
from support.e2e_programs import count, programs_file
from support.slurm import Slurm
from support.tutorials import Reader

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.slurm
@pytest.mark.parsl
@pytest.mark.timeout(300)
def test_use_slurm(env: Env, cluster: Slurm) -> None:
    env.variables |= cluster.variables
    project = env.open(provision=["slurm"], provision_s=0.5, provision_poll_s=1.0)
    path = f"{Path(sys.executable).parent}{os.pathsep}{cluster.variables['PATH']}"
    reader = Reader(env.root, env.environment(PATH=path, COLUMNS="160"), (0, 0))
    page = (HOW_TO / "use-slurm.md").read_text()
    # The cluster of the reader has no module: programs are told of by a file.
    file = env.write("ours.md", page.replace('OMP_PROC_BIND=true"]', PROGRAMS))
    programs_file(env).rename(env.root / "ours.toml")
    count(env, "c", 3000)
    project.hold("c")
    reader.follow(file)
    wait_until(lambda: all_done(project, "c", 1), "it is done", 120)


PROGRAMS = 'OMP_PROC_BIND=true"]\nworker = ["--programs", "../../../../ours.toml"]'
