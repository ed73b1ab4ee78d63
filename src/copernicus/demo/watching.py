"""Follows the sampling until it is done, and keeps it within its time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from copernicus.client.network import Instance
from copernicus.demo.children import DemoFailed
from copernicus.demo.display import Display
from copernicus.demo.progress import TELLING_SHARE, Known, Picture, is_too_much, picture
from copernicus.demo.site import Site
from copernicus.demo.sizing import Plan
from copernicus.errors import NotFound, ServerUnreachable
from copernicus.protocol import InstanceView

_LOOK_S = 0.4


@dataclass
class Watch:
    """What is watched, where it is shown, and when the demo began (monotonic seconds)."""

    site: Site
    sampling: Instance
    plan: Plan
    display: Display
    began: float

    def until_done(self, limit_s: float) -> None:
        """Show how far it is until it is done.

        If the machine has become slower and it would take longer than ``limit_s`` after the
        beginning of the demo, the project is changed while it runs: one generation less.

        Raises:
            DemoFailed: Something in it, or around it, failed.
        """
        self._generations = self.plan.generations
        self._started = time.monotonic()
        self._known: Known | None = None
        with self.display.live():
            while not self._look(limit_s):
                time.sleep(_LOOK_S)

    def _look(self, limit_s: float) -> bool:
        project = self.sampling.project
        try:
            views, jobs = project.instances(), project.jobs()
        except ServerUnreachable:
            self.site.check()
            raise
        self.site.check()
        _check(views)
        now = time.monotonic()
        seconds, left_s = now - self.began, 0.0
        seen = picture(views, jobs, self.plan, self._generations, seconds)
        if self._known is None or seen.over > self._known.generations:
            self._known = self._ask(seen)
        left_s = self._left_s(seen, now)
        self.display.update(seen, left_s, self._known)
        if is_too_much(seen, left_s, limit_s):
            self._shorten()
        return any(view.path == self.sampling.path and view.state == "done" for view in views)

    def _left_s(self, seen: Picture, now: float) -> float:
        if seen.share > TELLING_SHARE:
            return (now - self._started) * (1.0 - seen.share) / seen.share
        cores = self.site.worker.cores
        left_ns = (1.0 - seen.share) * self._generations * self.plan.runs * self.plan.length_ns
        return left_ns / (cores * self.plan.rate) * 86_400

    def _shorten(self) -> None:
        self._generations -= 1
        self.sampling["generations"] = self._generations
        self.display.say(
            "The machine has become slower: the running project gets one generation less."
        )

    def _ask(self, seen: Picture) -> Known | None:
        def output(name: str) -> Any:
            return self.sampling.out[name].value

        try:
            phi = output("positive_phi")
            return Known(seen.over, output("frames"), output("visited"), phi["value"], phi["error"])
        except NotFound:
            return None


def _check(views: list[InstanceView]) -> None:
    for view in views:
        if view.failure is not None and view.state == "failed":
            raise DemoFailed(f"{view.path} failed: {view.failure.reason}")
