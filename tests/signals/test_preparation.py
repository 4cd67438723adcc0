"""Every entry sees the same epochs, whatever the unit and however many channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


def test_every_entry_cuts_the_same_epochs(crowded: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = signals_of(epoch_recording(crowded))
    assert_same(signals_of(epoch_recording(prepare_night(crowded, events=()).seen)), expected)
    assert_same(signals_of(epoch_recording(prepare_night(crowded, prefer_given=True, events=()).seen)), expected)

    explained: list[EpochedRecording] = []
    from sharpwave.night import explanation

    real = explanation.explain_night

    def spy(model: object, piece: EpochedRecording, **options: object) -> object:
        explained.append(piece)
        return real(model, piece, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(explanation, "explain_night", spy)
    decode_recording(crowded)
    from sharpwave.commands import explain
    from sharpwave.recordings.store import write_store

    monkeypatch.setattr(explain, "open_source", lambda source, options: crowded)
    explain.explain_to_folder("night", output=tmp_path / "with", at=["900"])
    explain.explain_to_folder("night", output=tmp_path / "without", at=["900"], signals_only=True)
    assert len(explained) == 3
    for piece in explained:
        assert_same(signals_of(piece), expected)
    np.testing.assert_array_equal(explained[0].stages, explained[1].stages)  # the history of decode's own forecast

    exported: list[EpochedRecording] = []
    from sharpwave.brainmu.runtime import export as runtime
    from sharpwave.commands import export

    monkeypatch.setattr(runtime, "export_onnx", lambda model, path, *, example, kind: exported.append(example) or {})
    store = write_store(crowded, tmp_path / "night.zarr")
    export.export_weights(None, tmp_path / "graph.onnx", example=str(store))
    assert_same(signals_of(exported[0]), {name: part for name, part in expected.items() if name in exported[0].epochs})


def test_a_whole_night_and_step_by_step_see_the_same_epochs(
    crowded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharpwave.brainmu.runtime import online, staging

    expected = signals_of(epoch_recording(crowded))
    names = tuple(expected)
    model = make_lite(seed=0, modalities=names, width=16, n_heads=2).eval()
    seen: dict[str, list[EpochedRecording]] = {"whole": [], "online": []}
    for key, module in (("whole", staging), ("online", online)):
        real = module.collate
        monkeypatch.setattr(module, "collate", lambda crops, real=real, key=key: seen[key].extend(crops) or real(crops))
    staging.run_brainmu(crowded, model, chunk=16)
    state = init_online(model, preparation=plan_preparation(crowded))
    chunks = [crowded.restrict(start, start + 95) for start in range(0, MINUTES * 60, 95)]
    for chunk in chunks:
        _, state = step_online(model, state, chunk)
    for pieces in seen.values():
        assert sum(len(piece) for piece in pieces) == MINUTES * 2
        for name in names:
            values = np.concatenate([piece.epochs[name].values for piece in pieces])
            np.testing.assert_allclose(values, expected[name].values, atol=2e-4, err_msg=name)


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
    assert "flat or too short" in prepared.repairs[-1]


def test_what_is_all_there_is_stays(crowded: Recording) -> None:
    only = Recording({"ECG": crowded["ECG"]})
    assert list(prepare_signals(only).signals) == ["ECG"]
    assert list(keep_picked(crowded, {"eeg": "F4-M1"}).signals) == ["F4-M1", "pulse"]
