"""The shipped `lite`: what it is allowed to be."""

from __future__ import annotations

import json

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.uncertainty import name_calibration
from sharpwave.recipes.recipe import LICENCES

FORBIDDEN = ("dreams", "mouse-sleep-fmri", "rsleep", "nitime", "sleep-events", "yasa", "openspindlenet")


def test_card_names_permitted_cohorts_alone() -> None:
    _, card = load_brainmu()
    cohorts = {subject.partition("/")[0] for subject in card["trained_on"]}
    assert cohorts == set(card["licences"]) <= set(LICENCES)
    assert {"dod", "walch", "ucddb", "pd-lfp"} <= cohorts
    assert not [word for word in FORBIDDEN if word in json.dumps(card["trained_on"])]
    assert card["reproduce"]


def test_small_enough_and_for_every_modality() -> None:
    model, card = load_brainmu()
    assert sum(parameter.numel() for parameter in model.parameters()) <= 1.5e6
    assert sum(path.stat().st_size for path in (WEIGHTS / "lite").iterdir()) <= 10 * 2**20
    assert set(model.config.modalities) == set(ENCODERS)
    assert set(card["calibration"]) == {name_calibration("observed", horizon) for horizon in model.config.horizons}
