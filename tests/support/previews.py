"""Previews of a simulated project, with the evaluator in this process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from copernicus.engine.preview import Comparison
from copernicus.engine.shadow import Shadow, copy_state
from copernicus.evaluator.service import Service
from copernicus.model.edits import Edit
from copernicus.protocol import PreviewReply
from copernicus.server.trial import Trial
from support.world import World


def shadow_of(world: World, *edits: Edit, idle: set[str] = frozenset()) -> tuple[Any, Shadow]:
    """The project as it is, and its shadow after the edits, come to rest."""
    before = copy_state(world.state)
    shadow = Shadow(copy_state(before), world.catalog)
    functions = {f.spec.name: f for f in world.workflows.values()}
    service = Service(SimpleNamespace(functions=lambda: functions, broken={}))
    shadow.edit(edits, "ann")
    trial = Trial(shadow, "p preview", 20)
    while shadow.pending or shadow.replacing:
        requests = trial.requests()
        reply = None
        while True:
            try:
                request = next(requests) if reply is None else requests.send(reply)
            except StopIteration:
                break
            reply = service.reply(request)
        shadow.replace_idle(idle.__contains__)
    for request in trial.farewells():
        service.reply(request)
    return before, shadow


def preview(
    world: World, *edits: Edit, idle: set[str] = frozenset(), running: set[str] | None = None
) -> PreviewReply:
    """What the edits would do; by default all jobs in the queue run."""
    held = set(world.queue) if running is None else running
    before, shadow = shadow_of(world, *edits, idle=idle)
    return Comparison(before, shadow, held).reply({})
