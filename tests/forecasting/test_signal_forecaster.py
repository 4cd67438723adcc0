"""The shipped ensemble on signals alone: causal within `decode`, chosen where it was measured, refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.boosting import SignalEnsemble
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.forecaster import forecast_with_best
from sharpwave.forecasting.signal_forecaster import (
    COHORTS,
    METHOD,
    NAME,
    WEIGHTS,
    find_kind,
    forecast_from_signals,
    load_ensemble,
    write_ensemble,
)
from sharpwave.night.decode import forecast_stages
from sharpwave.night.methods import FROM_SIGNALS, describe_methods, is_from_signals, list_limits, sees_both
from sharpwave.night.options import DecodeOptions
from sharpwave.night.prepare import Staging, prepare_night
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging.contract import Stager
from sharpwave.staging.lightgbm_stagers import LfpStager, WearableStager

N_EPOCHS, CUT = 160, 100
CAUSAL = ["p_change", "p_W", "p_N1", "p_N2", "p_N3", "p_R"]


def make_lfp(rng: np.random.Generator) -> Recording:
    drift = np.cumsum(rng.normal(scale=0.3, size=(N_EPOCHS, 1)), axis=0)
    power = np.exp(drift + rng.normal(scale=0.3, size=(N_EPOCHS, 18)))
    signals = {name: Signal(name, power * size, 1 / 30, MODALITIES["features"]) for name, size in SIZES.items()}
    return Recording(signals=signals, subject="new", species="human")


SIZES = {"power": 1.0, "power_sd": 0.2}


def make_wrist(rng: np.random.Generator, *, raw: bool = False) -> Recording:
    heart = 0.3 + 0.1 * rng.random(N_EPOCHS) + (60.0 if raw else 0.0)
    moved = 100 * rng.random(N_EPOCHS) * (rng.random(N_EPOCHS) < 0.3)
    parts = {"heart_rate": heart, "activity": moved}
    signals = {name: Signal(name, values, 1 / 30, MODALITIES[name]) for name, values in parts.items()}
    return Recording(signals=signals, subject="new", species="human")


def make_eeg(rng: np.random.Generator, *, names: tuple[str, ...] = ("C4-M1",)) -> Recording:
    n, rate = N_EPOCHS * 30 * 100, 100.0
    time = np.arange(n) / rate
    slow = np.repeat(np.cumsum(rng.normal(scale=0.2, size=N_EPOCHS)), 3000)
    signals = {}
    for name in names:
        wave = np.exp(slow) * np.sin(2 * np.pi * 1.5 * time) + np.sin(2 * np.pi * 10 * time) + rng.normal(size=n)
        signals[name] = Signal(name, (20 * wave).astype(np.float32), rate, MODALITIES["eeg"], scale=1e-6)
    return Recording(signals=signals, subject="new", species="human")


def spoil(recording: Recording, rng: np.random.Generator) -> Recording:
    """The same recording up to `CUT`, anything after it. Published features of a wrist know 15 epochs beforehand."""
    signals = {}
    for name, signal in recording.signals.items():
        values = signal.read(dtype=np.float64).copy()
        values[CUT:] = 20 * rng.random(values[CUT:].shape)
        signals[name] = replace(signal, samples=values)
    return replace(recording, signals=signals)


@pytest.mark.parametrize(("make", "stager"), [(make_lfp, LfpStager()), (make_wrist, WearableStager())])
def test_later_samples_change_no_forecast_before_them(
    make: Callable[..., Recording], stager: Stager, rng: np.random.Generator
) -> None:
    first = make(rng)
    other = spoil(first, rng)
    tables = {}
    for forecaster in (None, "lightgbm"):
        tables[forecaster] = [
            forecast_with_best(stager.stage(night, {}), forecaster=forecaster, found_from=night)[0]
            for night in (first, other)
        ]
    before, after = tables[None]
    assert before.attrs["method"] == METHOD
    np.testing.assert_array_equal(before[CAUSAL][:CUT], after[CAUSAL][:CUT])
    assert not np.allclose(before["p_change"][CUT:], after["p_change"][CUT:])
    # from found stages they do change, for the stager looks ahead: the comparison can fail
    before, after = tables["lightgbm"]
    assert not np.allclose(before["p_change"][:CUT], after["p_change"][:CUT])


def test_later_eeg_changes_no_forecast_before_it(rng: np.random.Generator) -> None:
    night = make_eeg(rng)
    values = night["C4-M1"].samples.copy()
    values[CUT * 3000 :] = 300 * rng.normal(size=len(values) - CUT * 3000)
    other = replace(night, signals={"C4-M1": replace(night["C4-M1"], samples=values)})
    stages = Hypnogram(rng.integers(5, size=N_EPOCHS).astype(np.int8), 30.0)
    for chosen in (NAME, None):
        before, after = (forecast_with_best(stages, found_from=one, forecaster=chosen)[0] for one in (night, other))
        np.testing.assert_array_equal(before[CAUSAL][:CUT], after[CAUSAL][:CUT])
        assert not np.allclose(before["p_change"][CUT:], after["p_change"][CUT:])
        assert before["p_change"][:CUT].std() > 0.005


def test_no_stage_goes_into_the_ensemble_on_eeg(rng: np.random.Generator) -> None:
    night = make_eeg(rng)
    one, other = (Hypnogram(rng.integers(5, size=N_EPOCHS).astype(np.int8), 30.0) for _ in range(2))
    frames = [forecast_with_best(stages, found_from=night, forecaster=NAME)[0] for stages in (one, other)]
    np.testing.assert_array_equal(frames[0][CAUSAL], frames[1][CAUSAL])


def test_a_staged_eeg_is_forecast_by_the_mean_of_stages_and_signal(rng: np.random.Generator) -> None:
    night = make_eeg(rng)
    stages = Hypnogram(rng.integers(5, size=N_EPOCHS).astype(np.int8), 30.0)
    by_stages, _ = forecast_with_best(stages)
    by_signal, _ = forecast_with_best(stages, found_from=night, forecaster=NAME)
    mean, _ = forecast_with_best(stages, found_from=night)
    np.testing.assert_allclose(mean[CAUSAL], (by_stages[CAUSAL] + by_signal[CAUSAL]) / 2)
    assert sees_both(mean.attrs["method"])
    assert METHOD in mean.attrs["method"]
    assert not is_from_signals(mean.attrs["method"])  # what moved Brainµ's part can still be told
    text = describe_methods("yasa", {}, [], forecaster=mean.attrs["method"], epoch_length=30, unclear_below=0.6)
    assert "decoded stages and the EEG up to then" in text


def test_unit_and_polarity_of_an_eeg_drop_out(rng: np.random.Generator) -> None:
    night = make_eeg(rng)
    signal = night["C4-M1"]
    other = replace(night, signals={"Fz-Cz": replace(signal, name="Fz-Cz", samples=-signal.samples, scale=3e-4)})
    np.testing.assert_allclose(forecast_from_signals(night).change, forecast_from_signals(other).change, atol=1e-3)


def test_an_eeg_that_was_not_measured_is_refused(rng: np.random.Generator) -> None:
    night = make_eeg(rng, names=("C3", "C4"))
    alone = replace(night, signals={"C3": night["C3"]})
    assert find_kind(alone) == "eeg"
    with pytest.raises(SharpwaveError, match="2 EEG channels"):
        find_kind(night)
    with pytest.raises(SharpwaveError, match="a mouse"):
        find_kind(replace(alone, species="mouse"))
    with pytest.raises(SharpwaveError, match="samples a second"):
        find_kind(replace(alone, signals={"C3": replace(night["C3"], rate=50.0)}))
    late = replace(night["C3"], start=90.0)
    with pytest.raises(SharpwaveError, match="begins 90 s after"):
        find_kind(replace(alone, signals={"C3": late}))


def test_eeg_that_was_staged_from_several_channels_keeps_found_stages(rng: np.random.Generator) -> None:
    night = make_eeg(rng, names=("C3", "C4"))
    stages = Hypnogram(np.full(N_EPOCHS, 2, dtype=np.int8), 30.0)
    scored = prepare_night(replace(night, hypnogram=stages), prefer_given=True, events=())
    one, two = (np.array(names * (N_EPOCHS // 2), dtype=object) for names in (["C3", "C3"], ["C3", "C4"]))
    for sources, kept in ((one, ["C3"]), (two, [])):
        prepared = replace(scored, staging=Staging(stages, "yasa", sources=sources))
        assert list(prepared.staged_from.of("eeg")) == kept
        if kept:
            assert METHOD in forecast_stages(prepared, rng=rng).method
        else:
            with pytest.raises(SharpwaveError, match="no EEG"):
                find_kind(prepared.staged_from)


def test_weights_read_back_say_what_the_trees_said(tmp_path: Path, rng: np.random.Generator) -> None:
    features = rng.normal(size=(300, 2))
    stages = (np.cumsum(features[:, 0] > 1) % 5).astype(np.int8)
    night = EpochTable("p", "pd-lfp", stages, features, ("a", "b"))
    ensemble = SignalEnsemble().fit([night], horizon=30.0, rng=rng)
    write_ensemble(tmp_path, "lfp", ensemble)
    (tmp_path / "signals.json").write_text('{"kinds": {"lfp": {"base_rate": 0.1, "subjects": ["pd-lfp/p"]}}}')
    read = load_ensemble("lfp", folder=tmp_path).ensemble
    np.testing.assert_allclose(read.predict(night).change, ensemble.predict(night).change, atol=1e-12)
    np.testing.assert_allclose(read.predict(night).destination, ensemble.predict(night).destination, atol=1e-12)
    with pytest.raises(SharpwaveError, match="with weights"):
        load_ensemble("wrist", folder=tmp_path)


def test_what_ships_is_small_and_says_who_is_in_it() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("signals*")) < 1_300_000
    for kind, cohort in COHORTS.items():
        assert all(person.startswith(f"{cohort}/") for person in load_ensemble(kind).subjects)
        assert len(load_ensemble(kind).subjects) >= 7


def test_it_is_chosen_for_found_stages_and_refused_for_signals_it_does_not_know(rng: np.random.Generator) -> None:
    night = make_lfp(rng)
    stages = LfpStager().stage(night, {})
    given, _ = forecast_with_best(stages, recording=night)
    assert given.attrs["method"] != METHOD
    asked, _ = forecast_with_best(stages, recording=night, forecaster="lightgbm-ensemble")
    assert asked.attrs["method"] == METHOD
    np.testing.assert_array_equal(asked["p_change"], forecast_from_signals(night).change)
    raw = make_wrist(rng, raw=True)
    with pytest.raises(SharpwaveError, match="beats a minute"):
        find_kind(raw)
    kept, _ = forecast_with_best(stages, found_from=raw)
    assert kept.attrs["method"] != METHOD
    for nothing in (raw, None):
        with pytest.raises(SharpwaveError, match="leave --forecaster out"):
            forecast_with_best(stages, recording=nothing, forecaster="lightgbm-ensemble")


def test_decode_says_which_one_forecast(rng: np.random.Generator) -> None:
    prepared = prepare_night(make_lfp(rng), DecodeOptions())
    said = forecast_stages(prepared, rng=rng)
    assert said.method == METHOD
    assert METHOD in said.evaluation.note
    assert any("not Brainµ's" in why for why in said.refusals)
    text = describe_methods("lightgbm-lfp", {}, [], forecaster=METHOD, epoch_length=30, unclear_below=0.6)
    assert "computed from the signals alone up to then" in text
    assert FROM_SIGNALS in list_limits("lightgbm-lfp", forecaster=METHOD)
    assert not any("decoded stages, whose features look" in one for one in list_limits("x", forecaster=METHOD))


def test_epochs_without_a_stage_get_no_forecast(rng: np.random.Generator) -> None:
    night = make_lfp(rng)
    stages = np.full(N_EPOCHS, 2, dtype=np.int8)
    stages[:10] = -1
    frame, _ = forecast_with_best(Hypnogram(stages, 30.0), found_from=night)
    assert frame["p_change"][:10].isna().all()
    assert frame["p_change"][10:].notna().all()
