"""Scripts of the first Copernicus, as its users wrote them, with real GROMACS behind them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.e2e_gromacs import ALA2, needs_gmx
from support.tutorials import Reader, following

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    yield from following(tmp_path)


@needs_gmx
@pytest.mark.gromacs
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_old_scripts_run_as_they_are(reader: Reader) -> None:
    begin = reader.folder / "begin.md"
    begin.write_text(
        """
```console
$ echo "correct horse battery staple" > password
$ cpc server init srv --name localhost --admin-password-file password
...
$ cpc server start srv --background
...
$ cpc login srv/client.cpc --user admin --password-file password
...
$ cpc worker bundle -o lab.cpc
...
```
```console terminal=worker
$ cpc worker start --bundle lab.cpc --work-dir wk --cores 2
... programs: ...gromacs ...
```
"""
    )
    shutil.copytree(ALA2, reader.folder / "inputs")
    reader.follow(begin)
    reader.follow(HOW_TO / "use-old-scripts.md")

    found = subprocess.run(
        ["gmx", "-quiet", "check", "-f", reader.folder / "traj.xtc"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Last frame         10" in found.stdout + found.stderr
