"""grompp and the tools around simulations, with the real gmx on a real worker."""

from __future__ import annotations

import pytest

from copernicus.modules.gromacs.functions import (
    eneconv,
    energy,
    grompp,
    join_xvg,
    mdrun,
    read_xvg,
    trjcat,
    trjconv,
)
from copernicus.modules.gromacs.texts import table_of
from copernicus.sdk.calling import Task, running
from support.gromacs import ALA2, EVERY, Lab, held
from support.worker_process import worker
from support.worker_server import scripted_server

pytestmark = pytest.mark.gromacs

STEPS = 10_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gromacs")
    with scripted_server(folder) as server, worker(server, folder / "w", cores=1):
        yield Lab(server, folder)


@pytest.fixture(scope="module")
def tpr(lab):
    return lab.tpr()


@pytest.fixture(scope="module")
def simulated(lab, tpr):
    return lab.run(mdrun(tpr, nsteps=STEPS))


def reason(lab, command):
    result = lab.run(command)
    assert result.outcome == "failed"
    return result.failure.reason


def grompp_ala2(lab, **changes):
    given = {
        "conf": lab.put_ala2("start0.gro"),
        "top": lab.put_ala2("topol.top"),
        "mdp": lab.mdp(),
    }
    return grompp(**{**given, **changes})


# --- grompp ---


def test_grompp_gives_parameters_and_its_log(lab):
    result = lab.run(grompp_ala2(lab))
    assert "nstxout-compressed       = 500" in lab.text(lab.file(result, "mdout"))
    assert "plain Coulomb cut-off" in result.outputs["log"]
    assert lab.file(result, "tpr").name == "topol.tpr"


def test_grompp_error_is_the_reason(lab):
    said = reason(lab, grompp_ala2(lab, mdp=lab.mdp(integrator="foo")))
    assert said.startswith("ERROR 1 [file grompp.mdp, line ")
    assert "Invalid enum 'foo' for variable integrator" in said
    assert "-------" not in said
    assert "GROMACS website" not in said


def test_grompp_warning_is_the_reason_unless_it_is_accepted(lab):
    mdp = lab.mdp(nstenergy=250)
    said = reason(lab, grompp_ala2(lab, mdp=mdp))
    assert said.startswith("WARNING 1 [file grompp.mdp")
    assert said.endswith(
        "nstenergy should be a multiple of nstcalcenergy, changing nstenergy to 300"
    )
    assert lab.run(grompp_ala2(lab, mdp=mdp, maxwarn=1)).outcome == "completed"


@pytest.mark.parametrize(
    ("port", "text", "told"),
    [
        ("top", '#include "nowhere.itp"\n', "nowhere.itp"),
        ("conf", "empty\n", "gro file does not have the number of atoms on the second line"),
        ("mdp", "integrator = md\nnsteps = many\n", "nsteps"),
    ],
)
def test_grompp_names_what_is_broken(lab, port, text, told):
    name = {"top": "topol.top", "conf": "conf.gro", "mdp": "md.mdp"}[port]
    said = reason(lab, grompp_ala2(lab, **{port: lab.put(name, text)}))
    assert told in said
    assert said.count("\n") < 8


def test_grompp_takes_included_files_groups_and_a_state(lab, simulated):
    text = (ALA2 / "topol.top").read_text()
    start = text.index("[ moleculetype ]")
    end = text.index("[ system ]")
    result = lab.run(
        grompp_ala2(
            lab,
            top=lab.put("topol.top", text[:start] + '#include "ala.itp"\n' + text[end:]),
            include=[lab.put("ala.itp", text[start:end])],
            ndx=lab.put("my.ndx", "[ System ]\n" + " ".join(map(str, range(1, 23))) + "\n"),
            ref=lab.put_ala2("start0.gro"),
            state=lab.file(simulated, "cpt"),
        )
    )
    assert result.outcome == "completed", result.failure
    assert "Using frame at t = 20 ps" in result.outputs["log"]


# --- tools ---


def test_a_frame_is_a_new_start(lab, tpr, simulated):
    result = lab.run(trjconv(lab.file(simulated, "xtc"), tpr, dump=10.0, format="gro"))
    frame = lab.file(result, "trajectory")
    assert frame.name == "frame.gro"
    assert "t=  10.00000" in lab.text(frame).splitlines()[0]
    assert lab.run(grompp_ala2(lab, conf=frame)).outcome == "completed"


def test_part_of_a_trajectory_thinned_and_centred(lab, tpr, simulated):
    result = lab.run(
        trjconv(
            lab.file(simulated, "xtc"),
            tpr,
            group="Protein",
            center="Protein",
            pbc="mol",
            start=4.0,
            end=12.0,
            every=2.0,
        )
    )
    assert lab.check(lab.file(result, "trajectory")) == (5, 2.0)


def test_unknown_group_is_named(lab, tpr, simulated):
    said = reason(lab, trjconv(lab.file(simulated, "xtc"), tpr, group="Ligand"))
    assert said == "No such group 'Ligand'"


def test_energies_as_numbers(lab, simulated):
    edr = lab.file(simulated, "edr")
    result = lab.run(energy(edr, ["Potential", "Total Energy", "Proper Dih."]))
    found = read_xvg(lab.local(lab.file(result, "xvg")))
    assert found.names == ["Proper Dih.", "Potential", "Total Energy"]
    assert found.x == [float(time) for time in range(21)]
    assert all(total > potential for _, potential, total in zip(*found.columns, strict=True))
    assert "Err.Est." in result.outputs["averages"]
    part = lab.run(energy(edr, ["Temperature"], start=5, end=15))
    assert table_of(lab.text(lab.file(part, "xvg")), "x").x == [float(t) for t in range(5, 16)]


def test_unknown_term_is_named(lab, simulated):
    said = reason(lab, energy(lab.file(simulated, "edr"), ["Potential", "Joy"]))
    assert said == "String 'Joy' does not match anything"


def test_runs_that_follow_each_other_are_joined(lab, tpr, simulated):
    longer = lab.run(mdrun(tpr, nsteps=2 * STEPS), held(simulated.checkpoint))
    xtc = lab.run(trjcat([lab.file(r, "xtc") for r in (simulated, longer)]))
    assert lab.check(lab.file(xtc, "trajectory")) == (2 * STEPS // EVERY + 1, 1.0)
    edr = lab.run(eneconv([lab.file(r, "edr") for r in (simulated, longer)]))
    assert lab.check(lab.file(edr, "edr"))[0] == 2 * STEPS // EVERY + 1


def test_free_energy_derivatives_of_all_parts(lab, tmp_path):
    mdp = lab.mdp(
        free_energy="yes",
        couple_moltype="Protein_chain_A",
        couple_lambda0="vdw-q",
        couple_lambda1="none",
        couple_intramol="yes",
        init_lambda_state=1,
        fep_lambdas="0 0.1 0.2",
        nstdhdl=EVERY,
    )
    tpr = lab.tpr(mdp, maxwarn=2)
    first = lab.run(mdrun(tpr, nsteps=STEPS))
    second = lab.run(mdrun(tpr, nsteps=2 * STEPS), held(first.checkpoint))
    parts = [lab.local(part) for part in lab.files(second, "dhdl")]
    assert len(parts) == 2
    with running(Task(tmp_path)):
        joined = join_xvg(parts).xvg
    table = table_of(joined.path.read_text(), "dhdl.xvg")
    assert table.x == [float(time) for time in range(41)]
    assert len(table.columns) == 4
