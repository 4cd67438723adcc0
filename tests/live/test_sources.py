"""Sources: what came, in which order, with its gaps; and a clear sentence where something is missing."""

from __future__ import annotations

import copy
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.sources.brainflow import BrainFlowSource, load_brainflow
from sharpwave.live.sources.lsl import LslSource
from sharpwave.live.sources.replay import ReplaySource
from sharpwave.live.sources.simulate import SimulatedSource
from sharpwave.live.sources.sleeper import N2, N3, Response, Sleeper
from sharpwave.recordings import MODALITIES, Recording, Signal


def take_all(source, end):
    chunks = []
    while (now := source.next_arrival()) <= end:
        chunks += source.pull(now)
    return chunks


def test_a_simulated_night_is_the_same_for_the_same_seed_however_it_is_cut():
    nights = [
        np.concatenate([one.samples for one in take_all(SimulatedSource(rng=np.random.default_rng(3), chunk=n), 70.0)])
        for n in (8, 8, 24)
    ]
    assert np.array_equal(nights[0], nights[1])
    n = min(len(nights[0]), len(nights[2]))
    assert np.array_equal(nights[0][:n], nights[2][:n])


def test_chunks_arrive_after_they_were_taken_and_in_order():
    chunks = take_all(SimulatedSource(rng=np.random.default_rng(0)), 20.0)
    arrivals = np.array([one.arrival for one in chunks])
    taken = np.array([one.index + len(one.samples) for one in chunks]) / 256
    assert np.all(np.diff(arrivals) >= 0)
    assert np.all(arrivals >= taken)
    assert [one.index for one in chunks] == list(range(0, 8 * len(chunks), 8))


def test_a_sound_evokes_a_slow_wave_and_changes_nothing_that_was_handed_out():
    sleeper, differences = Sleeper(("eeg",), rng=np.random.default_rng(0), asleep_after=0.0), []
    while len(differences) < 8:
        sleeper.make(256)
        if sleeper.truth.stages[-1] != N3 or sleeper._second % 8:
            continue
        plain, heard = copy.deepcopy(sleeper), copy.deepcopy(sleeper)
        heard.hear(plain._handed / 256, 40.0)
        waves = [np.concatenate([one.make(256) for _ in range(2)])[:, 0] for one in (plain, heard)]
        differences.append(1e6 * (waves[1] - waves[0]))
    mean = np.mean(differences, axis=0)
    assert np.all(np.abs(mean[: round(0.25 * 256)]) < 1e-3)  # nothing before 300 ms
    assert mean[round(0.3 * 256) : round(0.9 * 256)].min() < -15


def test_louder_off_phase_lighter_and_hastier_sounds_disturb_more():
    response, calm = Response(), {"stage": N3, "phase": -np.pi / 4, "since_last": 9.0}
    quiet = response.compute_arousal(40.0, **calm)
    assert quiet == pytest.approx(0.004)
    assert response.compute_arousal(55.0, **calm) > 5 * quiet
    for change in ({"stage": N2}, {"phase": 3 * np.pi / 4}, {"since_last": 1.0}):
        assert response.compute_arousal(40.0, **{**calm, **change}) > 1.5 * quiet


def test_the_phase_of_the_truth_is_that_of_the_waves():
    sleeper = Sleeper(("eeg",), rng=np.random.default_rng(0), asleep_after=0.0)
    for _ in range(20):
        sleeper.make(256)
    n = len(sleeper._slow)
    t = (np.arange(n) + sleeper._start()) / 256
    sleeper._slow = np.cos(2 * np.pi * 0.9 * t).astype(np.float32)
    at = sleeper._handed / 256
    expected = (2 * np.pi * 0.9 * at + np.pi) % (2 * np.pi) - np.pi
    error = (sleeper.find_phase(at) - expected + np.pi) % (2 * np.pi) - np.pi
    assert abs(np.degrees(error)) < 20


def make_recording(rate=256.0, seconds=130.0):
    t = np.arange(round(seconds * rate)) / rate
    signal = Signal("C4-M1", np.sin(2 * np.pi * t).astype(np.float32), rate, MODALITIES["eeg"], scale=1e-6)
    return Recording(signals={"C4-M1": signal})


def test_a_replay_is_the_recording_to_its_last_sample():
    recording = make_recording()
    chunks = take_all(ReplaySource(recording), 1e9)
    whole = np.concatenate([one.samples for one in chunks])[:, 0]
    assert np.array_equal(whole, recording.signals["C4-M1"].read())
    assert ReplaySource(recording).next_arrival() == pytest.approx(8 / 256 + 0.01)


