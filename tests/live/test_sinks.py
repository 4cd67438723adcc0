"""Sinks: loudness in the samples, one stream, silence at once, and a clear sentence where something is missing."""

import datetime
import json
import sys

import numpy as np
import pytest
from scipy.io import wavfile

from sharpwave.errors import SharpwaveError
from sharpwave.live.sinks import open_sink
from sharpwave.live.sinks.audio import BLOCK, AudioSink, calibrate, load_sounddevice
from sharpwave.live.sinks.lsl import LslSink
from sharpwave.live.sinks.sounds import RATE, Calibration, make_sound, measure_rms, read_calibration, read_sound
from sharpwave.live.sinks.trigger import TriggerSink

TODAY = datetime.date(2027, 1, 31)


class When:
    def __init__(self, ahead=0.0):
        self.currentTime, self.outputBufferDacTime = 10.0, 10.0 + ahead


class Library:
    """A stand-in for sounddevice: a device that asks for samples when a test tells it to."""

    def __init__(self, fails=False):
        self.fails, self.streams, self.played = fails, [], []

    def OutputStream(self, **options):
        if self.fails:
            raise RuntimeError("no such device")
        stream = Stream(options)
        self.streams.append(stream)
        return stream

    def play(self, samples, rate, **options):
        self.played.append(samples)

    def query_devices(self, device, kind):
        return {"name": "speaker", "default_low_output_latency": 0.012}

    def playrec(self, samples, rate, **options):
        heard = np.zeros_like(samples)
        heard[round(0.018 * RATE) :] = 0.3 * samples[: -round(0.018 * RATE)]
        return heard


class Stream:
    def __init__(self, options):
        self.options, self.active = options, False

    def start(self):
        self.active = True

    def abort(self):
        self.active = False

    def close(self):
        pass

    def take(self, ahead=0.0):
        out = np.full((BLOCK, 1), 9.0, np.float32)
        self.options["callback"](out, BLOCK, When(ahead), None)
        return out[:, 0]


CALIBRATION = Calibration("speaker", rms=0.02, level_db=60.0, day="2027-01-30", latency=0.02, latency_from="loopback")


@pytest.fixture
def audio():
    library = Library()
    return AudioSink({"click": make_sound("click")}, CALIBRATION, clock=lambda: 5.0, library=library), library


def play_out(library, blocks=20):
    return np.concatenate([library.streams[0].take() for _ in range(blocks)])


def test_a_cue_has_the_level_that_was_asked_for(audio):
    sink, library = audio
    for level in (35.0, 40.0, 55.0):
        assert sink.play(1, "click", level, gain=1.0) is None
        wave = play_out(library)
        assert CALIBRATION.to_level(measure_rms(wave)) == pytest.approx(level, abs=0.2)


def test_samples_louder_than_the_cap_are_refused_whatever_was_asked(audio):
    sink, library = audio
    with pytest.raises(SharpwaveError, match="samples of at most 55 dB"):
        sink.play(1, "click", 56.0, gain=1.0)
    sink._levels["click"] -= 20.0  # the level was computed wrongly: the samples say so
    with pytest.raises(SharpwaveError, match="samples of at most 55 dB"):
        sink.play(1, "click", 40.0, gain=1.0)
    assert not np.any(play_out(library))


def test_a_gain_is_one_or_nothing(audio):
    with pytest.raises(SharpwaveError, match="a cue of this night"):
        audio[0].play(1, "click", 40.0, gain=2.0)


def test_a_sham_takes_as_long_and_is_silent(audio):
    sink, library = audio
    counts = []
    for gain in (1.0, 0.0):
        sink.play(1, "click", 40.0, gain=gain)
        blocks = 0
        while sink._playing is not None:
            wave = library.streams[0].take()
            assert gain or not np.any(wave)
            blocks += 1
        counts.append(blocks)
        assert sink.poll() == [(1, pytest.approx(5.02), "")]
    assert counts[0] == counts[1]


def test_silence_is_the_next_block(audio):
    sink, library = audio
    sink.play(1, "click", 40.0, gain=1.0)
    assert np.any(library.streams[0].take())
    sink.silence()
    assert not np.any(play_out(library))


def test_one_stream_is_opened_and_plays_silence(audio):
    sink, library = audio
    assert not np.any(play_out(library))
    for trial in range(3):
        sink.play(trial, "click", 40.0, gain=1.0)
        play_out(library)
    assert len(library.streams) == 1


def test_the_onset_is_what_the_device_says_only_where_it_can_be_believed():
    declared = Calibration("speaker", rms=0.02, level_db=60.0, day="2027-01-30", latency=0.02)
    for ahead, onset in ((0.013, 5.013), (0.0, 5.02), (-3.0, 5.02), (9.0, 5.02)):
        library = Library()
        sink = AudioSink({"click": make_sound("click")}, declared, clock=lambda: 5.0, library=library)
        sink.play(1, "click", 40.0, gain=1.0)
        library.streams[0].take(ahead)
        assert sink.poll()[0][1] == pytest.approx(onset)


