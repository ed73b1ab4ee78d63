"""A program that needs an environment module gets it in its jobs, and nothing else does."""

from __future__ import annotations

import pytest

from support.e2e import Env

pytestmark = pytest.mark.e2e

TELL = """
name = "tell.data"
program = {name = "tell", versions = "VERSIONS"}
[[run]]
argv = ["{program}"]
stdout = "told.txt"
[outputs.told]
text = "told.txt"
"""


@pytest.mark.environment_modules
def test_jobs_run_the_version_that_they_need_with_its_modules(env: Env, monkeypatch) -> None:
    tell = env.write("tell", '#!/bin/sh\necho "$TELL_VERSION in $PWD for $OMP_NUM_THREADS"\n')
    tell.chmod(0o755)
    folder = env.root / "modulefiles" / "tell"
    folder.mkdir(parents=True)
    for version in ("1.0", "2.0"):
        (folder / version).write_text(
            f"#%Module1.0\nsetenv TELL_VERSION {version}\nsetenv OMP_NUM_THREADS 64\n"
        )
    entry = "[[programs.tell]]\ncommand = ['./tell']\nmodules = ['tell/{0}']\nversion = '{0}'\n"
    programs = env.write("programs.toml", entry.format("2.0") + entry.format("1.0"))
    monkeypatch.setenv("MODULEPATH", str(folder.parent))
    project = env.open()
    worker = env.start_worker("w", "--programs", programs)
    assert "tell 2.0, tell 1.0" in worker.said
    for name, versions in (("new", ">=2"), ("old", "<2"), ("any", "")):
        toml = TELL.replace("VERSIONS", versions).replace("tell.data", f"tell.{name}")
        env.cpc("define", env.write(f"{name}.toml", toml))
        env.cpc("add", name, f"tell.{name}", "--active")
    env.cpc("wait", "--timeout", 60)
    told = {name: project.get(f"{name}.out.told").split() for name in ("new", "old", "any")}
    assert [told[name][0] for name in ("new", "old", "any")] == ["2.0", "1.0", "2.0"]
    assert {words[-1] for words in told.values()} == {"1"}  # the job's cores win
    (attempt,) = project.trace("old.out.told").attempts
    assert attempt.program_version == "1.0"


def test_a_worker_does_not_start_without_a_program_that_its_owner_wants(env: Env) -> None:
    env.open()
    programs = env.write("programs.toml", "[programs.x]\ncommand = ['/no/such/x']\n")
    words = ("worker", "start", "--bundle", env.bundle, "--work-dir", env.root / "w")
    said = env.refused(1, *words, "--programs", programs)
    assert "there is no executable '/no/such/x'" in said
    assert "programs.x" in said
    done = env.run("worker", "programs", "--file", programs)
    assert done.returncode == 1
    assert "/no/such/x" in done.stdout