def test_a_replay_at_another_rate_follows_the_signal():
    chunks = take_all(ReplaySource(make_recording(rate=200.0), rate=256.0), 1e9)
    whole = np.concatenate([one.samples for one in chunks])[:, 0]
    t = np.arange(len(whole)) / 256
    assert np.abs(1e6 * whole[:-300] - np.sin(2 * np.pi * t[:-300])).max() < 0.01


def test_a_recording_without_the_channel_names_those_it_has():
    with pytest.raises(SharpwaveError, match="a recording with the channels Fz; got C4-M1"):
        ReplaySource(make_recording(), ("Fz",))


class Description:
    def __init__(self, channels):
        self.channels, self.at = channels, 0

    def child(self, name):
        return self

    def child_value(self, name):
        return self.channels[self.at].get(name, "") if self.at < len(self.channels) else ""

    def next_sibling(self):
        after = Description(self.channels)
        after.at = self.at + 1
        return after


class FakeLsl:
    """A stand-in for pylsl whose stream gives what a test puts into it."""

    def __init__(self, channels, rate=256.0, streams=1):
        self.queue: list = []
        self.found = SimpleNamespace(
            nominal_srate=lambda: rate, channel_count=lambda: len(channels), desc=lambda: Description(channels),
            name=lambda: "amp", source_id=lambda: "amp-1",
        )  # fmt: skip
        self.streams = streams

    def resolve_byprop(self, name, value, least, wait):
        return [self.found] * self.streams

    def resolve_streams(self, wait):
        return [self.found]

    def StreamInlet(self, found, **options):
        return self

    def info(self, timeout):
        return self.found

    def open_stream(self, timeout):
        pass

    def close_stream(self):
        pass

    def pull_chunk(self, timeout, max_samples):
        taken, self.queue = self.queue[:max_samples], self.queue[max_samples:]
        return [row for row, _ in taken], [stamp for _, stamp in taken]


MICRO = [{"label": "Fz", "unit": "microvolts"}, {"label": "C4-M1", "unit": "microvolts"}]


def test_lsl_takes_everything_that_waits_in_volts_and_in_the_order_of_the_protocol():
    library = FakeLsl(MICRO)
    source = LslSource("amp", ("C4-M1",), library=library)
    assert source.pull(0.0) == []
    library.queue = [([1.0, 2.0], 50.0 + k / 256) for k in range(600)]
    (chunk,) = source.pull(1.5)
    assert chunk.samples.shape == (600, 1)
    assert np.allclose(chunk.samples, 2e-6)
    assert (chunk.index, chunk.stamp, chunk.arrival) == (0, 50.0, 1.5)


def test_a_jump_of_stamps_of_lsl_is_a_gap_in_the_count():
    library = FakeLsl(MICRO)
    source = LslSource("amp", ("Fz",), library=library)
    stamps = np.arange(64) / 256
    stamps[32:] += 1.0
    library.queue = [([0.0, 0.0], float(stamp)) for stamp in stamps]
    first, second = source.pull(1.0)
    assert (first.index, len(first.samples)) == (0, 32)
    assert second.index == 32 + 256
    library.queue = [([0.0, 0.0], float(stamps[-1] + 2.0 + k / 256)) for k in range(8)]
    (third,) = source.pull(3.0)
    assert third.index == 64 + 256 + 511


def test_jitter_of_stamps_is_no_gap():
    library, rng = FakeLsl(MICRO), np.random.default_rng(0)
    source = LslSource("amp", ("Fz",), library=library)
    library.queue = [([0.0, 0.0], k / 256 + rng.uniform(0, 0.01)) for k in range(256)]
    assert [chunk.index for chunk in source.pull(1.0)] == [0]


