"""What a batch job of a pool runs: a worker, in the folder of its allocation."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from copernicus.model.pools import Provision

BUNDLE, WORK, OUTPUT = "worker.cpc", "work", "worker.log"
_GRACE_S = 60.0


def script_of(asked: Provision, folder: str) -> str:
    """The lines. The secret that lets the worker join is in a file there, never in the script.

    The worker takes the place of the shell, so that what the batch system signals reaches it.
    """
    command = [*(asked.command or (sys.executable, "-m", "copernicus"))]
    command += ["worker", "start", "--bundle", BUNDLE, "--work-dir", WORK]
    command += ["--cores", str(asked.cores), "--walltime", f"{asked.walltime_s:.0f}"]
    if not asked.min:
        # Where the server is away, nobody else would end it: not before the server would.
        command += ["--idle-exit", f"{2 * asked.idle_s + _GRACE_S:.0f}"]
    if asked.memory_mb:
        command += ["--memory", str(asked.memory_mb)]
    for label in asked.labels:
        command += ["--label", label]
    command += asked.worker
    lines = [
        f"cd {shlex.quote(folder)} || exit 1",
        f"exec >>{OUTPUT} 2>&1",
        "umask 077",
        *asked.setup,
        f"exec {shlex.join(command)}",
    ]
    return "\n".join(lines)


def last_words(folder: Path, kept: dict[str, object], most: int = 300) -> str:
    """What an allocation wrote last: the worker, or the batch job where no worker came to be."""
    files = [folder / OUTPUT, kept.get("job_stderr_path"), kept.get("job_stdout_path")]
    if isinstance(kept.get("script_path"), str):
        files.append(f"{kept['script_path']}.err")
    for file in files:
        if isinstance(file, str | Path) and Path(file).is_file():
            lines = Path(file).read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][-most:]
    return ""


def left_results(folder: Path) -> bool:
    """Whether its worker left results that no server has taken."""
    return any((folder / WORK / "spool").glob("*.result"))
