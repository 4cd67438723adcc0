from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal


def make_signal(samples: np.ndarray, rate: float = 10.0, **kwargs) -> Signal:
    return Signal("C4-M1", samples, rate, MODALITIES["eeg"], **kwargs)


class OnDisk:
    """An array-like that counts how much of it was read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: slice) -> np.ndarray:
        self.read += len(self.array[key])
        return self.array[key]


def test_read_scales_into_the_unit_and_pads_nothing():
    signal = make_signal(np.arange(100, dtype=np.int16), scale=2e-6, offset=1e-6, start=5.0)
    assert np.allclose(signal.read(5.0, 5.5), 2e-6 * np.arange(5) + 1e-6)
    assert signal.read(-100, 5.2).tolist() == signal.read(5.0, 5.2).tolist()
    assert len(signal.read(14.5, 1000)) == 5
    assert len(signal.read(1000, 2000)) == 0


def test_chunks_are_the_whole():
    signal = make_signal(np.arange(105, dtype=float), start=2.0)
    onsets, pieces = zip(*signal.chunks(3.0), strict=True)
    assert np.array_equal(np.concatenate(pieces), signal.read())
    assert np.allclose(onsets, [2, 5, 8, 11])


def test_restrict_reads_nothing_and_keeps_the_clock():
    disk = OnDisk(np.arange(1000.0))
    part = make_signal(disk).restrict(10, 20).restrict(12, 15)
    assert disk.read == 0
    assert part.read().tolist() == list(range(120, 150))
    assert part.start == 12
    assert disk.read == 30


def test_to_pynapple_has_the_times_of_the_window():
    tsd = make_signal(np.arange(100.0), start=1.0).to_pynapple(2, 3)
    assert np.allclose(tsd.t, np.arange(2, 3, 0.1))
    frame = Signal("x", np.zeros((50, 2)), 10, MODALITIES["bold"], channels=("a", "b")).to_pynapple()
    assert list(frame.columns) == ["a", "b"]


def test_irregular_signals_go_by_their_times():
    signal = Signal("hr", np.array([60.0, 62, 64]), 0.2, MODALITIES["heart_rate"], times=np.array([0.0, 4, 11]))
    assert signal.read(3, 11).tolist() == [62]
    assert signal.end == pytest.approx(16)


def test_chunks_of_an_irregular_signal_are_the_whole():
    times = np.array([0.0, 4, 11, 12, 30])
    signal = Signal("hr", np.arange(5.0), 0.5, MODALITIES["heart_rate"], times=times)
    onsets, pieces = zip(*signal.chunks(4.0), strict=True)
    assert np.array_equal(np.concatenate(pieces), signal.read())
    assert list(onsets) == [0, 11, 30]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rate": 0.0}, "positive sampling rate"),
        ({"channels": ("a",)}, "1 columns"),
        ({"times": np.arange(3.0)}, "one time per sample"),
    ],
)
def test_signals_that_contradict_themselves_are_refused(kwargs, message):
    with pytest.raises(SharpwaveError, match=message):
        make_signal(np.zeros(10), **kwargs)


def make_recording() -> Recording:
    events = pd.DataFrame({"onset": [1.0, 40.0], "duration": 1.0, "label": "spindle"})
    return Recording(
        {"C4-M1": make_signal(np.zeros(600)), "EMG": Signal("EMG", np.zeros(600), 10, MODALITIES["emg"])},
        hypnogram=Hypnogram.from_labels(["W", "N1"]),
        events=events,
    )


def test_modalities_and_lookup():
    recording = make_recording()
    assert recording.modalities == ("eeg", "emg")
    assert list(recording.of("emg")) == ["EMG"]
    assert recording.duration == 60
    with pytest.raises(SharpwaveError, match="one of the signals C4-M1, EMG; got 'O2'"):
        recording["O2"]


def test_restrict_takes_everything_along():
    import pynapple as nap

    for part in (make_recording().restrict(30, 60), make_recording().restrict(nap.IntervalSet(30, 60))):
        assert part["EMG"].start == 30
        assert part.hypnogram.labels == ["N1"]
        assert part.events["onset"].tolist() == [40]
    with pytest.raises(SharpwaveError, match="an end after the start"):
        make_recording().restrict(30, 20)


def test_events_need_their_columns():
    with pytest.raises(SharpwaveError, match="no duration, label"):
        Recording(events=pd.DataFrame({"onset": [1.0]}))


def test_a_recording_is_frozen():
    recording = make_recording()
    with pytest.raises(TypeError):
        recording.signals["x"] = recording["EMG"]


@pytest.mark.parametrize(
    ("samples", "start", "message"),
    [
        (np.array(["a", "b"]), 0.0, "numbers as samples"),
        (np.array([None, 1]), 0.0, "numbers as samples"),
        (np.zeros(3), float("nan"), "a finite start"),
        (np.zeros(3), float("inf"), "a finite start"),
    ],
)
def test_words_for_samples_and_a_start_that_is_no_time_are_refused(samples, start, message):
    with pytest.raises(SharpwaveError, match=message):
        Signal("C4-M1", samples, 10.0, MODALITIES["eeg"], start=start)