def test_a_device_that_is_unplugged_is_said(audio):
    sink, library = audio
    library.streams[0].active = False
    with pytest.raises(SharpwaveError, match="a stream that ended"):
        sink.play(1, "click", 40.0, gain=1.0)
    with pytest.raises(SharpwaveError, match="no such device"):
        AudioSink({}, CALIBRATION, clock=lambda: 0.0, library=Library(fails=True))


def test_a_missing_portaudio_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SharpwaveError, match="sharpwave\\[live\\]"):
        load_sounddevice()


def test_no_loudspeaker_without_a_calibration(tmp_path):
    with pytest.raises(SharpwaveError, match="the calibration of the loudspeaker"):
        open_sink("audio", clock=lambda: 0.0, cues={"click": "builtin:click"})
    path = CALIBRATION.write(tmp_path / "speaker.json")
    assert read_calibration(path, today=TODAY) == CALIBRATION
    with pytest.raises(SharpwaveError, match="the last 90 days"):
        read_calibration(path, today=datetime.date(2027, 6, 1))


@pytest.mark.parametrize("changes", [{"rms": 0}, {"level_db": 200}, {"latency": -1}, {"day": "today"}, {"more": 1}])
def test_an_impossible_calibration_is_refused(tmp_path, changes):
    path = tmp_path / "speaker.json"
    path.write_text(json.dumps({**vars(CALIBRATION), **changes}))
    with pytest.raises(SharpwaveError, match=r"the calibration of a loudspeaker; got speaker\.json"):
        read_calibration(path, today=TODAY)


def test_a_loudspeaker_is_measured(tmp_path):
    record = calibrate(tmp_path / "speaker.json", ask=lambda words: "61.5", library=Library())
    assert (record.level_db, record.latency_from) == (61.5, "loopback")
    assert record.latency == pytest.approx(0.018, abs=0.001)
    with pytest.raises(SharpwaveError, match="a level in dB"):
        calibrate(tmp_path / "speaker.json", ask=lambda words: "loud", library=Library())


def test_sounds_of_ones_own(tmp_path):
    t = np.arange(22_050) / 44_100
    path = tmp_path / "word.wav"
    wavfile.write(path, 44_100, (20_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16))
    sound = read_sound(str(path))
    assert len(sound) == pytest.approx(0.5 * RATE, abs=2)
    assert abs(sound[0]) < 1e-3
    for content in (b"", b"RIFFxxxx", b"\x00" * 100):
        path.write_bytes(content)
        with pytest.raises(SharpwaveError, match="a WAV file with the sound of a cue"):
            read_sound(str(path))
    with pytest.raises(SharpwaveError, match="a sound that ships"):
        read_sound("builtin:song")


def test_weights_are_those_of_the_standard():
    """Curve A of IEC 61672-1 at its nominal frequencies."""
    t = np.arange(RATE) / RATE
    one = measure_rms(np.sin(2 * np.pi * 1000 * t).astype(np.float32))
    for frequency, weight in ((63, -26.2), (250, -8.6), (500, -3.2), (2000, 1.2), (8000, -1.1)):
        level = 20 * np.log10(measure_rms(np.sin(2 * np.pi * frequency * t).astype(np.float32)) / one)
        assert level == pytest.approx(weight, abs=0.3)


def test_markers_say_the_same_for_cue_and_sham():
    said = []

    class Fake:
        StreamInfo = staticmethod(lambda *given: None)

        class StreamOutlet:
            def __init__(self, info):
                pass

            def push_sample(self, sample):
                said.append(sample[0])

    sink = LslSink(clock=lambda: 0.0, library=Fake)
    for gain in (1.0, 0.0):
        sink.play(3, "click", 40.0, gain=gain)
    assert said[0] == said[1]


def test_a_trigger_goes_up_and_down(tmp_path):
    import os

    fifo = tmp_path / "line"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    now = [1.0]
    sink = TriggerSink(str(fifo), clock=lambda: now[0])
    sink.play(1, "click", 40.0, gain=0.0)
    sink.poll()
    now[0] = 1.02
    sink.poll()
    assert os.read(reader, 10) == b"\x01\x00"
    sink.close()
    os.close(reader)
    plain = tmp_path / "file"
    plain.write_text("")
    with pytest.raises(SharpwaveError, match="a plain file"):
        TriggerSink(str(plain), clock=lambda: 0.0)


def test_an_unknown_sink_names_those_there_are():
    with pytest.raises(SharpwaveError, match="a sink among audio, lsl"):
        open_sink("radio", clock=lambda: 0.0, cues={})
