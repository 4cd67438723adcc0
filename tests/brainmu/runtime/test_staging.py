from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.nights import simulate_short_night

from sharpwave.brainmu.epochs import collate, epoch_recording, make_epoch_grid
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.runtime.staging import (
    FRAGMENT,
    iter_epochs,
    pass_recording,
    run_brainmu,
    smooth_stages,
    weigh_night,
)
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

TRANSITIONS = np.full((5, 5), 0.02) + 0.9 * np.eye(5)


@pytest.fixture(scope="module")
def model() -> BrainMu:
    torch.manual_seed(0)
    config = configure("lite", modalities=["stages", "eeg", "emg"], width=16, n_layers=2, n_heads=2, window=1200.0)
    return BrainMu(config).eval()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate_short_night()[0]


def test_in_stretches_of_any_length_as_at_once(model, recording):
    piece = epoch_recording(recording, modalities=("stages", "eeg", "emg"))
    with torch.inference_mode():
        whole = model(collate([piece])).readout
    for chunk in (7, 64, 1000):
        said = pass_recording(recording, model, history=recording.hypnogram, chunk=chunk)
        for name in ("stage", "change", "destination", "depth"):
            np.testing.assert_allclose(getattr(said, name), getattr(whole, name)[0].numpy(), atol=1e-4)


def test_a_step_uses_nothing_after_its_end(model, recording, rng):
    moment = 45 * 60.0
    spoilt = {}
    for name, signal in recording.signals.items():
        samples = np.array(signal.samples, dtype=np.float32)
        late = np.arange(len(samples)) >= moment * signal.rate
        samples[late] = 50 * rng.standard_normal(late.sum())
        spoilt[name] = replace(signal, samples=samples)
    nights = [run_brainmu(replace(recording, signals=each), model) for each in (recording.signals, spoilt)]
    before, after = slice(0, int(moment / 30)), slice(int(moment / 30), None)
    for name in ("stages", "change", "destination", "depth"):
        kept, moved = (getattr(night, name) for night in nights)
        np.testing.assert_allclose(kept[before], moved[before], atol=1e-5)
        assert np.abs(kept[after] - moved[after]).max() > 1e-3
    assert np.array_equal(nights[0].hypnogram.stages[before], nights[1].hypnogram.stages[before])


def test_the_recordings_own_stages_are_never_looked_at(model, recording):
    hidden = replace(recording, hypnogram=None)
    assert np.array_equal(run_brainmu(recording, model).stages, run_brainmu(hidden, model).stages)
    told = run_brainmu(recording, model, history=recording.hypnogram)
    assert np.abs(told.stages - run_brainmu(hidden, model).stages).max() > 1e-3


def test_whatever_is_there_is_used(model, recording):
    muscle = replace(recording, signals=recording.of("emg"))
    night = run_brainmu(muscle, model)
    assert set(night.present) == {"emg"}
    assert np.isfinite(night.stages).all()
    only = run_brainmu(recording, model, modalities=["emg"])
    assert np.array_equal(night.stages, only.stages)
    stages = run_brainmu(Recording(hypnogram=recording.hypnogram), model, history=recording.hypnogram)
    assert set(stages.present) == {"stages"}
    assert len(stages.grid) == len(recording.hypnogram)


def test_steps_without_data_are_unscored(model, recording):
    name, signal = next(iter(recording.of("eeg").items()))
    samples = np.array(signal.samples, dtype=np.float32)
    samples[round(600 * signal.rate) : round(900 * signal.rate)] = np.nan
    night = run_brainmu(Recording({name: replace(signal, samples=samples)}), model)
    assert (night.hypnogram.stages[20:30] == -1).all()
    assert (night.hypnogram.stages[:20] >= 0).all()
    assert np.isnan(night.forecast()["p_change"].to_numpy()[20:30]).all()


def test_memory_does_not_grow_with_the_recording(model, recording):
    caches, sizes = None, []
    for piece in iter_epochs(recording, make_epoch_grid(recording), ("eeg",), chunk=16):
        assert len(piece) <= 16
        with torch.inference_mode():
            caches = model(collate([piece]), caches).caches
        sizes.append(max(cache.times.shape[1] for cache in caches))
    assert 2 * 40 <= max(sizes) == sizes[3] <= 2 * 41


