"""What holds for all tests: which parts must be there, what shares a process, how long it may be.

- Marks as ``gromacs``, ``openmm``, ``shells`` (``CHECKS``) say what a test needs. Without it, it is
  skipped, and the summary says why; with ``CI=true`` a missing program is a failure.
- With ``pytest -n N --dist loadfile`` the tests of a file run one after another in one process:
  they may share servers and what these hold.
- ``--quick`` gives properties fewer random examples.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support import crates, slurm

if TYPE_CHECKING:
    from support.e2e import Env
from support.postgres import STORES, binaries

TESTS = Path(__file__).parent

pytest_plugins = ["support.server_fixtures"]

# The same examples in every run, everywhere; the simulation and the storm vary theirs by seed.
settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.load_profile("tests")
settings.register_profile("quick", max_examples=15, stateful_step_count=15, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="fewer random examples per property")
    parser.addoption("--storm-steps", type=int, help="so many steps of the engine in random storms")
    parser.addoption("--postgresql", action="store_true", help="end-to-end servers store there")
    parser.addoption(
        "--fuzz-inputs", type=int, default=1000, help="generated requests and texts, about so many"
    )
    parser.addoption("--kills", type=int, help="kill -9 so often in the crash test")
    parser.addoption("--every-failure", action="store_true", help="each call to a disk fails once")
    parser.addoption("--power-cuts", type=int, help="so many images of cut power")
    parser.addoption("--storm-seed", type=int, help="repeat the random storm of this seed only")
    parser.addoption("--sim-hours", type=int, help="so many hours of simulated servers")
    parser.addoption("--sim-seed", type=int, help="repeat the simulated server of this seed only")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--postgresql"):
        os.environ[STORES] = "postgresql"
    if config.getoption("--quick"):
        settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in ("e2e", "faults"):
            item.add_marker(pytest.mark.e2e)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long random storms and simulated servers were, how many kills and power cuts."""
    for report in terminalreporter.getreports("passed"):
        for kind, value in report.user_properties:
            if kind == "fault":
                terminalreporter.write_line(str(value))
    for name, unit in (("storm", "steps"), ("simulation", "hours")):
        told = [
            value
            for report in terminalreporter.getreports("passed")
            for kind, value in report.user_properties
            if kind == name
        ]
        if told:
            ranges = ", ".join(f"{first}-{last}" for first, last, _ in sorted(told))
            total = sum(amount for _, _, amount in told)
            terminalreporter.write_line(f"{name}: {total:,.0f} {unit}; seeds {ranges}")


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Env]:
    """An environment of the test's own, with nothing of it left at the end."""
    from support.e2e import environment

    with environment(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Slurm]:
    """A Slurm for the tests of a file."""
    with slurm.slurm() as made:
        yield made


@pytest.fixture
def slurmed(env: Env, cluster: slurm.Slurm) -> Iterator[Env]:
    """An environment whose server and workers find that Slurm; its jobs end with the test."""
    from support.e2e import wait_until

    env.variables |= cluster.variables
    yield env
    cluster.run("scancel", "--user=root", check=False)
    wait_until(lambda: not cluster.jobs(), "its jobs end", 60)


def _has_gromacs() -> bool:
    return any(shutil.which(name) for name in ("gmx", "gmx_mpi"))


def _has_openmm() -> bool:
    return importlib.util.find_spec("openmm") is not None


def _has_environment_modules() -> bool:
    files = ("/etc/profile.d/modules.sh", "/etc/profile.d/lmod.sh")
    return any(os.access(file, os.R_OK) for file in files)


def _has_fault_tools() -> bool:
    compiled = shutil.which("cc") and Path("/usr/include/stdio.h").exists()
    return bool(compiled and all(map(_is_there, ("ip", "iptables", "mount"))))


def _is_there(program: str) -> bool:
    return bool(shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))


def _has_postgres() -> bool:
    return binaries() is not None


def _has_curl() -> bool:
    return shutil.which("curl") is not None


CHECKS = (
    ("crate_validator", crates.is_there),
    ("curl", _has_curl),
    ("fault_tools", _has_fault_tools),
    ("gromacs", _has_gromacs),
    ("openmm", _has_openmm),
    ("environment_modules", _has_environment_modules),
    ("postgres", _has_postgres),
    ("shells", lambda: all(map(_is_there, ("zsh", "fish", "systemd-analyze")))),
    ("chromium", lambda: _is_there("chromium")),
    ("mpi", lambda: all(map(_is_there, ("mpirun", "mpicc")))),
    ("slurm", slurm.is_there),
    ("parsl", lambda: importlib.util.find_spec("parsl") is not None),
)


@pytest.hookimpl(tryfirst=True)  # before a skip condition of the test's own: CI refuses skips
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, is_there in CHECKS:
        if item.get_closest_marker(name) and not is_there():
            missing(name)


def missing(name: str) -> None:
    """Skip this test, or fail it where nothing may be missing."""
    reason = f"{name} is not installed on this machine"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true", pytrace=False)
    pytest.skip(reason)
