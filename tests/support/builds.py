"""Real builds of other versions: the tree with other numbers, as a wheel, in an environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

TREE = Path(__file__).parents[2]
_PARTS = ("src", "pyproject.toml", "README.md", "LICENSE")


def build(root: Path, version: str, protocol: int) -> str:
    """Make this version, which also says more than this tree knows; the Python that has it."""
    tree = root / f"tree-{version}"
    for part in _PARTS:
        copy = shutil.copytree if (TREE / part).is_dir() else shutil.copy
        tree.mkdir(parents=True, exist_ok=True)
        copy(TREE / part, tree / part)
    package = tree / "src" / "copernicus"
    _change(tree / "pyproject.toml", r'^version = ".*"', f'version = "{version}"')
    _change(package / "version.py", r'__version__ = ".*"', f'__version__ = "{version}"')
    _change(package / "protocol" / "common.py", r"^PROTOCOL = \d+", f"PROTOCOL = {protocol}")
    said = f'\\g<0>\n    said_by: str = "{version}"'
    _change(package / "protocol" / "machine.py", r"^    protocol: int = 1", said)
    _change(package / "protocol" / "machine.py", r"^    drain: bool = False", said)
    _change(package / "protocol" / "user.py", r"^    pools: tuple\[str, \.\.\.\] = \(\)", said)
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(root)]
    subprocess.run(argv, cwd=tree, check=True, capture_output=True, timeout=120)
    (wheel,) = root.glob(f"copernicus-{version}-*.whl")
    return _installed(root / f"env-{version}", wheel)


def _change(file: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, file.read_text("utf-8"), flags=re.MULTILINE)
    assert count, f"nothing like {pattern} in {file}"
    file.write_text(text, "utf-8")


def _installed(place: Path, wheel: Path) -> str:
    """An environment with this wheel, and with what this one has of all else."""
    venv.create(place, with_pip=False, symlinks=True)
    python = str(place / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (site,) = place.glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("-packages")]
    (site / "others.pth").write_text("\n".join(others))
    return python
