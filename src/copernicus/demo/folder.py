"""Where a demo keeps its results."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from copernicus.errors import BadSettings, Conflict

LOGS = "logs"


@contextlib.contextmanager
def results_folder(wanted: Path | None) -> Iterator[Path]:
    """A folder for results, with a folder for logs in it; taken away again on Ctrl-C.

    Raises:
        Conflict: The folder has something in it.
        BadSettings: It cannot be made.
    """
    folder = wanted if wanted is not None else _free_name()
    is_new = not folder.exists()
    try:
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
        if len(list(folder.iterdir())) > 1:
            raise Conflict(f"{folder} is not empty: name another folder (--folder)")
    except OSError as error:
        raise BadSettings(
            f"cannot make the folder {folder} ({error.strerror}): name another one (--folder)"
        ) from error
    try:
        yield folder
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder if is_new else folder / LOGS, ignore_errors=True)
        print("\nStopped: nothing is left running, and nothing was kept.", file=sys.stderr)
        raise


def _free_name() -> Path:
    stem = f"copernicus-demo-{datetime.now().astimezone():%Y-%m-%d}"
    numbers = ("", *(f"-{number}" for number in range(2, 1000)))
    names = (Path(stem + number) for number in numbers)
    return next((name for name in names if not name.exists()), Path(f"{stem}-{time.time():.0f}"))
