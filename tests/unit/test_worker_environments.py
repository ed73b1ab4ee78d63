"""Programs that need environment modules or a conda environment: real modules, real shells."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from copernicus.errors import BadSettings
from copernicus.model.resources import ProgramNeed
from copernicus.worker.environments import Surroundings, variables_of
from copernicus.worker.program_file import read_programs

needs_modules = pytest.mark.environment_modules


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says} $MYSIM_DATA\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A site with mysim in two versions, each a module of its own."""
    for version in ("2.0", "3.1"):
        home = tmp_path / "opt" / version
        program(home / "bin" / "mysim", f"mysim {version}")
        file = tmp_path / "modulefiles" / "mysim" / version
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"#%Module1.0\nprepend-path PATH {home}/bin\n"
            f"prepend-path LD_LIBRARY_PATH {home}/lib\nsetenv MYSIM_DATA {{a b}}\n"
        )
    monkeypatch.setenv("MODULEPATH", str(tmp_path / "modulefiles"))
    for name in ("LOADEDMODULES", "_LMFILES_"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    file = folder / "programs.toml"
    file.write_text(text)
    return file


ENTRY = """
[[programs.mysim]]
command = ["mysim"]
modules = ["mysim/{version}"]
version = {{argv = ["{{program}}"], regex = 'mysim (\\S+)'}}
"""


@needs_modules
def test_two_versions_of_a_program_come_from_two_modules(modules):
    text = ENTRY.format(version="3.1") + ENTRY.format(version="2.0")
    found = read_programs(write(modules, text)).programs
    assert [(p.name, p.version) for p in found.offered] == [("mysim", "3.1"), ("mysim", "2.0")]
    old = found.find(ProgramNeed("mysim", "<3"))
    assert old.command == (str(modules / "opt/2.0/bin/mysim"),)
    assert old.environment["MYSIM_DATA"] == "a b"
    assert old.environment["PATH"].startswith(str(modules / "opt/2.0/bin"))
    assert old.environment["LD_LIBRARY_PATH"].startswith(str(modules / "opt/2.0/lib"))
    assert "module mysim/2.0" in old.source
    assert "HOME" not in old.environment
    assert not any("BASH_FUNC" in name for name in old.environment)


@needs_modules
def test_a_module_without_a_version_is_the_sites_default(modules):
    found = variables_of(Surroundings(modules=("mysim",)))
    assert found["LOADEDMODULES"] == "mysim/3.1"


@needs_modules
def test_a_module_that_is_not_there_is_refused_with_what_the_site_says(modules):
    found = read_programs(write(modules, ENTRY.format(version="9"))).programs
    assert not found.offered
    assert "mysim/9" in found.refused[0].reason
    with pytest.raises(BadSettings, match=r"programs\.mysim\[0\] \(module mysim/9\)"):
        found.check()


@needs_modules
def test_names_of_modules_are_no_shell_lines(modules):
    with pytest.raises(BadSettings):
        variables_of(Surroundings(modules=(f"x; touch {modules}/made",)))
    assert not (modules / "made").exists()


def test_an_old_module_command_that_fails_with_0_is_noticed(tmp_path):
    init = tmp_path / "init"
    init.write_text('module() { echo "Unable to locate a modulefile" >&2; }\n')
    with pytest.raises(BadSettings, match="did not load it; loaded: nothing"):
        variables_of(Surroundings(modules=("mysim",), init=str(init)))


def test_the_init_file_may_be_named(tmp_path):
    init = tmp_path / "init"
    init.write_text('module() { echo loading; export LOADEDMODULES="$2" X="it\'s"; }\n')
    text = f"module_init = '{init}'\n[programs.x]\ncommand=['/bin/sh']\nmodules=['x']\n"
    found = read_programs(write(tmp_path, text)).programs
    assert found.offered[0].environment == {"LOADEDMODULES": "x", "X": "it's"}


def conda(prefix: Path) -> Path:
    program(prefix / "bin" / "mysim", "mysim 4.2")
    (prefix / "conda-meta").mkdir()
    state = {"env_vars": {"MYSIM_DATA": "/data", "odd; name": "x"}}
    (prefix / "conda-meta" / "state").write_text(json.dumps(state))
    scripts = prefix / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "mysim.sh").write_text('export MYSIM_HOME="$CONDA_PREFIX/share"; echo activated\n')
    return prefix


def test_a_conda_environment_is_activated(tmp_path):
    prefix = conda(tmp_path / "envs" / "md's")
    text = (
        f'[programs.mysim]\ncommand=["mysim"]\nconda="{prefix}"\nenvironment={{MYSIM_X="1"}}\n'
        "version={argv=['{program}'], regex='(\\d.*)'}\n"
    )
    found = read_programs(write(tmp_path, text)).programs.offered[0]
    assert found.command == (str(prefix / "bin/mysim"),)
    assert found.version == "4.2 /data"
    assert found.environment["CONDA_PREFIX"] == str(prefix)
    assert found.environment["CONDA_DEFAULT_ENV"] == "md's"
    assert found.environment["MYSIM_HOME"] == f"{prefix}/share"
    assert found.environment["MYSIM_X"] == "1"
    assert found.environment["PATH"] == f"{prefix}/bin:{os.environ['PATH']}"


def test_a_folder_that_is_no_conda_environment_is_refused(tmp_path):
    with pytest.raises(BadSettings, match="no folder conda-meta"):
        variables_of(Surroundings(conda=str(tmp_path)))


def test_a_broken_activation_says_what_it_said(tmp_path):
    prefix = conda(tmp_path / "env")
    (prefix / "etc/conda/activate.d/zz.sh").write_text("echo no licence >&2; exit 3\n")
    with pytest.raises(BadSettings, match="no licence"):
        variables_of(Surroundings(conda=str(prefix)))
