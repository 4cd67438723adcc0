"""A night in which one modality alone tells of a change: it must be named, with its channel and its moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.brainmu.planted import NAMES, STEP, TELLING, make_model, simulate_pieces, train_model

from sharpwave.brainmu.explanation.explanation import choose_forecasts, explain_night
from sharpwave.brainmu.explanation.latents import Directions
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.errors import SharpwaveError


@pytest.fixture(scope="module")
def explained():
    return explain_night(train_model(), simulate_pieces(1, seed=9)[0])


def test_planted_modality_channel_and_moment_are_named(explained):
    sure = explained.forecasts[explained.forecasts["p_change"] > 0.5]
    assert len(sure) >= 2
    assert set(sure["modality"]) == {TELLING}
    assert set(sure["channel"]) == {"C4"}
    assert set(sure["reach"]) == {STEP}
    assert (sure["p_without"] < 0.2).all()
    assert (sure["share"] > 0.8).all()


def test_planted_modality_leads_over_the_night(explained):
    assert explained.modalities["modality"].iloc[0] == TELLING
    assert explained.modalities["share"].iloc[0] > 0.8
    assert explained.modalities["share"].sum() == pytest.approx(1)


def test_parts_hold_what_each_stretch_added(explained):
    parts = explained.parts
    assert set(parts["modality"]) == set(NAMES)
    assert (parts["from"] < parts["to"]).all()
    for _, group in parts.groupby(["onset", "modality"]):
        assert group["weight"].sum() == pytest.approx(group["effect"].iloc[-1])
    strongest = parts.loc[parts["weight"].idxmax()]
    assert (strongest["modality"], strongest["from"]) == (TELLING, -STEP)


def test_signal_that_tells_nothing_is_not_named():
    """The telling modality left out, no sure forecast remains, and nothing is named for those there are."""
    piece = simulate_pieces(1, seed=9)[0].only(("activity", "temperature"))
    found = explain_night(train_model(), piece)
    assert (found.forecasts["modality"] == "").all()
    assert (found.modalities["effect"] < 0.2).all()


def test_untrained_model_names_no_modality_consistently():
    """A model that learnt nothing moves its log-odds by next to nothing, whatever is taken away."""
    found = explain_night(make_model(), simulate_pieces(1, seed=9)[0])
    assert (found.modalities["effect"] < 0.2).all()


def test_forecast_at_a_time_uses_what_was_known_then():
    model, piece = train_model(), simulate_pieces(1, seed=9)[0]
    found = explain_night(model, piece, at=[629.0, 630.0])
    assert found.forecasts["onset"].tolist() == [600.0, 630.0]
    changed = replace(piece, epochs={n: replace(w, values=w.values.copy()) for n, w in piece.epochs.items()})
    for part in changed.epochs.values():
        part.values[21:] = 7.0
    again = explain_night(model, changed, at=[629.0, 630.0])
    np.testing.assert_allclose(found.forecasts["effect"], again.forecasts["effect"], atol=1e-4)


def test_no_direction_is_drawn_that_no_sensor_of_the_night_measures():
    """Directions are fitted on nights with every sensor; on one without EEG or heart rate those are no readings."""
    model, piece = train_model(), simulate_pieces(1, seed=9)[0]
    names = ("depth", "heart rate", "movement", "time of night")
    table = pd.DataFrame({"name": names, "correlation": 0.9, "named": True})
    directions = Directions(names, np.zeros((4, model.config.width)), np.zeros(4), table)
    alone = explain_night(model, piece.only(("activity",)), directions=directions)
    assert list(alone.latents) == ["onset", "movement", "time of night"]
    assert alone.directions["name"].tolist() == ["movement", "time of night"]
    heart = piece.epochs["heart_rate"]
    absent = heart.present.copy()
    absent[20:30] = False  # the strap was off: what the model would expect then is no reading
    gap = replace(piece, epochs={**piece.epochs, "heart_rate": replace(heart, present=absent)})
    drawn = explain_night(model, gap, directions=directions).latents
    assert np.flatnonzero(drawn["heart rate"].isna()).tolist() == list(range(20, 30))
    assert drawn[["movement", "time of night"]].notna().all(axis=None)


def test_calibration_reaches_the_probabilities():
    model, piece = train_model(), simulate_pieces(1, seed=9)[0]
    flat = Calibration(slopes=(0.0, 1.0, 1.0), offsets=(0.0, 0.0, 0.0))
    assert explain_night(model, piece, calibration=flat).forecasts["p_change"].tolist() == pytest.approx([0.5] * 3)


def test_chosen_forecasts_lie_apart():
    chances = np.zeros(100)
    chances[[10, 11, 12, 50]] = [0.7, 0.9, 0.8, 0.6]
    assert choose_forecasts(chances, 2, step=30.0) == [11, 50]


def test_refusals_say_what_to_do():
    model, piece = make_model(), simulate_pieces(1)[0]
    with pytest.raises(SharpwaveError, match="a horizon among 30, 60, 300 s"):
        explain_night(model, piece, horizon=45.0)
    with pytest.raises(SharpwaveError, match="when there are forecasts"):
        explain_night(model, piece, at=[1e6])