def test_forecasts_are_probabilities_by_horizon(model, recording):
    night = run_brainmu(recording, model)
    for horizon in night.horizons:
        frame = night.forecast(horizon)
        assert list(frame["onset"][:2]) == [0.0, 30.0]
        assert frame["p_change"].between(0, 1).all()
        np.testing.assert_allclose(frame.filter(regex="^p_(W|N1|N2|N3|R)$").sum(axis=1), 1, atol=1e-5)
    assert frame.attrs["horizon"] == night.horizons[-1]
    with pytest.raises(SharpwaveError, match="a horizon of 30, 60, 300 s"):
        night.forecast(45.0)


def test_calibration_is_applied(model, recording):
    flat = run_brainmu(recording, model, calibration=Calibration(1e6, (0.0,) * 3, (0.0,) * 3))
    np.testing.assert_allclose(flat.stages, 0.2, atol=1e-3)
    np.testing.assert_allclose(flat.change, 0.5)


def cut_off(recording: Recording, seconds: float) -> Recording:
    """Another file, which begins later."""
    signals = {
        name: replace(signal, samples=signal.read(seconds, signal.end), start=0.0, scale=1.0, offset=0.0)
        for name, signal in recording.signals.items()
    }
    return Recording(signals)


def blank(recording: Recording, seconds: float) -> Recording:
    """The same file with its first seconds missing."""
    signals = {}
    for name, signal in recording.signals.items():
        samples = signal.read().astype(np.float32)
        samples[: round(seconds * signal.rate)] = np.nan
        signals[name] = replace(signal, samples=samples, scale=1.0, offset=0.0)
    return Recording(signals)


def test_where_the_file_begins_changes_nothing_but_the_history(model, recording):
    """Cut off or missing is the same: the start of a file is not the beginning of the night.

    For as long as two layers look back (80 steps here) the model sees that steps without data went before.
    """
    cut, missing = (run_brainmu(change(recording, 1200.0), model) for change in (cut_off, blank))
    np.testing.assert_allclose(cut.stages[80:], missing.stages[120:], atol=1e-4)
    np.testing.assert_allclose(cut.change[80:], missing.change[120:], atol=1e-4)


def test_lights_off_set_the_clock(model, recording):
    """The same night told when it began says something else, and the same wherever the file begins."""
    late = replace(cut_off(recording, 1200.0), metadata={"lights_off": -1200.0})
    early = replace(blank(recording, 1200.0), metadata={"lights_off": 0.0})
    told = run_brainmu(late, model)
    np.testing.assert_allclose(told.stages[80:], run_brainmu(early, model).stages[120:], atol=1e-4)
    assert np.abs(told.stages - run_brainmu(replace(late, metadata={}), model).stages).max() > 1e-3


def test_a_fragment_is_not_smoothed_as_a_night_is(model, recording):
    assert recording.duration <= FRAGMENT
    night = run_brainmu(recording, model, transitions=TRANSITIONS)
    assert np.array_equal(np.asarray(night.hypnogram.probabilities), night.stages)
    shares = [weigh_night(3600.0 * hours) for hours in range(9)]
    assert shares == sorted(shares)
    assert (shares[2], shares[5]) == (0.0, 1.0)


def test_smoothing_mends_a_lonely_step_and_leaves_the_causal_stages_alone(model, recording, monkeypatch):
    said = np.full((9, 5), 0.02)
    said[:, 2] = 0.92
    said[4] = [0.45, 0.02, 0.42, 0.02, 0.09]
    assert said.argmax(axis=1)[4] == 0
    assert (smooth_stages(said, TRANSITIONS).argmax(axis=1) == 2).all()
    monkeypatch.setattr("sharpwave.brainmu.runtime.staging.weigh_night", lambda seconds: 1.0)
    plain, smooth = run_brainmu(recording, model), run_brainmu(recording, model, transitions=TRANSITIONS)
    assert np.array_equal(plain.stages, smooth.stages)
    np.testing.assert_allclose(np.asarray(plain.hypnogram.probabilities), plain.stages)
    assert np.abs(np.asarray(smooth.hypnogram.probabilities) - smooth.stages).max() > 1e-3


def test_what_cannot_be_read_is_refused(model, recording):
    with pytest.raises(SharpwaveError, match="data of one of stages, eeg, emg"):
        run_brainmu(replace(recording, signals=recording.of("eog")), model)
    with pytest.raises(SharpwaveError, match="at least one step of 30 s"):
        run_brainmu(Recording(hypnogram=Hypnogram(np.array([0]), 10.0)), model, history=Hypnogram(np.array([0]), 10.0))
