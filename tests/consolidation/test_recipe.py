from __future__ import annotations

import pytest
from tests.consolidation.planted import learn, make_network, make_sleeper, same_weights

from sharpwave.consolidation import NREM, REM, FixedRatio, Homeostasis, Recipe, ReplayBuffer, Sleep
from sharpwave.consolidation.recipe import make_plan, make_ssr
from sharpwave.errors import SharpwaveError


def test_both_readings_of_one_to_ten() -> None:
    assert make_ssr("steps").schedule.plan(100) == 10
    assert make_ssr("replays").schedule.plan(100) == 1000
    with pytest.raises(SharpwaveError, match="a reading among steps, replays"):
        make_ssr("hours")


def test_the_plan_of_a_night() -> None:
    assert make_plan(4, None) == [1] * 4
    assert make_plan(8, REM(share=0.5, cycles=2)) == [1, 1, 2, 2] * 2
    assert make_plan(8, REM(share=0.25), depth=0.0).count(2) == 4
    assert make_plan(7, REM(share=0.3, cycles=3)).count(2) + make_plan(7, REM(share=0.3, cycles=3)).count(1) == 7
    assert make_plan(5, REM(share=1.0)) == [2] * 5


def test_a_recipe_and_changes_of_it() -> None:
    recipe = Recipe(nrem=NREM(batch_size=4), rem=REM(share=0.5), schedule=FixedRatio(0.2))
    sleep = make_sleeper(recipe=recipe, nrem=NREM(batch_size=8))
    assert (sleep.recipe.nrem, sleep.recipe.rem) == (NREM(batch_size=8), recipe.rem)
    assert sleep.schedule is recipe.schedule
    assert recipe.nrem == NREM(batch_size=4)
    assert make_sleeper(recipe=recipe, schedule=None).schedule.plan(100) == 10
    assert Sleep.ssr(make_network(), ReplayBuffer(5), rem=REM()).recipe.homeostasis == make_ssr().homeostasis
    with pytest.raises(TypeError, match="dreams"):
        make_sleeper(dreams=REM())


PARTS = {"nrem": NREM(noise=0.1), "rem": REM(share=0.4), "homeostasis": Homeostasis(prune=0.02), "steer": "brittle"}


def test_a_recipe_gives_the_same_night_as_its_parts() -> None:
    parts, whole = make_sleeper(**PARTS), make_sleeper(recipe=Recipe(**PARTS))
    for sleep in (parts, whole):
        learn(sleep, n_tasks=2)
    assert same_weights(parts.learner.model.state_dict(), whole.learner.model.state_dict())


@pytest.mark.parametrize("part", ["wake", "nrem", "probe"])
def test_a_part_that_is_always_there_cannot_be_none(part: str) -> None:
    with pytest.raises(SharpwaveError, match=f"{part}=.*got None"):
        Recipe(**{part: None})
    Recipe(rem=None, homeostasis=None, protection=None)
