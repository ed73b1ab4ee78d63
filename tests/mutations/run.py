"""Take each rule of ``rules.toml`` out of a copy of the tree, and see that its test notices.

``python -m mutations.run [NAME ...]`` in ``tests``. The same tests pass before.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations.rules import ROOT, Rule, read_rules

_COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md")
_FAILED = 1
"""Pytest's exit code when tests ran and some failed; others mean that nothing was tried."""


def copy_tree(to: Path) -> Path:
    """What the tests need of the tree, without what they have left in it."""
    for name in _COPIED:
        source, target = ROOT / name, to / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return to


def run_tests(tree: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """These tests, of this tree and on its source."""
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    path = os.pathsep.join([str(tree / "src"), str(tree / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        argv, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def notices(tree: Path, rule: Rule) -> bool:
    """Whether the test of a rule fails once the rule is gone; the tree is as before at the end."""
    file = tree / rule.file
    before = file.read_text()
    file.write_text(rule.taken_out_of(before))
    try:
        done = run_tests(tree, [rule.test])
    finally:
        file.write_text(before)
    return done.returncode == _FAILED


def main(names: list[str]) -> int:
    """0 if every test noticed."""
    rules = [rule for rule in read_rules() if not names or rule.name in names]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = copy_tree(Path(folder))
        whole = run_tests(tree, [rule.test for rule in rules])
        if whole.returncode != 0:
            print(whole.stdout[-3000:], file=sys.stderr)
            print("The tests do not pass as it is: mend that first.", file=sys.stderr)
            return 1
        missed = 0
        for rule in rules:
            noticed = notices(tree, rule)
            missed += not noticed
            print(f"{'noticed' if noticed else 'MISSED '}  {rule.name}: {rule.test}", flush=True)
    print(f"{len(rules) - missed} of {len(rules)} rules: their test fails without them")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
