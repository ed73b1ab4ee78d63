"""Short lives of a store in each of which one call to the disk fails.

``python -m support.failing_store FOLDER ERROR WHICH`` under ``disk_shim.c``: an undisturbed life
shows which calls there are. Then, for call n, a fork of this process lives in the folder
``FOLDER/n``, where that call gives the error, once. A line of JSON tells how each life ended.
WHICH calls: ``every`` one, or the ``last`` of each kind to one file after another one, where
blobs are one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from copernicus.blobs import BlobStore
from copernicus.errors import CopernicusError, ServerBusy
from copernicus.store import Store
from copernicus.store.backup import backup_folder
from copernicus.store.failures import StoreFailed
from support.power_writer import begin, write

LAST = 3
REFUSED, FAILED, BROKEN = 1, 70, 99


def end_of(error: Exception) -> None:
    """As the server: after a failed disk nothing more is done."""
    print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(FAILED)


def insist(step: Callable[[], object]) -> None:
    """Do something, once more if the disk was full."""
    try:
        step()
    except ServerBusy as busy:
        print(busy.message, flush=True)
        step()


def live(folder: Path) -> None:
    """What a server does with its disk, in small; prints what is acknowledged, as ``ack 3``."""
    with Store.open(folder / "server", create=True) as store:
        blobs = BlobStore.in_folder(folder / "server" / "blobs", on_failure=end_of)
        # So that the log goes into the database at each commit, not after a thousand pages.
        with store.database.writing() as connection:
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint=1")
        insist(lambda: begin(store))
        for n in range(1, LAST + 1):
            insist(lambda n=n: write(store, blobs, n))
            print(f"ack {n}", flush=True)
            if n == LAST - 1:
                try:
                    backup_folder(folder / "server", folder / "copy")
                    print("backed up", flush=True)
                except CopernicusError as refusal:
                    print(f"no backup: {refusal.message}", flush=True)


def born(folder: Path, fail: str) -> tuple[int, str]:
    """The exit code of a process that lives with this failure, and what it said."""
    folder.mkdir()
    output = folder.with_suffix(".said")
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, output.read_text()
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 0
    try:
        ctypes.CDLL(None).shim_arm(fail.encode())
        live(folder)
    except StoreFailed as error:
        end_of(error)
    except CopernicusError as refusal:
        print(refusal.message)
        code = REFUSED
    except BaseException:  # noqa: BLE001  # a fork must not come back into its parent's stack
        traceback.print_exc()
        code = BROKEN
    sys.stdout.flush()
    os._exit(code)


def calls_of(said: str) -> list[str]:
    """The calls of an undisturbed life, with no difference made between blobs."""
    found = re.findall(r"^shim: call (.*)$", said, re.MULTILINE)
    return [re.sub(r"(put\.|chunks/|manifests/)[\w/]+$", "a blob", call) for call in found]


def chosen(calls: list[str], which: str) -> list[int]:
    """Which calls fail, by their numbers from 1 on; and one more than there are."""
    if which == "every":
        return list(range(1, len(calls) + 2))
    last = {pair: n for n, pair in enumerate(pairwise(["", *calls]), 1)}
    return [*last.values(), len(calls) + 1]


def main(root: Path, error: str, which: str) -> None:
    # Here, so that no fork has to find out how to speak to the database.
    (root / "warm").mkdir()
    with contextlib.redirect_stdout(sys.stderr):
        live(root / "warm")
    _, said = born(root / "undisturbed", "none:0")
    for n in chosen(calls_of(said), which):
        code, said = born(root / str(n), f"any:{n}:{error}:once")
        print(json.dumps({"n": n, "code": code, "said": said}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
