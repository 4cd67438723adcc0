from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from sharpwave.benchmarks.causality.trials import add_cues
from sharpwave.causality import EFFECT_COLUMNS, NightSeries, estimate_effects
from sharpwave.errors import SharpwaveError
from sharpwave.night.planted import simulate_night_series


def test_table_of_a_planted_effect(planted_nights: list[NightSeries]) -> None:
    table = estimate_effects(planted_nights, rng=np.random.default_rng(0), horizons=(15, 30))
    assert tuple(table.columns) == EFFECT_COLUMNS
    assert set(table["content"]) == {"any", "aversive", "neutral", "rewarding"}
    assert set(table["outcome"]) == {"depth", "wake", "rate"}  # in mice lighter is wake, and nothing is deeper
    assert set(table.loc[table["outcome"] == "wake", "horizon"]) == {30}
    sure = table[(table["q"] < 0.05) & (table["direction"] == "forward")]
    assert set(sure["content"]) == {"aversive", "rewarding"}
    assert (sure["e_value"] > 1).all()
    assert (table.loc[table["p"] > 0.05, "e_value"] == 1).all()
    hazard = table[(table["estimator"] == "hazard") & (table["content"] == "aversive") & (table["outcome"] == "wake")]
    assert hazard["ratio"].item() == pytest.approx(3.0, rel=0.35)
    assert table["note"].str.startswith("observational: causal in the statistical sense").all()
    forward = table[table["direction"] == "forward"]
    assert forward["note"].str.contains("against events that carried no reactivation").all()
    assert forward["control_p"].notna().all()
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"].to_numpy()))


def test_comparators(null_nights: list[NightSeries]) -> None:
    options = {"rng": np.random.default_rng(0), "horizons": (30,), "outcomes": ("depth",)}
    moments = estimate_effects(null_nights, comparator="moments", **options)
    others = estimate_effects(null_nights, comparator="others", **options)
    assert moments["note"].str.contains("common cause that was not measured").any()
    assert others["note"].str.contains("other contents").any()
    assert "any" not in set(others["content"])
    assert (others["p"] > 0.01).all()
    unknown = [replace(night, candidates=None) for night in null_nights]
    with pytest.raises(SharpwaveError, match="the candidate events of every night"):
        estimate_effects(unknown, comparator="events", **options)


def test_one_night_speaks_of_itself(planted_nights: list[NightSeries]) -> None:
    table = estimate_effects(
        planted_nights[:1], rng=np.random.default_rng(0), horizons=(30,), outcomes=("depth",), periods=("early", "late")
    )
    assert table["note"].str.contains("speaks of these nights alone").all()
    assert set(table["period"]) == {"early", "late"}
    assert table["low"].notna().all()


def test_randomised_cues_may_say_caused() -> None:
    nights = [simulate_night_series("mouse", 3.0, rng=rng) for rng in np.random.default_rng(6).spawn(3)]
    cued = [add_cues(c, d, hazard_ratio=3.0, rng=np.random.default_rng(i)) for i, (c, d) in enumerate(nights)]
    table = estimate_effects(cued, rng=np.random.default_rng(0), horizons=(30,), outcomes=("wake",))
    randomised = table[table["estimator"] == "randomised"]
    assert len(randomised) == 1
    assert randomised["note"].item() == "randomised: caused by the cue"
    assert randomised["p"].item() < 0.05 < randomised["control_p"].item()


def test_human_stages() -> None:
    nights = [simulate_night_series("human", 2.0, rng=rng)[0] for rng in np.random.default_rng(0).spawn(3)]
    table = estimate_effects(
        nights, rng=np.random.default_rng(0), horizons=(30,), outcomes=("lighter", "deeper"), stages=("any", "N2", "N3")
    )
    assert set(table["stage"]) == {"any", "N2", "N3"}
    assert "deeper" not in set(table.loc[table["stage"] == "N3", "outcome"])


def test_refusals(null_nights: list[NightSeries]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SharpwaveError, match="at least one night"):
        estimate_effects([], rng=rng)
    with pytest.raises(SharpwaveError, match="a comparator among"):
        estimate_effects(null_nights, rng=rng, comparator="nobody")
    with pytest.raises(SharpwaveError, match="stages among any, NREM"):
        estimate_effects(null_nights, rng=rng, stages="N2")
    merged = replace(null_nights[0], n_stages=2)
    with pytest.raises(SharpwaveError, match="one set of stages"):
        estimate_effects([*null_nights, merged], rng=rng)


def test_p_interval_ratio_and_e_value_of_a_row_are_of_one_test(planted_nights: list[NightSeries]) -> None:
    nights = [simulate_night_series("mouse", 1.5, rng=rng) for rng in np.random.default_rng(8).spawn(3)]
    cued = [add_cues(c, d, hazard_ratio=1.6, rng=np.random.default_rng(i)) for i, (c, d) in enumerate(nights)]
    rng = np.random.default_rng(0)
    tables = [
        estimate_effects(group, rng=rng, horizons=(15, 30), periods=("any", "early"))
        for group in (planted_nights, cued)
    ]
    table = pd.concat(tables)
    shown = (table["p"] <= 0.05).to_numpy()
    assert 6 < shown.sum() < len(table) - 6
    leaves_out = (table["low"] > 0) | (table["high"] < 0)
    np.testing.assert_array_equal(shown, leaves_out)
    np.testing.assert_array_equal(shown, table["e_value"] > 1)
    with_ratio = table["ratio"].notna()
    of_ratio = ((table["ratio_low"] > 1) | (table["ratio_high"] < 1))[with_ratio]
    np.testing.assert_array_equal(shown[with_ratio], of_ratio)
    assert set(table.loc[table["estimator"] == "randomised", "comparator"]) == {"sham"}
    assert (table["detectable"] > 0).all()


def test_the_control_of_hidden_causes_stands_beside_forward_rows(null_nights: list[NightSeries]) -> None:
    options = {"horizons": (30,), "outcomes": ("depth",)}
    rng = np.random.default_rng(0)
    table = estimate_effects(null_nights, rng=rng, **options)
    forward = table["direction"] == "forward"
    assert table.loc[forward, "exposure_p"].notna().all()
    assert (table.loc[forward, "exposure_power"] > 0.8).all()
    assert table.loc[~forward, "exposure_p"].isna().all()
    followed = [follow_phase(night, np.random.default_rng(i)) for i, night in enumerate(null_nights)]
    table = estimate_effects(followed, rng=rng, **options)
    assert (table.loc[table["direction"] == "forward", "exposure_p"] < 0.02).all()
    moments = estimate_effects(null_nights, rng=rng, comparator="moments", **options)
    assert moments["exposure_p"].isna().all()


def follow_phase(night: NightSeries, rng: np.random.Generator) -> NightSeries:
    """The same night, its candidates carrying a memory more often in one phase of the infraslow rhythm."""
    assert night.infraslow is not None
    assert night.candidates is not None
    wave = np.cos(night.infraslow[night.candidates.astype(int)])
    mine = night.candidates[rng.random(len(wave)) < 0.2 + 0.15 * wave]
    return replace(night, reactivations=pd.DataFrame({"onset": mine, "content": "maze"}))