@pytest.mark.parametrize(
    ("channels", "options", "match"),
    [
        ([{"label": "Fz", "unit": "microvolts"}], {}, "a stream with the channels C4-M1"),
        ([{"label": "C4-M1"}], {}, "the unit of each channel"),
        ([{"label": "C4-M1", "unit": "counts"}], {}, "the unit of each channel"),
        (MICRO, {"rate": 0.0}, "at a steady rate"),
        (MICRO, {"streams": 0}, "one stream of LSL with the name amp; got 0; there are: amp"),
        (MICRO, {"streams": 2}, "one stream of LSL with the name amp; got 2"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(channels, options, match):
    with pytest.raises(SharpwaveError, match=match):
        LslSource("amp", ("C4-M1",), library=FakeLsl(channels, **options))


def test_a_stream_that_loses_a_channel_gives_nothing():
    library = FakeLsl(MICRO)
    source = LslSource("amp", ("C4-M1",), library=library)
    library.queue = [([1.0], k / 256) for k in range(8)]
    assert source.pull(1.0) == []


@pytest.mark.parametrize(("channels", "taken"), [(MICRO, True), (MICRO[::-1], False), (MICRO[:1], False)])
def test_a_stream_that_is_back_is_taken_only_with_the_same_channels(channels, taken, monkeypatch):
    library, after = FakeLsl(MICRO), FakeLsl(channels)
    source = LslSource("amp", ("C4-M1",), library=library)
    library.StreamInlet, library.resolve_byprop = (lambda found, **options: after), (lambda *given: [after.found])
    after.queue = [([1.0] * len(channels), 9.0 + k / 256) for k in range(8)]
    source._last_arrival -= 60.0
    assert source.pull(1.0) == []
    source._searching.join(30.0)
    assert len(source.pull(1.0)) == taken


def test_lsl_over_a_real_loopback():
    pylsl = pytest.importorskip("pylsl")
    name = f"sharpwave-test-{time.monotonic_ns()}"
    info = pylsl.StreamInfo(name, "EEG", 1, 256, "float32", name)
    channel = info.desc().append_child("channels").append_child("channel")
    channel.append_child_value("label", "C4-M1")
    channel.append_child_value("unit", "microvolts")
    outlet = pylsl.StreamOutlet(info)
    source = LslSource(name, ("C4-M1",), wait=30.0)
    found, pushed, end = 0, 0, time.monotonic() + 30.0
    while found < 64 and time.monotonic() < end:
        outlet.push_chunk([[float(pushed + k)] for k in range(8)])
        pushed += 8
        for chunk in source.pull(1.0):
            found += len(chunk.samples)
        time.sleep(0.01)
    source.close()
    assert found >= 64


class FakeBoard:
    def __init__(self, number=0, parameters=None):
        self.data = np.zeros((5, 0))

    get_eeg_names = staticmethod(lambda number: ["Fz", "C3"])
    get_eeg_channels = staticmethod(lambda number: [1, 2])
    get_sampling_rate = staticmethod(lambda number: 250)
    get_package_num_channel = staticmethod(lambda number: 0)
    get_timestamp_channel = staticmethod(lambda number: 4)
    disable_board_logger = staticmethod(lambda: None)
    prepare_session = start_stream = stop_stream = release_session = lambda self, *given: None

    def get_board_data(self):
        taken, self.data = self.data, np.zeros((5, 0))
        return taken


BOARDS = SimpleNamespace(
    BoardShim=FakeBoard, BrainFlowInputParams=SimpleNamespace, 
    BoardIds=SimpleNamespace(SYNTHETIC_BOARD=SimpleNamespace(value=-1)),
)  # fmt: skip


def give(source, counts):
    data = np.zeros((5, len(counts)))
    data[0], data[2], data[4] = counts, 7.0, 100.0 + np.arange(len(counts)) / 250
    source._board.data = data
    return source.pull(1.0)


def test_a_lost_package_of_brainflow_is_a_gap_and_its_counter_wraps_round():
    source = BrainFlowSource("synthetic", ("C3",), library=BOARDS)
    (chunk,) = give(source, list(range(250, 256)))
    assert (chunk.index, float(chunk.samples[0, 0])) == (0, pytest.approx(7e-6))
    (after,) = give(source, [0, 1, 2])  # 255 is followed by 0
    assert after.index == 6
    first, second = give(source, [3, 4, 9, 10])
    assert (first.index, second.index) == (9, 15)
    give(source, [255])
    (over,) = give(source, [3])  # 0, 1 and 2 are lost where the counter wraps round
    assert over.index == 17 + 244 + 1 + 3
    assert give(source, []) == []


def test_a_board_that_is_missing_is_said(monkeypatch):
    with pytest.raises(SharpwaveError, match="a board of BrainFlow"):
        BrainFlowSource("toaster", library=BOARDS)
    with pytest.raises(SharpwaveError, match="channels among Fz, C3"):
        BrainFlowSource("synthetic", ("Oz",), library=BOARDS)
    monkeypatch.setitem(sys.modules, "brainflow", None)
    with pytest.raises(SharpwaveError, match=r"sharpwave\[amplifiers\]"):
        load_brainflow()


def test_the_synthetic_board_of_brainflow():
    pytest.importorskip("brainflow", reason="BrainFlow is not installed (88 MB): pip install 'sharpwave[amplifiers]'")
    source = BrainFlowSource("synthetic")
    found, end = 0, time.monotonic() + 30.0
    while found < 250 and time.monotonic() < end:
        found += sum(len(chunk.samples) for chunk in source.pull(1.0))
        time.sleep(0.01)
    source.close()
    assert found >= 250
