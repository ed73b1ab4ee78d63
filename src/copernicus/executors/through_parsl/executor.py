"""An executor that starts a shim for each program, and a gate that hands it to Parsl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from copernicus.errors import BadSettings
from copernicus.executors.local import LocalExecutor, Process, WardenLost
from copernicus.executors.through_parsl.shim import NOT_RUN

_SHIM = (sys.executable, "-P", "-m", "copernicus.executors.through_parsl.shim")
_LONGEST_PATH = 100


class ParslLost(WardenLost):
    """Parsl lost the node or the process that ran a program: that is not the program's fault."""

    code = "parsl_lost"


class Gate:
    """The process that speaks with Parsl; it ends, with all that Parsl started, with the worker."""

    def __init__(self, config: Path, work_dir: Path) -> None:
        """Start it, and hear what its configuration offers.

        Raises:
            BadSettings: Parsl is not installed, or the configuration is none; says why.
        """
        folder = work_dir / "parsl"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket = Path(tempfile.mkdtemp(prefix="gate-", dir=folder)) / "gate"
        if len(str(self.socket)) > _LONGEST_PATH:
            raise BadSettings(
                f"the work folder {work_dir} has too long a path for --parsl: give --work-dir one "
                f"of at most {_LONGEST_PATH - len(str(self.socket.relative_to(work_dir)))} letters"
            )
        module = "copernicus.executors.through_parsl.gate"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(config.absolute()), str(self.socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line) if line else {"error": "it ended at once"}
        if "error" in told:
            self.close()
            hint = " (pip install 'copernicus[parsl]')" if "parsl" in told["error"] else ""
            raise BadSettings(f"{config} cannot be used with --parsl: {told['error']}{hint}")
        self.cores, self.slots, self.label = told["cores"], told["slots"], told["label"]
        self.spreads: bool = told["node_cores"] > 0

    def close(self) -> None:
        """End it; returns when Parsl has cancelled what it had started."""
        self._process.communicate()


class ParslExecutor(LocalExecutor):
    """Programs run wherever Parsl runs them; to everything else they look like local ones."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    @property
    def prefixes(self) -> bool:
        """Whether Parsl has nodes to spread ranks over."""
        return self._gate.spreads

    def adapted(
        self, argv: Sequence[str], environment: Mapping[str, str], cores: Sequence[int], ranks: int
    ) -> tuple[Sequence[str], Mapping[str, str], Sequence[int]]:
        """The shim of a program; it is bound to no cores here, since the program runs elsewhere."""
        told = {"CPC_REMOTE_ENVIRONMENT": json.dumps(dict(environment)), **_python_path()}
        share = (str(len(cores)), str(ranks))
        return [*_SHIM, str(self._gate.socket), *share, *argv], told, ()

    def ended(self, process: Process, code: int) -> None:
        """Tell a program that Parsl lost from one that ended."""
        if code == NOT_RUN:
            process.over.set_exception(ParslLost("Parsl lost the program or its node"))
        else:
            super().ended(process, code)

    def close(self) -> None:
        """End every program, then Parsl."""
        super().close()
        self._gate.close()


def _python_path() -> dict[str, str]:
    found = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": found} if found else {}
