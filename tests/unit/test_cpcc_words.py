"""Items, functions and ports as old scripts write them."""

import pytest

from copernicus.cpcc.functions import FUNCTIONS, PORTS, function_now, port_now
from copernicus.cpcc.main import main
from copernicus.cpcc.table import COMMANDS, GONE
from copernicus.cpcc.words import function_name, read_item
from copernicus.errors import BadValue, NotFound
from copernicus.model.paths import parse
from copernicus.modules.gromacs import module


@pytest.mark.parametrize(
    ("old", "path"),
    [
        ("grompp:in.conf[0]", "grompp.in.conf[0]"),
        ("grompp.in.conf[+]", "grompp.in.conf[+]"),
        ("grompp:in:conf[+]", "grompp.in.conf[+]"),
        ("a:b:out.x", "a/b.out.x"),
        ("a.b.in.settings[0].name", "a/b.in.settings[0].name"),
        ("my-run:out.xtc", "my_run.out.xtc"),
        ("mdrun[2]", "mdrun[2]"),
        ("mdrun", "mdrun"),
        ("mdrun:in", "mdrun.in."),
        ("x:msg.error", "x.msg.error"),
        ("in:in.x", "in.in.x"),
    ],
)
def test_an_item_is_read_as_it_was_written(old, path):
    item = read_item(old)

    assert item.path() == path
    if item.side in ("in", "out") and item.port:
        assert str(parse(path)) == path


@pytest.mark.parametrize("old", ["", "[", "a:b[", "self:ext_in.x", "fe:sub_in.x", "a]b"])
def test_what_is_no_item_or_lies_inside_a_function_is_refused(old):
    with pytest.raises(BadValue):
        read_item(old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gromacs::grompps", ("gromacs.grompp", ("conf",))),
        ("gromacs:mdruns", ("gromacs.mdrun", ("tpr",))),
        ("gromacs::g_energy", ("gromacs.energy", ())),
        ("lab::own", ("lab.own", ())),
    ],
)
def test_old_functions_have_new_names(old, new):
    assert function_now(old) == new


def test_what_is_gone_says_what_to_do_instead():
    with pytest.raises(NotFound, match="set cores"):
        function_now("gromacs::mdrun_tune")
    with pytest.raises(NotFound, match="cpc log"):
        port_now("gromacs.mdrun", "stderr")
    assert port_now("gromacs.mdrun", "log") == "logs"
    assert port_now("lab.own", "log") == "log"


def test_every_new_name_is_one_of_the_module():
    specs = {name: function.spec for name, function in module.functions.items()}
    for now in FUNCTIONS.values():
        assert all(specs[now.function].input(port) for port in now.mapped)
    for function, names in PORTS.items():
        ports = {port.name for port in (*specs[function].inputs, *specs[function].outputs)}
        assert set(names.values()) <= ports


def test_every_old_command_is_there_or_says_what_came_instead():
    old = """add-server list-server use-server help login add-user delete-user promote-user
    demote-user users grant-access projects p start remove rm cd set-default pwd get-default list ls
    get getf get-file info log graph debug list-modules import instance connect set setf set-file
    transact commit rollback activate deactivate hold clear-error force-rerun upload save load
    status s queue q running r heartbeats h command-failed trust connect-server connected-servers cs
    revoke change-node-priority set-pri network network-graph readconf save-state server-info ping
    stop-server version"""
    known = {name for command in COMMANDS for name in command.names} | set(GONE) | {"help"}
    assert set(old.split()) == known


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "There is no command 'fly'"),
        (["set", "a:in.x"], "Write: cpcc set item value"),
        (["getf", "a:out.x", "-f"], "-f needs a value"),
        (["upload", "x.xml"], "cpc define"),
        (["-c", "client.cnx", "queue"], "cpcc login USER"),
    ],
)
def test_wrong_use_ends_with_one_line_and_a_code(words, said, capsys):
    assert main(words) != 0
    error = capsys.readouterr().err
    assert error.startswith("cpcc: ")
    assert said in error
    assert error.count("\n") == 1


def test_help_shows_all_commands(capsys):
    assert main([]) == 0
    assert "setf, set-file item file" in capsys.readouterr().out
    assert function_name("a::b") == "a.b"
