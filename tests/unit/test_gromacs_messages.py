"""What GROMACS printed (2022.5, recorded), and what a person is told of it."""

from __future__ import annotations

import pytest

from copernicus.modules.gromacs.messages import ENERGY, GROMPP, MDRUN, TRJCONV
from copernicus.worker.outcome import find_fatal

TAIL = """
For more information and tips for troubleshooting, please check the GROMACS
website at http://www.gromacs.org/Documentation/Errors
-------------------------------------------------------
"""

REJECTED = """
Setting the LD random seed to -147031569

WARNING 1 [file md.mdp, line 32]:
  Unknown left-hand 'nstlistt' in parameter file

Generating 1-4 interactions: fudge = 0.5

NOTE 1 [file md.mdp]:
  You are using a plain Coulomb cut-off, which might produce artifacts.

There was 1 note

There was 1 warning
"""
TOO_MANY = """
-------------------------------------------------------
Program:     gmx grompp, version 2022.5
Source file: src/gromacs/gmxpreprocess/grompp.cpp (line 2661)

Fatal error:
Too many warnings (1).
If you are sure all warnings are harmless, use the -maxwarn option.
"""
BAD_MDP = """
ERROR 1 [file bad.mdp, line 32]:
  Invalid enum 'foo' for variable integrator, using 'md'
  Next time, use one of: 'md' 'steep'


-------------------------------------------------------
Program:     gmx grompp, version 2022.5

Fatal error:
There was 1 error in input file(s)
"""
LINCS = """
Step 1, time 0.02 (ps)  LINCS WARNING
relative constraint deviation after LINCS:
rms 19.290247, max 56.145489 (between atoms 2 and 3)
"""
DONE = """
Energies and forces: see the log for information, including the highest force.
Writing final coordinates.

               Core t (s)   Wall t (s)        (%)
       Time:        3.348        3.348      100.0
"""
SETTLE = """
step 12: One or more water molecules can not be settled.
Check for bad contacts and/or reduce the timestep if appropriate.
"""


def fatal(text):
    return f"\n-----\nProgram:     gmx mdrun, version 2022.5\n\nFatal error:\n{text}\n{TAIL}"


def test_grompp_warnings_that_are_too_many():
    assert find_fatal(GROMPP, REJECTED + TOO_MANY + TAIL) == (
        "WARNING 1 [file md.mdp, line 32]:\n  Unknown left-hand 'nstlistt' in parameter file"
    )


def test_grompp_warnings_that_are_accepted():
    assert find_fatal(GROMPP, REJECTED) is None


def test_grompp_fails_for_another_reason_than_an_accepted_warning():
    log = REJECTED + fatal("No molecules were defined in the system")
    assert find_fatal(GROMPP, log) == "No molecules were defined in the system"


def test_grompp_errors_with_all_their_lines():
    assert find_fatal(GROMPP, BAD_MDP + TAIL) == (
        "ERROR 1 [file bad.mdp, line 32]:\n"
        "  Invalid enum 'foo' for variable integrator, using 'md'\n"
        "  Next time, use one of: 'md' 'steep'"
    )


@pytest.mark.parametrize(
    "log",
    [
        LINCS,
        LINCS + fatal("Too many LINCS warnings (1007)\nIf you know what you are doing"),
        SETTLE,
        fatal(
            "Step 50: The total potential energy is nan, which is not finite. The LJ and\n"
            "electrostatic contributions to the energy are 0 and 0, respectively."
        ),
        fatal(
            "Step 0: The total potential energy is 1.2e+15, which is extremely high. The\n"
            "LJ and electrostatic contributions"
        ),
        "Energy minimization has stopped because the force on at least one\n"
        "atom is not finite. This usually means atoms are overlapping.",
        "The largest distance between excluded atoms is 4.711 nm between atom 1 and 6,",
    ],
)
def test_blow_ups(log):
    assert find_fatal(MDRUN, log).startswith("the simulation blew up: ")


@pytest.mark.parametrize("log", ["", DONE, LINCS + DONE, SETTLE + LINCS + DONE])
def test_runs_that_reached_their_end_did_not_blow_up(log):
    assert find_fatal(MDRUN, log) is None


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            "Checkpoint file corrupted/truncated, or maybe you are out of disk space?",
            "the checkpoint that the run was to go on from is damaged",
        ),
        (
            "The input requested 20000 steps, however the checkpoint file has already\n"
            "reached step 50000. The simulation will not proceed, because either your",
            "the run was to go on from a checkpoint that lies beyond nsteps",
        ),
        (
            "Checkpoint file is for a system of 1393 atoms, while the current system\n"
            "consists of 22 atoms",
            "the run was to go on from a checkpoint of another system",
        ),
        ("The box is too small", "The box is too small"),
    ],
)
def test_other_ends_of_mdrun(log, told):
    assert find_fatal(MDRUN, fatal(log)) == told


def test_command_lines_that_are_wrong():
    log = (
        "Error in user input:\nInvalid command-line options\n"
        "  In command-line option -n\n    File 'nofile.ndx' does not exist\n" + TAIL
    )
    assert find_fatal(TRJCONV, log) == (
        "Invalid command-line options\n"
        "  In command-line option -n\n    File 'nofile.ndx' does not exist"
    )


def test_questions_that_were_answered_wrongly():
    log = "Select a group: Error: No such group 'Ligand'\n" + fatal("Cannot read from input")
    assert find_fatal(TRJCONV, log) == "No such group 'Ligand'"
    assert find_fatal(ENERGY, "\nString 'foo' does not match anything\n\n") == (
        "String 'foo' does not match anything"
    )
