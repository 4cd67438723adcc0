from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu.runtime import export
from sharpwave.brainmu.runtime.export import TOLERANCES, compare_with_model, export_onnx, make_inputs, run_onnx
from sharpwave.errors import MissingExtraError, SharpwaveError


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "int8"])
def test_a_graph_says_what_the_model_says(tmp_path: Path, kind: str) -> None:
    """On a night of another length than the one it was made with, and with steps that are absent."""
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    model, night = make_model(), make_night(1, n_steps=50)
    about = export_onnx(model, tmp_path / "graph.onnx", example=make_night(0, n_steps=30), kind=kind)
    night.epochs["heart_rate"].present[10:20] = False
    assert about["modalities"] == ["heart_rate"]
    assert json.loads((tmp_path / "graph.json").read_text())["tolerance"] == TOLERANCES[kind]
    assert compare_with_model(model, tmp_path / "graph.onnx", night) < TOLERANCES[kind]
    assert compare_with_model(make_model(seed=1), tmp_path / "graph.onnx", night) > TOLERANCES["onnx"]
    said = run_onnx(tmp_path / "graph.onnx", make_inputs(night, ["heart_rate"]))
    assert said["stage"].shape == (1, 50, 5)
    np.testing.assert_allclose(said["stage"].sum(axis=2), 1, atol=1e-5)


def test_a_graph_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_check_extra", lambda: None)
    monkeypatch.setattr(export, "_write_graph", lambda *_: None)
    monkeypatch.setattr(export, "compare_with_model", lambda *_: 0.2)
    with pytest.raises(SharpwaveError, match=r"probabilities within 0\.0001 of the model's; got a difference of 0\.2"):
        export_onnx(make_model(), tmp_path / "graph.onnx", example=make_night(0, n_steps=20))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"a format among onnx, int8; got 'tflite'"):
        export_onnx(make_model(), tmp_path / "graph.onnx", example=make_night(0, n_steps=20), kind="tflite")


def test_a_night_of_other_modalities_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_check_extra", lambda: None)
    with pytest.raises(SharpwaveError, match=r"a night with one of eeg; got heart_rate"):
        export_onnx(
            make_model(modalities=["eeg"]), tmp_path / "graph.onnx", example=make_night(0, n_steps=20), kind="onnx"
        )


def test_inputs_that_a_night_lacks_are_named() -> None:
    with pytest.raises(SharpwaveError, match=r"a night with heart_rate, eeg; got no eeg"):
        make_inputs(make_night(0, n_steps=20), ["heart_rate", "eeg"])


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"sharpwave\[export\]"):
        run_onnx(tmp_path / "graph.onnx", {})
