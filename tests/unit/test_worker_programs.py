"""What a worker finds on its machine, and what its administrator may write."""

from __future__ import annotations

import shutil
import sys

import pytest

from copernicus.errors import BadSettings
from copernicus.model.resources import ProgramNeed
from copernicus.worker.outcome import explain_exit, find_fatal
from copernicus.worker.program_file import read_programs
from copernicus.worker.programs import Programs, find_gromacs, find_programs


def write(tmp_path, text):
    file = tmp_path / "programs.toml"
    file.write_text(text)
    return file


def offered(programs: Programs, name: str, versions: str = ""):
    found = programs.find(ProgramNeed(name, versions))
    assert found is not None, programs
    return found


def test_a_configured_program(tmp_path):
    file = write(tmp_path, '[programs.x]\ncommand = ["/bin/echo", "-n"]\nversion = "1.2"\n')
    assert offered(read_programs(file).programs, "x").command == ("/bin/echo", "-n")
    assert offered(find_programs(file), "x").offer.version == "1.2"


def test_a_version_can_be_asked_for(tmp_path):
    text = (
        '[programs.x]\ncommand = ["/bin/sh"]\n'
        'version = {argv = ["{program}", "-c", "echo x version 3.4-rc"], '
        'regex = "version ([0-9.]+)"}\n'
    )
    assert offered(read_programs(write(tmp_path, text)).programs, "x").version == "3.4"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[programs.x\n", "line 1"),
        ("[other]\na=1\n", "other"),
        ("[programs]\nx = 1\n", "programs.x"),
        ("[programs.x]\nversion='1'\n", "programs.x.command"),
        ("[programs.x]\ncommand='gmx mdrun'\n", "programs.x.command"),
        ("[programs.x]\ncommand=['/no/such']\n", "/no/such"),
        ("[programs.x]\ncommand=['/bin/sh']\nverison='1'\n", "programs.x.verison"),
        ("[programs.x]\ncommand=['/bin/sh']\nversion=1\n", "programs.x.version"),
        (
            "[programs.x]\ncommand=['/bin/sh']\nversion={argv=['{program}','-c','true'],regex='v'}\n",
            "printed nothing",
        ),
        (
            "[programs.x]\ncommand=['/bin/sh']\nversion={argv=['{program}'],regex='('}\n",
            "programs.x.version.regex",
        ),
    ],
)
def test_a_broken_file_is_named_with_its_key(tmp_path, text, named):
    file = write(tmp_path, text)
    with pytest.raises(BadSettings) as error:
        read_programs(file).programs.check()
    assert named in error.value.message
    assert str(file) in error.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadSettings, match=r"nowhere\.toml"):
        read_programs(tmp_path / "nowhere.toml")


@pytest.mark.gromacs
@pytest.mark.skipif(shutil.which("gmx") is None, reason="needs gmx")
def test_the_real_gromacs_tells_its_version():
    found = find_gromacs()
    assert found.command == (shutil.which("gmx"),)
    assert find_programs(None).find(ProgramNeed("gromacs", ">=2018")) == found
    assert found.version.split(".")[0].isdigit()
    assert all(part.isdigit() for part in found.version.split("."))


def test_gromacs_version_of_a_distribution(tmp_path, monkeypatch):
    gmx = tmp_path / "gmx"
    gmx.write_text("#!/bin/sh\necho 'GROMACS version:    2022.5-Debian_2022.5_2'\n")
    gmx.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_gromacs().version == "2022.5"


def test_scripts_need_consent_and_modules_do_not():
    found = find_programs(None)
    assert offered(found, "module/analysis").version
    assert {r.name for r in found.refused} == {"python", "sh"}
    assert all("--allow-scripts" in r.reason for r in found.refused)
    found.check()
    allowed = find_programs(None, allow_scripts=True)
    assert offered(allowed, "python").command == (sys.executable,)
    assert not allowed.refused


def test_the_programs_file_may_allow_scripts_or_name_a_python_of_its_own(tmp_path):
    assert offered(find_programs(write(tmp_path, "allow_scripts = true\n")), "sh")
    text = "[programs.python]\ncommand = ['/bin/sh']\nversion = '3'\n"
    found = find_programs(write(tmp_path, text))
    assert offered(found, "python").command == ("/bin/sh",)
    assert found.find(ProgramNeed("sh")) is None


def test_all_alternatives_that_work_are_offered_and_the_others_have_a_reason(tmp_path):
    text = """
[[programs.x]]
command = ["/no/such"]
[[programs.x]]
command = ["/bin/sh"]
version = "2.1"
[[programs.x]]
command = ["/bin/sh", "-e"]
version = "1.9"
[[programs.x]]
command = ["/bin/echo"]
version = "2.1"
"""
    found = find_programs(write(tmp_path, text))
    found.check()
    assert offered(found, "x").version == "2.1"
    assert offered(found, "x", "<2").command == ("/bin/sh", "-e")
    reasons = {r.source.rpartition(": ")[2]: r.reason for r in found.refused if r.name == "x"}
    assert "/no/such" in reasons["programs.x[0]"]
    assert "programs.x[1]" in reasons["programs.x[3]"]


def test_an_optional_program_may_be_missing(tmp_path):
    text = "[programs.x]\ncommand = ['/no/such']\noptional = true\n"
    found = find_programs(write(tmp_path, text))
    found.check()
    assert any(r.name == "x" and not r.wanted for r in found.refused)


def test_a_command_template_knows_the_folder_of_its_job(tmp_path):
    text = """
[programs.boxed]
command = ["/bin/sh", "-c", "cd {folder} && pwd", "{folder}"]
version = {argv = ["{program}"], regex = 'cpc-version-(.)'}
"""
    found = offered(read_programs(write(tmp_path, text)).programs, "boxed")
    assert found.command_in(tmp_path)[-1] == str(tmp_path)
    assert found.version


def test_words_for_ends_and_logs():
    assert explain_exit("gmx", -6).failure.reason == "gmx aborted itself"
    assert explain_exit("gmx", 137).failure.cause == "resource"
    assert explain_exit("gmx", 130).failure.cause == "job_error"
    assert find_fatal({"(?i)fatal": "it broke", "x": "no"}, "a\nFATAL\n") == "it broke"
    assert find_fatal({"bad .*": ""}, "bad luck") == "bad luck"
    assert find_fatal({"x": "no"}, "fine") is None


def test_the_launcher_that_parsl_gives_needs_a_worker_that_hands_its_jobs_to_it(tmp_path):
    text = "[programs.x]\ncommand = ['/bin/sh']\nlauncher = ['{parsl_mpi_prefix}', '-v']\n"
    found = find_programs(write(tmp_path, text))
    assert offered(found, "x").launcher == ("{parsl_mpi_prefix}", "-v")
    found.check(prefixes=True)
    with pytest.raises(BadSettings, match=r"programs\.x.*only a worker with --parsl"):
        found.check()
