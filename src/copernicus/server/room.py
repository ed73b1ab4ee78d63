"""Whether the server's disk has room: without it no new work begins, before a write fails.

Workers still deliver what they finished, people still look and edit; what would bring much more
data is refused. It goes on by itself once there is room again.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from copernicus.errors import ServerBusy
from copernicus.telemetry import get_logger

if TYPE_CHECKING:
    from copernicus.server.batch import Batch
    from copernicus.server.site import Site

_LOG = get_logger("disk")
MIB: Final = 2**20
_AGAIN: Final = 1.1


class Room:
    """The disk of a server's folder, as it was at the last ``look``."""

    def __init__(self, folder: Path, min_free_mb: int) -> None:
        self._folder = folder
        self._min_free = min_free_mb * MIB
        self.free = 0
        self.is_low = False
        self.look()

    def look(self) -> bool:
        """Look again; whether that changed ``is_low``. A little more must come free than went."""
        self.free = shutil.disk_usage(self._folder).free
        was_low = self.is_low
        self.is_low = self.free < self._min_free * (_AGAIN if was_low else 1)
        return self.is_low != was_low

    @property
    def problem(self) -> str:
        """What to tell a person; empty while there is room."""
        if not self.is_low:
            return ""
        return (
            f"the server's disk is almost full ({self.free // MIB} MiB left, "
            f"{self._min_free // MIB} MiB are kept free): no new work is given out until there is "
            "room"
        )

    def refuse_if_low(self) -> None:
        """Refuse what brings data.

        Raises:
            ServerBusy: the disk is almost full.
        """
        if self.is_low:
            raise ServerBusy(
                f"This is not taken now: {self.problem}. Free some space, then try again."
            )


async def keep_room(site: Site) -> None:
    """Look at the disk now and then; stop giving out work, and go on, as there is room or not."""
    room = site.room
    while True:
        if room.look() or room.is_low != bool(site.runtime.holdings.closed):
            if room.is_low:
                _LOG.warning("low on disk", free_mb=room.free // MIB, reason=room.problem)
            else:
                _LOG.info("there is room on the disk again", free_mb=room.free // MIB)
            reason = room.problem
            site.runtime.post(partial(_close_queue, reason=reason))
        await asyncio.sleep(site.settings.disk_check_s)


def _close_queue(batch: Batch, reason: str) -> None:
    batch.holdings.close_queue(reason)
