"""Runs of the OpenMM runner as a program, in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

ALA2 = Path(str(files("copernicus.modules"))) / "data" / "ala2"


def wait_until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    """Wait for a condition; fails after the timeout."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.002)


@dataclass(frozen=True)
class Runs:
    """The folder of a run and the settings that it is started with."""

    folder: Path
    structure: Path = ALA2 / "start0.pdb"

    def start(self, *arguments: str, **settings: Any) -> subprocess.Popen[str]:
        """Start the program; it runs until it is waited for or killed."""
        chosen = {"temperature_K": 600, "seed": 7, "report_interval": 50} | settings
        (self.folder / "settings.json").write_text(json.dumps(chosen))
        command = [sys.executable, "-m", "copernicus.modules.openmm.runner"]
        command += ["--settings", "settings.json", "--structure", str(self.structure), *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def finish(self, *arguments: str, **settings: Any) -> tuple[int, str, str]:
        """Run the program to its end: exit code, output, errors."""
        process = self.start(*arguments, **settings)
        output, errors = process.communicate(timeout=100)
        return process.returncode, output, errors

    def sidecar(self) -> dict[str, Any]:
        """What the latest checkpoint says."""
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def table(self, name: str = "energies.csv") -> list[list[float]]:
        """Rows of a table of energies."""
        lines = (self.folder / name).read_text().splitlines()[1:]
        return [[float(field) for field in line.split(",")] for line in lines]
