"""The graph steps with its cache and says what the predictor says, in eight bits nearly so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.edge import EdgePredictor, export_predictor
from sharpwave.live.phase import STEP, TAPS, GridState, load_predictor, mix, step_grid

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("kind", "usual", "most"), [("float", 0.001, 0.01), ("int8", 3.0, 15.0)])
def test_the_graph_says_what_the_predictor_says(tmp_path: Path, kind: str, usual: float, most: float) -> None:
    said = export_predictor(tmp_path / "phase.onnx", kind=kind)
    edge, predictor = EdgePredictor(tmp_path / "phase.onnx"), load_predictor()
    rng = np.random.default_rng(0)
    times = np.arange(128 * 30) / 128
    wave = 50 * np.sin(2 * np.pi * 0.9 * times) + rng.normal(0, 8, times.size)
    values, _ = step_grid(128.0, GridState(), wave.tolist())
    cache, errors = np.zeros(TAPS - 1, np.float32), []
    for place, value in enumerate(values):
        ahead, cache = edge.step(cache, value)
        if place >= TAPS:
            components = tuple((predictor.basis @ np.array(values[place - TAPS + 1 : place + 1])).tolist())
            for lead in (0, 2, 12):
                right = mix(predictor, components, lead * STEP)
                errors.append(np.angle(complex(*ahead[lead]) / right))
    assert len(errors) > 1000
    assert np.degrees(np.abs(errors)).mean() < usual
    assert np.degrees(np.abs(errors)).max() < most  # where the wave is small
    assert said["bytes"] < 4000


def test_eight_bits_are_smaller(tmp_path: Path) -> None:
    small = export_predictor(tmp_path / "a.onnx", kind="int8")["bytes"]
    assert small < 0.75 * export_predictor(tmp_path / "b.onnx", kind="float")["bytes"]


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="a kind among"):
        export_predictor(tmp_path / "a.onnx", kind="int4")
