"""A server reduced to its store: commits for ever, and says what was acknowledged.

Run as ``python -m support.store_writer FOLDER``. Transaction n appends ``size(n)`` events, gives
the one job n attempts and the audit log its n-th entry; then ``n`` is printed.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from copernicus.errors import CopernicusError
from copernicus.store import Entry, Store
from support.stores import created, facts, job, project

PROJECT = "p-villin"


def size(n: int) -> int:
    """How many events transaction ``n`` appends."""
    return 1 + n % 7


def position_after(n: int) -> int:
    """Where the journal is after transaction ``n``."""
    return 1 + sum(size(k) for k in range(1, n + 1))


def commit(store: Store, n: int) -> None:
    """Transaction ``n``."""
    start = position_after(n - 1)
    events = facts(size(n), start)
    with store.transaction() as tx:
        tx.append(PROJECT, [Entry(start + k, n, 1.0 * n, e) for k, e in enumerate(events, 1)])
        tx.save_rows([job(1, "leased", attempts=n)])
        tx.audit(at=n, actor="ann", source="::1", action="test", object=str(n), outcome="done")


def last_committed(store: Store) -> int:
    """The number of the last transaction, after a check that each one is there as a whole."""
    if not store.projects():
        return 0
    row = store.job(job(1).id)
    n = row.attempts if row else 0
    assert store.project(PROJECT).position == position_after(n)
    assert list(store.load_project(PROJECT)) == [created(), *facts(position_after(n) - 1, 1)]
    assert len(store.audit_log(limit=10**6)) == n
    assert store.check_audit().broken is None
    return n


def main(folder: Path) -> None:
    """Commit until killed."""
    with Store.open(folder, create=True) as store:
        if not store.projects():
            with store.transaction() as tx:
                tx.add_project(project())
                tx.append(PROJECT, [Entry(1, 1, 1.0, created())])
        for n in count(last_committed(store) + 1):
            commit(store, n)
            print(n, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except CopernicusError as error:
        sys.exit(f"{error.code}: {error.message}")
