"""Lets a GROMACS that is built with MPI (``gmx_mpi``) take the command lines of this module.

    python -m copernicus.modules.gromacs.mpi /path/to/gmx_mpi mdrun -ntmpi 1 ...

Such a build refuses ``-ntmpi``, without which any other starts as many ranks as it sees cores.
This removes the option and becomes ``gmx_mpi``, as one rank. A worker's program file names it:

    [programs.gromacs]
    command = ["{python}", "-P", "-m", "copernicus.modules.gromacs.mpi", "gmx_mpi"]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def without_ranks(arguments: Sequence[str]) -> list[str]:
    """The arguments without ``-ntmpi N``."""
    kept = list(arguments)
    while "-ntmpi" in kept:
        at = kept.index("-ntmpi")
        del kept[at : at + 2]
    return kept


def main() -> None:
    """Become the program that is named first, with the rest as its arguments."""
    program, *arguments = sys.argv[1:]
    os.execvp(program, [program, *without_ranks(arguments)])  # noqa: S606 - what it is for


if __name__ == "__main__":
    main()
