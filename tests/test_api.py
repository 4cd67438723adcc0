"""`import sharpwave as sw`: anything in, one night out, and mistakes answered in words."""

from __future__ import annotations

import pydoc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sharpwave as sw
from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import PARTS, DecodedNight
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal

mne = pytest.importorskip("mne")
nap = pytest.importorskip("pynapple")

RATE = 100.0
EEG = np.random.default_rng(0).normal(0.0, 20.0, 6000)  # µV


def make_raw(kinds: dict[str, str], scale: float = 1e-6) -> Any:
    info = mne.create_info(list(kinds), RATE, list(kinds.values()))
    return mne.io.RawArray(np.tile(scale * EEG, (len(kinds), 1)), info, verbose="error")


def make_night() -> DecodedNight:
    hypnogram = Hypnogram.from_labels(["W", "N2", "N2", "?", "R"])
    events = pd.DataFrame({"onset": [31.0, 40.0], "duration": [1.0, np.nan], "label": ["spindle", "cue: tone"]})
    return DecodedNight(
        identifier="<b>s1</b>",
        source="s1.edf",
        duration=150.0,
        hypnogram=hypnogram,
        stager="hand",
        verdict="usable",
        events=events,
    )


def test_every_way_in_gives_the_same_volts() -> None:
    ways = [
        sw.read({"C4-M1": EEG}, rate=RATE, unit="uV"),
        sw.read(1e-3 * EEG, rate=RATE, unit="mV", channels=["C4-M1"]),
        sw.read(np.stack([EEG, EEG]), rate=RATE, unit="uV", channels=["C4-M1", "EOG left"]),
        sw.read(np.stack([EEG, EEG], axis=1), rate=RATE, unit="uV", channels=["C4-M1", "EOG left"]),
        sw.read(make_raw({"C4-M1": "eeg", "EOG left": "eog"})),
        sw.read(nap.Tsd(t=np.arange(6000) / RATE, d=EEG), unit="uV", channels="C4-M1"),
        sw.from_pynapple({"eeg": nap.TsdFrame(t=np.arange(6000) / RATE, d=EEG[:, None], columns=["C4-M1"])}, unit="uV"),
    ]
    for recording in ways:
        signal = recording["C4-M1"]
        assert signal.modality.name == "eeg"
        assert signal.rate == pytest.approx(RATE)
        np.testing.assert_allclose(signal.read(), 1e-6 * EEG, rtol=1e-5)
        assert recording.species == "human"
    assert ways[4].modalities == ("eeg", "eog")


def test_a_file_a_raw_and_arrays_decode_alike(tmp_path: Path) -> None:
    raw = make_raw({"C4-M1": "eeg"})
    raw.set_annotations(mne.Annotations([0, 30], [30, 30], ["Sleep stage W", "Sleep stage N2"]))
    assert sw.from_mne(raw).hypnogram == Hypnogram.from_labels(["W", "N2"])
    path = tmp_path / "night_raw.fif"
    raw.save(path, verbose="error")
    for source in (path, str(path), raw):
        recording = sw.read(source)
        np.testing.assert_allclose(recording["C4-M1"].read(), 1e-6 * EEG, rtol=1e-4, atol=1e-10)
        assert recording.hypnogram == Hypnogram.from_labels(["W", "N2"])


def test_stages_beside_arrays_are_compared_with() -> None:
    recording = sw.read({"C4-M1": EEG}, rate=RATE, unit="uV", stages=["Wake", "REM"])
    assert recording.hypnogram == Hypnogram.from_labels(["W", "R"])
    night = sw.decode(Recording(hypnogram=Hypnogram.from_labels(["W"] * 10)), age=34, lights_off=30, lights_on=270)
    assert (night.night_start, night.night_end) == (30.0, 270.0)


