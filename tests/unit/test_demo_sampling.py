"""The workflow of adaptive sampling, played without a server."""

from __future__ import annotations

from typing import Any

import pytest

from copernicus.model.network import Collect, InRef, Literal, OutRef
from copernicus.model.values import File
from copernicus.modules.analysis.workflows import adaptive_sampling
from copernicus.testing import NotYet, Replayed, replay

STARTS = [File(f"{i}" * 64, 1, f"start{i}.pdb") for i in range(3)]


def play(known: int = 99, seed: int = 1, **changed: Any) -> Replayed:
    """Play it with the analysis of the first ``known`` generations."""
    inputs = {"structures": STARTS, "generations": 3, "steps": 1000, "temperature": 600.0}
    inputs |= {"discard": 200.0, "report_interval": 500, **changed}
    wanted = inputs.get("per_generation") or len(STARTS)

    def answer(key: str, port: str) -> Any:
        generation = int(key.split("-")[1])
        if port != "starts" or generation >= known:
            raise NotYet
        return [File(f"{generation}{i}" * 32, 1, f"next{i}.pdb").plain() for i in range(wanted)]

    return replay(adaptive_sampling, inputs, answer, seed=seed)


def test_each_generation_starts_where_the_analysis_of_all_before_says() -> None:
    played = play()
    assert played.ended
    runs = [name for name in played.calls if name.startswith("md-")]
    assert runs == [f"md-{g}-{i}" for g in range(3) for i in range(3)]
    first, later = played.calls["md-0-1"], played.calls["md-2-1"]
    assert first.inputs["structure"] == InRef("test", "structures", "", (1,))
    assert later.inputs["structure"] == OutRef("test/surface-1", "starts", steps=(1,))
    pooled = played.calls["surface-1"].inputs["trajectories"]
    assert isinstance(pooled, Collect)
    assert [item.source for item in pooled.items] == [
        OutRef(f"test/md-{g}-{i}", "trajectory") for g in range(2) for i in range(3)
    ]


def test_a_generation_waits_for_the_one_before() -> None:
    assert "md-1-0" not in play(known=0).calls
    assert "md-1-0" in play(known=1).calls
    assert "md-2-0" not in play(known=1).calls


def test_the_outputs_move_with_every_generation() -> None:
    for known, newest in ((0, "surface-0"), (1, "surface-1"), (3, "surface-2")):
        outputs = play(known=known).outputs
        assert outputs["plot"] == OutRef(f"test/{newest}", "plot")
        assert set(outputs) == {port.name for port in adaptive_sampling.spec.outputs}


def test_every_simulation_has_its_own_seed_always_the_same() -> None:
    def seeds(played: Replayed) -> list[Any]:
        return [
            call.inputs["seed"].value
            for call in played.calls.values()
            if isinstance(call.inputs["seed"], Literal)
        ]

    assert len(set(seeds(play()))) == 12
    assert seeds(play()) == seeds(play())
    assert not set(seeds(play())) & set(seeds(play(seed=2)))
    assert seeds(play(generations=2)) == [*seeds(play())[:4], *seeds(play())[4:8]]


def test_fewer_or_more_simulations_in_later_generations() -> None:
    played = play(per_generation=5)
    assert played.calls["surface-0"].inputs["n_starts"] == Literal(5)
    assert len([name for name in played.calls if name.startswith("md-1-")]) == 5


def test_more_steps_change_nothing_but_the_lengths() -> None:
    short, long = play(), play(steps=2000)
    assert set(short.calls) == set(long.calls)
    for name, call in short.calls.items():
        changed = {p for p in call.inputs if call.inputs[p] != long.calls[name].inputs[p]}
        assert changed == ({"n_steps"} if name.startswith("md") else set())


def test_without_a_start_there_is_a_reason() -> None:
    failure = play(structures=[]).failure
    assert failure is not None
    assert "give at least one starting point" in failure.reason


@pytest.mark.parametrize("generations", [0, 1])
def test_very_few_generations(generations: int) -> None:
    played = play(generations=generations)
    assert played.ended
    assert len(played.calls) == 4 * generations
