"""Fuzz every parser for a while: ``python -m fuzz.run [--seconds S] [GROUP ...]`` in ``tests``.

Needs atheris (``make fuzz``). An input at which a parser breaks is kept in a file, whose name is
told: ``python -m fuzz.run GROUP --again FILE`` reads it again.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON = (3, 11)
"""For which atheris has a wheel here; elsewhere it would have to be built with a Clang."""
MEMORY_MB = 2048
ONE_INPUT_S = 20


def main() -> int:
    """All groups, or some; the exit status says whether any parser broke."""
    if sys.version_info[:2] != PYTHON:
        print(f"Not fuzzed: atheris is for Python {'.'.join(map(str, PYTHON))}.")
        return 0
    parser = argparse.ArgumentParser(prog="fuzz.run")
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--seconds", type=int, default=300, help="for each group")
    parser.add_argument("--again", type=Path, help="read this input only")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.folder:
        fuzz(asked.groups[0], asked.folder, asked.seconds, asked.again)
    groups = asked.groups or list(_groups())
    return max(abs(_process(group, asked.seconds, asked.again)) for group in groups)


def _groups() -> dict[str, tuple[str, ...]]:
    from fuzz.groups import GROUPS

    return GROUPS


def _process(group: str, seconds: int, again: Path | None) -> int:
    """One group in a process of its own: libFuzzer ends the process that it runs in."""
    print(f"{group}: {', '.join(_groups()[group])}", flush=True)
    folder = tempfile.mkdtemp(prefix=f"fuzz-{group}-")
    argv = [sys.executable, "-m", "fuzz.run", group, "--folder", folder]
    argv += ["--seconds", str(seconds), *(("--again", str(again)) if again else ())]
    status = subprocess.run(argv, check=False).returncode
    if status == 0:
        shutil.rmtree(folder)
    return status


def fuzz(group: str, folder: Path, seconds: int, again: Path | None) -> None:
    """Does not return. What breaks a parser is kept in the folder."""
    import atheris

    with atheris.instrument_imports(include=["copernicus"]):
        from fuzz import groups

    corpus, scratch, pieces = folder / "corpus", folder / "scratch", folder / "pieces"
    corpus.mkdir()
    scratch.mkdir()
    groups.write_corpus(group, corpus)
    groups.write_dictionary(pieces)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={groups.LONGEST}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={ONE_INPUT_S}",
        f"-dict={pieces}",
        f"-artifact_prefix={folder}/",
        "-seed=1",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        ["fuzz", *options, str(again or corpus)],
        lambda content: groups.read(group, content, scratch),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
