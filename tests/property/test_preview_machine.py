"""Random projects, with every edit previewed before it is made: the preview comes true.

What a preview says would start is what starts when the edit is committed, what it says of work
under way and of instances is what becomes of them, and the project is the same after it as before.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from test_engine_machine import EngineMachine

from copernicus.engine.preview import Comparison
from copernicus.engine.state import ProjectState
from copernicus.errors import UserError
from copernicus.model import edits as ed
from support.previews import shadow_of
from support.world import check_fold


def opened_since(state: ProjectState, number: int) -> set[tuple[Any, ...]]:
    """What is under way now and was begun since, without the numbers that order gives."""
    return {
        (instance.path, element.eid, made.digest, made.parent is not None)
        for instance in state.instances.values()
        for element in instance.elements.values()
        if element.open is not None
        for made in (state.activations[element.open],)
        if made.number >= number
    }


def places(state: ProjectState) -> dict[str, tuple[str, bool]]:
    return {path: (one.function, one.retired) for path, one in state.instances.items()}


class PreviewMachine(EngineMachine):
    """Every edit is previewed, then made."""

    def attempt(self, *edits: ed.Edit) -> None:
        state = self.world.state
        number, position = state.next_activation, state.position
        under_way = {name for name, made in state.activations.items() if not made.outcome}
        try:
            before, shadow = shadow_of(self.world, *edits)
        except UserError:
            super().attempt(*edits)
            assert state.position == position, "the preview refuses what the project takes"
            return
        reply = Comparison(before, shadow, under_way).reply({})
        assert state.position == position
        check_fold(state, self.world.journal)
        assert before.facts() == state.facts()
        super().attempt(*edits)
        state = self.world.state
        assert opened_since(shadow.state, number) == opened_since(state, number)
        assert places(shadow.state) == places(state)
        for name in under_way:
            assert shadow.state.activations[name].outcome == state.activations[name].outcome
        works = [
            path
            for path, eid, *_ in opened_since(state, number)
            if state.spec(state.instances[path]).kind != "workflow"
        ]
        told = {line.path: line.count for line in reply.starts}
        assert told == {path: works.count(path) for path in works}
        assert reply.jobs == len(works)


PreviewMachine.TestCase.settings = settings(
    EngineMachine.TestCase.settings, max_examples=15, stateful_step_count=25
)
TestPreviewMachine = PreviewMachine.TestCase
