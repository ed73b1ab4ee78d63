"""``python -m copernicus.provision``: JSON lines, ``Ask`` in and ``Told`` out."""

from __future__ import annotations

import os
import sys

import msgspec

from copernicus.executors.orphans import die_with_parent
from copernicus.provision.desk import Desk
from copernicus.provision.messages import Ask


def main() -> None:
    """Answer until the server closes the pipe, or dies."""
    die_with_parent(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    desk = Desk()
    for line in sys.stdin.buffer:
        told = desk.carry_out(msgspec.json.decode(line, type=Ask))
        answers.write(msgspec.json.encode(told) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