def test_pynapple_brings_spikes_position_and_events() -> None:
    time = np.arange(600) / 30
    data = {
        "units": nap.TsGroup({0: nap.Ts(np.array([1.0, 2.0]))}),
        "position": nap.TsdFrame(t=time, d=np.full((600, 2), 50.0), columns=["x", "y"]),
        "rest": nap.IntervalSet([2.0], [5.0]),
    }
    recording = sw.from_pynapple(data, unit={"position": "cm"}, species="rat")
    assert recording.modalities == ("spikes", "position")
    assert recording["position"].read()[0].tolist() == [0.5, 0.5]
    assert recording.events.to_dict("records") == [{"onset": 2.0, "duration": 3.0, "label": "rest"}]
    irregular = nap.Tsd(t=np.array([0.0, 1.0, 5.0]), d=np.array([60.0, 61.0, 62.0]))
    assert sw.from_pynapple(irregular, names="heart rate")["heart rate"].times is not None


def test_a_night_goes_out_to_mne_and_pynapple(tmp_path: Path) -> None:
    night = make_night()
    annotations = night.to_mne()
    labels = ["Sleep stage W", "Sleep stage N2", "spindle", "cue: tone", "Sleep stage R"]
    assert annotations.description.tolist() == labels
    assert annotations.onset.tolist() == [0.0, 30.0, 31.0, 40.0, 120.0]
    assert annotations.duration.tolist() == [30.0, 60.0, 1.0, 0.0, 30.0]
    annotations.save(tmp_path / "night.csv", overwrite=True)
    assert mne.read_annotations(tmp_path / "night.csv").description.tolist() == labels
    epochs = night.to_pynapple()
    assert sorted(epochs) == ["N2", "R", "W", "cue: tone", "spindle"]
    assert epochs["N2"].values.tolist() == [[30.0, 90.0]]
    assert epochs["cue: tone"].tot_length() == pytest.approx(1e-3)


def test_a_night_is_saved_drawn_and_shown_escaped(tmp_path: Path) -> None:
    night = make_night()
    assert night.save(tmp_path / "out").is_file()
    assert (tmp_path / "out" / "summary.json").is_file()
    night.plot(tmp_path / "night.png")
    assert (tmp_path / "night.png").stat().st_size > 5000
    html = night._repr_html_()
    assert "<b>s1</b>" not in html
    assert "&lt;b&gt;s1" in html
    assert html.count("<rect") == 3
    assert "SIMULATED" not in html


def test_reprs_are_short() -> None:
    rng = np.random.default_rng(0)
    recording, truth = sw.simulate_night("human", 0.2, rng=rng)
    night = make_night()
    things = [recording, truth, recording["C4-M1"], night, Hypnogram(np.zeros(900, int))]
    things.append(sw.decode(Recording(hypnogram=Hypnogram(np.zeros(60, int)), source="simulated")))
    for thing in [*things, *(getattr(things[-1], part) for part in PARTS)]:
        assert len(repr(thing)) <= 800, repr(thing)
        assert "array(" not in repr(thing)
    assert repr(recording) == "<Recording 'simulated': 0.20 h; human; 2 eeg, 2 eog, 1 emg; 24 scored epochs; 55 events>"
    assert "SIMULATED" in repr(things[-1])


MISTAKES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "an array without a rate": ({"C4-M1": EEG}, {"unit": "uV"}, "rate= in Hz"),
    "intervals of heart beats": ({"rr_ms": np.full(9, 800.0)}, {}, "one a line, and decode 'beats.txt'"),
    "an array without a unit": ({"C4-M1": EEG}, {"rate": RATE}, "unit='uV'"),
    "an array without names": (EEG, {"rate": RATE, "unit": "uV"}, r"channels=\['C4-M1'"),
    "a rate that is no number": ({"C4-M1": EEG}, {"rate": "fast", "unit": "uV"}, "give a number"),
    "µV called V": ({"C4-M1": EEG}, {"rate": RATE, "unit": "V"}, "probably a unit mistake"),
    "epochs as an array": (np.zeros((4, 2, 9)), {"rate": RATE, "unit": "uV", "channels": ["a", "b"]}, "continuous"),
    "text as samples": ({"C4-M1": np.array(["a", "b"])}, {"rate": RATE, "unit": "uV"}, "numbers of shape"),
    "only NaN": ({"C4-M1": np.full(9, np.nan)}, {"rate": RATE, "unit": "uV"}, "leave the channel out"),
    "several paths": (["a.edf", "b.edf"], {}, r"sw.decode\(path\) for path in paths"),
    "a list of arrays": ([EEG, EEG], {}, "name the channels and say the rate"),
    "a path that is not there": ("nowhere/night.edf", {}, "neither a file here nor one of"),
    "a Path that is not there": (Path("nowhere.edf"), {}, "neither a file here"),
    "None": (None, {}, "variable that was meant"),
    "a table": (pd.DataFrame({"C4": EEG}), {"rate": RATE}, "pass its columns"),
    "an empty mapping": ({}, {}, "empty mapping"),
    "a number": (7, {}, "got int"),
}


