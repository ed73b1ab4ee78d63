"""All functions of the module ``gromacs``."""

from copernicus.modules.gromacs.grompp import grompp
from copernicus.modules.gromacs.mdrun import mdrun
from copernicus.modules.gromacs.texts import edit_mdp, join_xvg, read_xvg
from copernicus.modules.gromacs.tools import eneconv, energy, trjcat, trjconv
from copernicus.modules.gromacs.tune import benchmark, tune
from copernicus.sdk import Module
from copernicus.version import __version__

module = Module(
    "gromacs",
    __version__,
    [
        grompp,
        mdrun,
        trjconv,
        trjcat,
        energy,
        eneconv,
        edit_mdp,
        join_xvg,
        read_xvg,
        benchmark,
        tune,
    ],
    doc="Molecular dynamics with GROMACS.",
)
