"""What the validator of the RO-Crate community says of a crate."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.evaluators import TESTS

_PYTHON = TESTS.parent / ".venv-crates" / "bin" / "python"


def is_there() -> bool:
    return _PYTHON.exists()


def judged(crate: Path, severity: str) -> Iterator[tuple[str, str, str]]:
    """Check, entity and message of all findings of this severity."""
    script = Path(__file__).with_name("crate_validator.py")
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "findings.json")
        command = [_PYTHON, script, crate, Path(folder, "cache"), found]
        subprocess.run(command, capture_output=True, check=True)
        findings = json.loads(found.read_text())
    for level, *finding in findings:
        if level == severity:
            yield tuple(finding)