@pytest.mark.parametrize(("source", "given", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_of_a_source_are_answered_in_words(source: Any, given: dict[str, Any], words: str) -> None:
    for verb in (sw.read, sw.decode):
        with pytest.raises(SharpwaveError, match=words):
            verb(source, **given)


def test_mistakes_with_other_libraries_are_answered_in_words() -> None:
    with pytest.raises(SharpwaveError, match="set_channel_types"):
        sw.decode(make_raw({"A": "stim"}))
    info = mne.create_info(["C4-M1"], RATE, "eeg")
    epochs = mne.EpochsArray(1e-6 * EEG.reshape(10, 1, 600), info, verbose="error")
    with pytest.raises(SharpwaveError, match="Epochs and Evoked hold no night"):
        sw.decode(epochs)
    with pytest.raises(SharpwaveError, match="an MNE Raw object"):
        sw.from_mne(epochs)
    with pytest.raises(SharpwaveError, match="the unit of 'C4-M1'"):
        sw.decode(nap.Tsd(t=np.arange(6000) / RATE, d=EEG), channels="C4-M1")
    with pytest.raises(SharpwaveError, match="a name for the Tsd"):
        sw.decode(nap.Tsd(t=np.arange(6000) / RATE, d=EEG), unit="uV")
    with pytest.raises(SharpwaveError, match="say what it is"):
        sw.decode(make_raw({"A": "misc"}, scale=1.0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"age": 340}, "0 to 120"),
        ({"age": "old"}, "0 to 120"),
        ({"sex": "x"}, "female or male"),
        ({"light_off": "23:10"}, "lights_off="),
        ({"lights_off": "25:99"}, "expected"),
        ({"stages": ["W", "banana"]}, "banana"),
        ({"channels": ["C9"]}, "C9"),
    ],
)
def test_mistakes_of_options_are_answered_in_words(given: dict[str, Any], words: str) -> None:
    signal = Signal("C4-M1", 1e-6 * EEG, RATE, MODALITIES["eeg"])
    with pytest.raises(SharpwaveError, match=words):
        sw.decode(Recording(signals={"C4-M1": signal}), **given)


def test_what_is_offered_is_listed() -> None:
    listed = dir(sw)
    assert [name for name in listed if name.startswith("_")] == ["__version__"]
    assert {*sw.__all__, "causality", "resilience"} <= set(listed)
    assert not {"moved", "lazy_loader", "annotations"} & set(listed)
    text = pydoc.plain(pydoc.render_doc(sw))
    assert all(name in text for name in sw.__all__)
    stub = (Path(sw.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    assert all(f" as {name}\n" in stub for name in listed if name != "__version__")


def test_causality_takes_tables_of_a_laboratory() -> None:
    depth = pd.DataFrame({"onset": [30.0, 34.0, 38.0], "depth": [1.0, 2.0, 3.0]})
    marks = pd.DataFrame({"onset": [36.0]})
    arousals = pd.DataFrame({"onset": [35.0], "duration": [1.0]})
    series = sw.causality.from_tables(["W", "N2", "N2"], marks, depth, night="a", arousals=arousals)
    assert series.contents == ("unknown",)
    assert np.flatnonzero(series.usable).tolist() == list(range(30, 42))
    assert series.depth[[30, 33, 34, 41]].tolist() == [1.0, 1.0, 2.0, 3.0]
    assert series.stage[[34, 35, 36]].tolist() == [2, 0, 2]
    with pytest.raises(SharpwaveError, match="not samples or clock times"):
        sw.causality.from_tables(["W", "N2"], pd.DataFrame({"onset": [36000.0]}), depth, night="a")
    with pytest.raises(SharpwaveError, match="no depth"):
        sw.causality.from_tables(["W", "N2"], marks, depth.rename(columns={"depth": "power"}), night="a")
