"""Every entry sees the same epochs, whatever the unit and however many channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.nights import simulate_short_night

from sharpwave.brainmu import epoch_recording
from sharpwave.brainmu.checkpoints import make_lite
from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs
from sharpwave.brainmu.runtime.online import init_online, step_online
from sharpwave.errors import SharpwaveError
from sharpwave.night.decode import decode_recording
from sharpwave.night.prepare import prepare_night
from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.signals.preparation import Preparation, keep_picked, plan_preparation, prepare_signals

FACTOR = 12_345.0
MINUTES = 30


@pytest.fixture(scope="module")
def crowded() -> Recording:
    """EEG in an unknown unit, the best channel last; two EOG, a chin EMG, an ECG, heart rate."""
    night = simulate_short_night()[0].restrict(0, MINUTES * 60)
    rng = np.random.default_rng(0)
    samples = np.asarray(night["C4-M1"].read())
    made = {
        name: Signal(name, samples * scale + rng.normal(0, 1e-6, len(samples)), night["C4-M1"].rate, MODALITIES["eeg"])
        for name, scale in (("O1-M2", 0.4), ("F4-M1", 1.2), ("C4-M1", 1.0))
    }
    made = {name: replace(signal, scale=FACTOR) for name, signal in made.items()}
    others = {name: signal for name, signal in night.signals.items() if signal.modality.name != "eeg"}
    ecg = Signal("ECG", rng.normal(0, 1e-4, len(samples)), night["C4-M1"].rate, MODALITIES["ecg"])
    pulse = Signal("pulse", 60 + rng.normal(0, 3, MINUTES * 60), 1.0, MODALITIES["heart_rate"])
    signals = {**made, **others, "ECG": ecg, "pulse": pulse}
    return replace(night, signals=signals, metadata={**night.metadata, "amplitude_unit": "unknown"})


@pytest.fixture(scope="module")
def worlds(crowded: Recording) -> dict[str, Recording]:
    """The same half hour in the wrong scale, healthy, with a dead channel, with two that share it, and in LFP alone."""
    known = {name: replace(signal, scale=1.0) for name, signal in crowded.signals.items()}
    healthy = replace(crowded, signals=known, metadata={})
    good, length = known["O1-M2"], len(known["C4-M1"])
    noise = np.random.default_rng(1).normal(0, 3e-7, length)
    flat = replace(known["C4-M1"], samples=np.zeros(length))
    dead = {**known, "C4-M1": flat, "F4-M1": replace(flat, name="F4-M1", samples=noise)}
    chin = next(name for name in known if name.startswith("EMG"))
    late = np.arange(length) >= 0.6 * length
    shared = {
        **dead,
        "C4-M1": replace(flat, samples=np.where(late, 0.0, good.read())),
        "O1-M2": replace(good, samples=np.where(late, good.read(), noise)),
    }
    implanted = {
        name: Signal(name, samples, good.rate, MODALITIES["lfp"])
        for name, samples in (("HIP1", np.zeros(length)), ("HIP2", good.read()))
    }
    return {
        "mis-scaled": crowded,
        "healthy": healthy,
        "dead": replace(healthy, signals={**dead, chin: replace(known[chin], samples=np.zeros(len(known[chin])))}),
        "shared": replace(healthy, signals=shared),
        "LFP alone": replace(healthy, signals=implanted),
    }


WORLDS = ("mis-scaled", "healthy", "dead", "shared", "LFP alone")


def assert_same(found: dict[str, ModalityEpochs], expected: dict[str, ModalityEpochs]) -> None:
    assert set(found) == set(expected)
    for name, epochs in expected.items():
        assert found[name].channels == epochs.channels
        np.testing.assert_array_equal(found[name].present, epochs.present, err_msg=name)
        np.testing.assert_allclose(found[name].values, epochs.values, atol=1e-5, err_msg=name)


def signals_of(piece: EpochedRecording) -> dict[str, ModalityEpochs]:
    return {name: epochs for name, epochs in piece.epochs.items() if name != "stages"}


def test_epochs_of_the_python_api_are_in_the_scale_of_a_usual_night(crowded: Recording) -> None:
    piece = epoch_recording(crowded)
    assert piece.epochs["eeg"].channels == ("C4-M1",)
    assert "ecg" not in piece.epochs
    assert any("C4-M1: its unit is unknown" in sentence for sentence in piece.repairs)
    known = replace(
        crowded, signals={"C4-M1": replace(crowded["C4-M1"], scale=1.0)}, metadata={"amplitude_unit": "known"}
    )
    usual = epoch_recording(known).epochs["eeg"].values[..., :24]
    assert abs(float(np.median(piece.epochs["eeg"].values[..., :24] - usual))) < 0.3  # log10: a factor of two
    assert len(epoch_recording(crowded, every_channel=True).epochs["eeg"].channels) == 3


def test_quality_goes_before_name_in_the_python_api(worlds: dict[str, Recording]) -> None:
    dead = epoch_recording(worlds["dead"])
    alone = {
        name: worlds["dead"][name] for name in worlds["dead"].signals if name not in ("C4-M1", "F4-M1", "EMG chin")
    }
    assert_same(signals_of(dead), signals_of(epoch_recording(replace(worlds["dead"], signals=alone))))
    assert dead.epochs["eeg"].channels == ("O1-M2",)
    assert "emg" not in dead.epochs
    assert any("C4-M1: 100% of it cannot be used (flat), so O1-M2 was taken" in repair for repair in dead.repairs)

    shared = epoch_recording(worlds["shared"]).epochs["eeg"]
    assert shared.channels == ("C4-M1",)
    assert shared.present.all()  # from O1-M2 where C4-M1 is dead, as decode stages it
    good = epoch_recording(Recording({"O1-M2": worlds["healthy"]["O1-M2"]})).epochs["eeg"]
    np.testing.assert_allclose(shared.values[..., :24], good.values[..., :24], atol=0.2)  # the rest is of the past
    assert any("12 min of it are of O1-M2" in repair for repair in prepare_signals(worlds["shared"]).repairs)


def test_nights_of_lfp_alone_choose_by_quality(worlds: dict[str, Recording]) -> None:
    prepared = prepare_night(replace(worlds["LFP alone"], species="rat", hypnogram=None), events=())
    assert prepared.picks == {"lfp": "HIP2"}
    assert prepared.depth_channel == "HIP2"
    assert prepared.hypnogram.scored.any()
    assert any("HIP1" in repair and "HIP2 was taken as the LFP" in repair for repair in prepared.recording.repairs)
    lfp = epoch_recording(worlds["LFP alone"]).epochs["lfp"]
    assert lfp.present[:, lfp.channels.index("HIP2")].all()
    assert not lfp.present[:, lfp.channels.index("HIP1")].any()


class Stopped(SharpwaveError):
    pass


@pytest.mark.parametrize("world", WORLDS)
def test_every_entry_cuts_the_same_epochs(
    worlds: dict[str, Recording], world: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recording = worlds[world]
    readme = Path(__file__).parents[2].joinpath("docs", "brainmu.md").read_text(encoding="utf-8")
    assert "collate([epoch_recording(recording)])" in readme
    expected = signals_of(epoch_recording(recording))  # the snippet of docs/brainmu.md
    caught: dict[str, EpochedRecording] = {}

    caught["causality"] = epoch_recording(prepare_night(recording, prefer_given=True, events=()).seen)
    from sharpwave.commands import explain, export
    from sharpwave.night import explanation

    def stop(key: str) -> Any:
        def explain_night(model: object, piece: EpochedRecording, **options: object) -> None:
            caught[key] = piece
            raise Stopped("nothing more", got="", fix="")

        return explain_night

    monkeypatch.setattr(explanation, "explain_night", stop("decode"))
    decode_recording(replace(recording, species="human"))
    for key, options in (("explain", {}), ("explain, signals alone", {"signals_only": True})):
        monkeypatch.setattr(explanation, "explain_night", stop(key))
        monkeypatch.setattr(explain, "open_source", lambda source, options: recording)
        with pytest.raises(Stopped):
            explain.explain_to_folder("night", output=tmp_path / key, at=["900"], **options)
    from sharpwave.brainmu.runtime import export as runtime
    from sharpwave.recordings.store import write_store

    def catch(model: object, path: Path, *, example: EpochedRecording, kind: str) -> dict[str, object]:
        caught["export"] = example
        return {}

    monkeypatch.setattr(runtime, "export_onnx", catch)
    store = write_store(recording, tmp_path / "night.zarr")
    export.export_weights(None, tmp_path / "graph.onnx", example=str(store))

    assert set(caught) >= {"causality", "explain", "explain, signals alone", "export"}
    assert "decode" in caught or world == "LFP alone"  # no five stages to explain
    for key, piece in caught.items():
        part = {name: epochs for name, epochs in expected.items() if key != "export" or name in piece.epochs}
        assert part
        assert_same(signals_of(piece), part)


@pytest.mark.parametrize("world", WORLDS)
def test_a_whole_night_and_step_by_step_see_the_same_epochs(
    worlds: dict[str, Recording], world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharpwave.brainmu.runtime import online, staging

    recording = worlds[world].restrict(0, 900)
    expected = signals_of(epoch_recording(recording))
    names = tuple(expected)
    model = make_lite(seed=0, modalities=names, width=16, n_heads=2).eval()
    seen: dict[str, list[EpochedRecording]] = {"whole": [], "online": []}
    for key, module in (("whole", staging), ("online", online)):
        real = module.collate
        monkeypatch.setattr(module, "collate", lambda crops, real=real, key=key: seen[key].extend(crops) or real(crops))
    staging.run_brainmu(recording, model, chunk=16)
    plan = plan_preparation(recording) if world == "mis-scaled" else None  # else chosen from the first step
    state = init_online(model, preparation=plan)
    for start in range(0, 900, 12):
        _, state = step_online(model, state, recording.restrict(start, start + 12))
    for key, pieces in seen.items():
        assert sum(len(piece) for piece in pieces) == 30
        for name in names:
            empty = np.zeros_like(expected[name].values[:1])  # a step in which nothing of it can be used leaves it out
            parts = [piece.epochs[name].values if name in piece.epochs else empty for piece in pieces]
            np.testing.assert_allclose(np.concatenate(parts), expected[name].values, atol=2e-4, err_msg=f"{key} {name}")


def test_what_fails_while_it_runs_is_missing_from_then_on(worlds: dict[str, Recording]) -> None:
    from sharpwave.brainmu.runtime import online

    recording = worlds["shared"].restrict(600, 1500)
    model = make_lite(seed=0, modalities=("eeg", "heart_rate"), width=16, n_heads=2).eval()
    forecasts, _ = online.step_online(model, init_online(model, start=600.0), recording)
    assert [one.end for one in forecasts if "eeg" in one.modalities] == [630.0 + 30 * k for k in range(16)]  # to 1080
    assert len(forecasts) == 30


def test_a_running_recording_in_an_unknown_unit_is_refused_without_a_plan(crowded: Recording) -> None:
    model = make_lite(seed=0, modalities=("eeg",), width=16, n_heads=2).eval()
    with pytest.raises(SharpwaveError, match="plan_preparation"):
        step_online(model, init_online(model), crowded.restrict(0, 60))
    without_factor = Preparation({"eeg": "C4-M1"})
    with pytest.raises(SharpwaveError, match="plan_preparation"):
        step_online(model, init_online(model, preparation=without_factor), crowded.restrict(0, 60))
    with pytest.raises(SharpwaveError, match="plan_preparation"):
        without_factor.apply(crowded)


def test_preparing_twice_changes_nothing_more(crowded: Recording) -> None:
    once = prepare_signals(crowded)
    twice = prepare_signals(once)
    assert once.repairs == twice.repairs
    np.testing.assert_array_equal(once["C4-M1"].read(), twice["C4-M1"].read())
    assert crowded["C4-M1"].scale == FACTOR  # the recording itself is left as it was


def test_a_flat_channel_of_an_unknown_unit_is_declared_and_ends_nothing(crowded: Recording) -> None:
    flat = replace(crowded["C4-M1"], samples=np.zeros(len(crowded["C4-M1"])))
    prepared = prepare_signals(replace(crowded, signals={"C4-M1": flat}))
    assert any("flat or too short" in repair for repair in prepared.repairs)
    assert np.isnan(prepared["C4-M1"].read()).all()


def test_what_is_all_there_is_stays(crowded: Recording) -> None:
    only = Recording({"ECG": crowded["ECG"]})
    assert list(prepare_signals(only).signals) == ["ECG"]
    assert list(keep_picked(crowded, {"eeg": "F4-M1"}).signals) == ["F4-M1", "pulse"]


def test_a_frame_of_lfp_channels_is_one_channel_for_every_entry() -> None:
    """The channel with ripples, whether the night is decoded or its signals are prepared for a model."""
    rng, times = np.random.default_rng(0), np.arange(1250 * 120) / 1250
    ripples = 20 * (np.sin(2 * np.pi * times / 2) > 0.99) * np.sin(2 * np.pi * 180 * times)
    samples = rng.normal(0, 1, (len(times), 3)) * [3, 1, 2] + np.stack([0 * times, ripples, 0 * times], axis=1)
    frame = Signal("LFP", samples, 1250.0, MODALITIES["lfp"], scale=1e-5, channels=("0", "1", "2"))
    prepared = prepare_signals(Recording(signals={"LFP": frame}, species="rat"))
    assert list(prepared.of("lfp")) == ["LFP-1"]
    assert any("of 3 channels 'LFP-1' is used" in repair for repair in prepared.repairs)
