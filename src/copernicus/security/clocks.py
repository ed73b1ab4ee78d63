"""By how much this machine's clock and the server's differ, in words.

Certificates hold from one date to another, so a clock that is far off keeps people and workers
from their server, and all that TLS says is that a certificate is not valid.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_TOLERANCE = timedelta(minutes=2)


def clock_note(headers: Mapping[str, str]) -> str:
    """A sentence about this machine's clock, if the ``Date`` of an answer shows that it is off."""
    try:
        theirs = email.utils.parsedate_to_datetime(headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return ""
    off = datetime.now(UTC) - theirs
    if abs(off) < _TOLERANCE:
        return ""
    way = "ahead of" if off > timedelta(0) else "behind"
    return (
        f" This machine's clock is {_amount(abs(off))} {way} the server's, which says "
        f"{theirs:%Y-%m-%d %H:%M:%S} UTC: set the one that is wrong."
    )


def _amount(off: timedelta) -> str:
    seconds = off.total_seconds()
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
