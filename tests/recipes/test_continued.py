"""Weights that go on from others: half way back, with a card that names everyone."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.brainmu.checkpoints import make_lite
from sharpwave.errors import SharpwaveError
from sharpwave.recipes.continued import PARTS, average_weights, join_cards

SMALL = {"modalities": ("stages", "features"), "width": 16, "n_heads": 2}


def test_weights_lie_between_old_and_new() -> None:
    old, new = make_lite(seed=0, **SMALL), make_lite(seed=1, **SMALL)
    before, after = dict(old.state_dict()), {name: value.clone() for name, value in new.state_dict().items()}
    average_weights(new, before, share=0.25)
    for name, value in new.state_dict().items():
        np.testing.assert_allclose(value, 0.75 * before[name] + 0.25 * after[name], atol=1e-6)


def test_another_models_weights_are_refused() -> None:
    other = make_lite(seed=0, modalities=("stages",), width=16, n_heads=2)
    with pytest.raises(SharpwaveError, match="weights of two models"):
        average_weights(make_lite(seed=0, **SMALL), dict(other.state_dict()), share=0.5)


def test_the_card_keeps_everyone_and_the_calibration() -> None:
    calibration = {"observed +30": [1.0, 0.0]}
    old = {"trained_on": ["dod/a"], "licences": {"dod": "MIT"}, "training": [{"steps": 1}], "calibration": calibration}
    new = {"trained_on": ["boas/pid-1", "dod/a"], "licences": {"boas": "CC0", "dod": "MIT"}}
    card = join_cards(old, new)
    assert card["trained_on"] == ["boas/pid-1", "dod/a"]
    assert card["licences"] == {"boas": "CC0", "dod": "MIT"}
    assert card["calibration"] == calibration
    assert [part["steps"] for part in card["training"]] == [1, *(options.steps for _, options in PARTS)]
