"""The benchmark of resilience, small: every row is there, differences are paired, and the twin is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.resilience import benchmark as resilience
from sharpwave.benchmarks.resilience import shocks
from sharpwave.demonstrations.damage import DOSES
from sharpwave.demonstrations.recovery import CHECKED
from sharpwave.demonstrations.shocks import SHOCKS
from sharpwave.errors import SharpwaveError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six classes of 4 by 4 pixels in an NPZ."""
    rng = np.random.default_rng(0)
    patterns, labels = rng.integers(0, 200, size=(6, 4, 4)), np.arange(480) % 6
    images = np.clip(patterns[labels] + rng.integers(0, 56, size=(480, 4, 4)), 0, 255).astype(np.uint8)
    parts = {"x_train": images[:360], "y_train": labels[:360], "x_test": images[360:], "y_test": labels[360:]}
    np.savez(tmp_path / "patterns.npz", **parts)
    return tmp_path


@pytest.mark.slow
def test_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"N_TASKS": 2, "N_TRAIN": 96, "N_TEST": 30, "BATCH": 8, "N_REMEMBERED": 30, "N_STEPS": 4}
    for name, value in sizes.items():
        monkeypatch.setattr(resilience, name, value)
    monkeypatch.setattr(resilience, "DAMAGES", ("lesion",))
    monkeypatch.setitem(DOSES, "label_noise", (0.0, 0.8))
    methods = ("replay", "plain replay", "sleep")
    monkeypatch.setattr(resilience, "CONTROLLED", methods[2:])
    monkeypatch.setattr(resilience, "LEARNING", methods)
    monkeypatch.setattr(resilience, "N_PARTS", 1)
    monkeypatch.setattr(shocks, "N_RESAMPLES", 20)
    config, rows = resilience.run(folder, seeds=2)
    assert config["seeds"] == 2
    found = {(row.setting, row.method, row.metric): row for row in rows}
    for stream in ("split", "permuted"):
        assert found[f"{stream}, learning", "sleep", "kept_lesion"].n == 2
        assert found[f"{stream}, after lesion", "wake", "half_step"].value <= 4
        assert (f"{stream}, after weight noise, minus wake", "sleep, NREM only", "recovered_fraction") in found
        assert (f"{stream}, after lesion, minus sleep, REM only", "sleep, NREM and REM", "half_step") in found
        for setting in ("learning", "after lesion", "after weight noise", *["wrong labels"] * (stream == "split")):
            control = f"{stream}, {setting}"
            assert any(key[:2] == (control, "plain replay") for key in found), control
            assert any(key[0] == f"{control}, minus plain replay" for key in found), control
        samples = [found[f"{stream}, learning", one, "gradient_samples"].value for one in ("plain replay", "sleep")]
        assert samples[0] == samples[1]
        assert 0 <= found[f"{stream}, after lesion", "plain replay", "never"].value <= 1
        assert (f"{stream}, one part damaged", "sleep", "loss_per_weight_head") in found
        for shock in SHOCKS:
            assert (f"{stream}, after {shock.replace('_', ' ')}", CHECKED, "final_accuracy") in found
        parts = f"{stream}, parts of sleep, after lesion, minus plain replay"
        assert found[parts, "plain replay, distilled", "final_accuracy"].n == 1


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError):
        resilience.run(tmp_path, seeds=1)
