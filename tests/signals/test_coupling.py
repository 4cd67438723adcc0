"""Spindles on slow waves: planted phase recovered, nothing where nothing was planted, polarity measured or unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.recordings import MODALITIES, Hypnogram, Signal
from sharpwave.signals import coupling
from sharpwave.signals.coupling import compute_phases, measure_coupling, measure_polarity

STAGES = Hypnogram.from_labels(["W"] * 10 + ["N3"] * 40 + ["R"] * 10 + ["N2"] * 40)


def draw_waves(rng: np.random.Generator) -> pd.DataFrame:
    """Slow waves of uneven halves in NREM sleep, with a pause between them."""
    parts = rng.uniform(0.15, 0.4, (1200, 4)) * np.array([1.4, 1.0, 0.8, 1.2])
    onset = 310 + np.cumsum(parts.sum(axis=1) + rng.exponential(0.8, len(parts)))
    waves = pd.DataFrame(
        {
            "onset": onset,
            "duration": parts.sum(axis=1),
            "negative_peak": onset + parts[:, 0],
            "mid_crossing": onset + parts[:, :2].sum(axis=1),
            "positive_peak": onset + parts[:, :3].sum(axis=1),
        }
    )
    return waves[np.isin(STAGES.at(onset), (2, 3))]


def draw_spindles(waves: pd.DataFrame, rng: np.random.Generator, *, lag: float | None) -> pd.DataFrame:
    """Spindles `lag` seconds behind the crest of a wave; anywhere in the night where it is None."""
    if lag is None:
        return pd.DataFrame({"peak": rng.uniform(300, 3000, 400)})
    crests = rng.choice(waves["positive_peak"].to_numpy(), 150, replace=False)
    return pd.DataFrame({"peak": crests + lag + rng.normal(0, 0.06, len(crests))})


@pytest.mark.parametrize(("lag", "least", "most"), [(0.0, -20, 20), (-0.15, -75, -25)])
def test_a_planted_phase_is_recovered(lag: float, least: float, most: float) -> None:
    rng = np.random.default_rng(1)
    waves = draw_waves(rng)
    found, histogram = measure_coupling(draw_spindles(waves, rng, lag=lag), waves, STAGES, rng=rng, n_surrogates=100)
    assert least < found.phase < most
    assert found.phase_low < found.phase < found.phase_high
    assert found.strength > found.strength_chance + 0.3
    assert found.strength_p < 0.02
    assert found.share_p < 0.02
    assert found.share > found.share_chance + 0.1
    assert histogram["count"].sum() == found.coupled
    assert histogram["chance"].sum() == pytest.approx(found.share_chance * found.spindles, rel=0.01)


def test_nothing_is_found_where_nothing_was_planted() -> None:
    p = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        waves = draw_waves(rng)
        found, _ = measure_coupling(draw_spindles(waves, rng, lag=None), waves, STAGES, rng=rng, n_surrogates=60)
        p.append((found.strength_p, found.share_p))
    rate = (np.array(p) < 0.05).mean(axis=0)
    assert (rate <= 0.15).all(), "at most 6 of 40 where 2 are expected: 1 % of honest tests do worse"
    assert np.array(p).mean() > 0.4


def test_what_waves_favour_by_their_shape_is_no_phase() -> None:
    """Waves whose halves differ in length give uneven phases by chance; the strength by chance says so."""
    rng = np.random.default_rng(0)
    waves = draw_waves(rng)
    found, _ = measure_coupling(draw_spindles(waves, rng, lag=None), waves, STAGES, rng=rng, n_surrogates=100)
    assert found.strength_chance > 0.03
    assert abs(found.strength - found.strength_chance) < 0.15


def test_few_spindles_give_no_phase_and_none_gives_nothing() -> None:
    rng = np.random.default_rng(0)
    waves = draw_waves(rng)
    few = pd.DataFrame({"peak": waves["positive_peak"].iloc[:5]})
    found, _ = measure_coupling(few, waves, STAGES, rng=rng, n_surrogates=20)
    assert (found.coupled, found.share) == (5, 1.0)
    assert np.isnan(found.phase)
    assert np.isnan(found.strength_p)
    none, histogram = measure_coupling(pd.DataFrame(), pd.DataFrame(), STAGES, rng=rng, n_surrogates=20)
    assert none.spindles == 0
    assert np.isnan(none.share)
    assert np.isnan(none.share_p)
    assert histogram["count"].sum() == 0


def test_spindles_outside_of_deep_sleep_do_not_count() -> None:
    rng = np.random.default_rng(0)
    waves = draw_waves(rng)
    awake = pd.DataFrame({"peak": [10.0, 20.0, 1600.0]})
    assert measure_coupling(awake, waves, STAGES, rng=rng, n_surrogates=5)[0].spindles == 0


def test_phases_lie_between_landmarks() -> None:
    marks = np.array([[1.0, 1.4, 1.6, 1.9, 2.2], [3.0, 3.4, 3.6, 3.9, 4.2]])
    times = np.array([0.9, 1.0, 1.4, 1.5, 1.6, 1.9, 2.2, 3.75])
    degrees = np.rad2deg(compute_phases(times, marks))
    assert np.isnan(degrees[[0, 6]]).all()
    np.testing.assert_allclose(degrees[[1, 3, 4, 5, 7]], [90, -135, -90, 0, -45], atol=1e-6)
    assert abs(degrees[2]) == pytest.approx(180)


def make_deep_sleep(sign: float, *, sharp: float) -> Signal:
    """Ten minutes of slow waves, the negative half `sharp` times as deep as the positive one is high."""
    rng, rate = np.random.default_rng(0), 100.0
    phase = 2 * np.pi * np.cumsum(0.9 + 0.1 * rng.standard_normal(60_000)) / rate
    wave = np.sin(phase)
    values = 60 * np.where(wave < 0, sharp * wave, wave) + rng.normal(0, 8, wave.size)
    return Signal("C4", sign * values, rate, MODALITIES["eeg"], scale=1e-6)


def test_polarity_is_measured_turned_and_unknown() -> None:
    deep = Hypnogram.from_labels(["N3"] * 20)
    upright, skewness, blocks = measure_polarity(make_deep_sleep(1.0, sharp=2.5), deep)
    assert (upright, blocks) == ("upright", 20)
    assert skewness < -0.1
    turned, mirrored, _ = measure_polarity(make_deep_sleep(-1.0, sharp=2.5), deep)
    assert turned == "inverted"
    assert mirrored == pytest.approx(-skewness, abs=1e-9)
    assert measure_polarity(make_deep_sleep(1.0, sharp=1.0), deep)[0] == "unknown"
    light = Hypnogram.from_labels(["N2"] * 20)
    assert measure_polarity(make_deep_sleep(1.0, sharp=2.5), light)[::2] == ("unknown", 0)
    assert measure_polarity(make_deep_sleep(1.0, sharp=2.5), Hypnogram.from_labels(["N3"] * 5))[0] == "unknown"


def test_polarity_needs_six_blocks_and_knows_when_the_signal_began() -> None:
    signal = make_deep_sleep(1.0, sharp=2.5)
    six = Hypnogram.from_labels(["N3"] * 6)
    assert measure_polarity(signal, six)[::2] == ("upright", 6)
    late = replace(signal, start=300.0)
    assert measure_polarity(late, Hypnogram.from_labels(["N3"] * 20))[2] == 10, "from its start on"
    assert measure_polarity(late, replace(six, start=300.0))[1] == pytest.approx(measure_polarity(signal, six)[1])


def test_twenty_coupled_spindles_have_a_phase_nineteen_have_none() -> None:
    waves = draw_waves(np.random.default_rng(0))
    for n, known in ((19, False), (20, True)):
        spindles = pd.DataFrame({"peak": waves["positive_peak"].iloc[:n]})
        found, _ = measure_coupling(spindles, waves, STAGES, rng=np.random.default_rng(0), n_surrogates=20)
        assert (found.coupled, bool(np.isfinite(found.phase))) == (n, known)


def test_p_counts_surrogates_as_large_as_what_was_found() -> None:
    assert coupling._p_value(2.0, np.array([1.0, 2.0, 3.0])) == 3 / 4
