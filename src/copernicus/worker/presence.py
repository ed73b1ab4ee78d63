"""Keeps to the rules of a machine's owner while the worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.worker.console import Console
from copernicus.worker.crew import Crew
from copernicus.worker.owner import OwnerRules, Sight, look, why_not

LOOK_S = 5.0


class Presence:
    """Looks every few seconds, and pauses the crew or lets it go on."""

    def __init__(
        self,
        rules: OwnerRules,
        crew: Crew,
        console: Console,
        room: Callable[[], None],
        look_s: float = LOOK_S,
    ) -> None:
        self._rules = rules
        self._crew = crew
        self._console = console
        self._room = room
        self._look_s = look_s

    async def run(self) -> None:
        """For ever; not at all without rules."""
        while self._rules.any:
            self.judge(await asyncio.to_thread(look))
            await asyncio.sleep(self._look_s)

    def judge(self, sight: Sight) -> None:
        """Pause or go on, as the rules have it."""
        reason = why_not(self._rules, sight)
        if bool(reason) == self._crew.paused:
            return
        if reason:
            self._console.say("paused", f"takes no work: {reason}", leaving=self._rules.leaving)
            self._crew.pause(self._rules.leaving)
        else:
            self._console.say("resumed", "takes work again")
            self._crew.go_on()
        self._room()
