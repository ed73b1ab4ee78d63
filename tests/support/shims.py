"""Libraries of C that are preloaded under a process, to stand between it and the machine."""

from __future__ import annotations

import subprocess
from pathlib import Path


def build(name: str, folder: Path) -> Path:
    """The library made of ``name.c`` beside this file, in this folder."""
    source, made = Path(__file__).with_name(f"{name}.c"), folder / f"{name}.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-Wall", "-o", str(made), str(source), "-ldl"], check=True
    )
    return made
