from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.continual.blobs import make_blobs

from sharpwave.benchmarks.continual import step_sizes
from sharpwave.benchmarks.continual.harness import make_setting
from sharpwave.benchmarks.continual.images import VARIANTS, vary_images
from sharpwave.benchmarks.continual.learners import LEARNERS
from sharpwave.benchmarks.continual.protocols import make_protocols
from sharpwave.benchmarks.continual.step_sizes import compute_area, make_limited, tabulate
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import take


def test_the_area_is_the_mean_over_the_logarithm_of_the_step() -> None:
    curve = np.array([[0.2, 0.2, 0.2], [0.0, 0.6, 0.0]])
    np.testing.assert_allclose(compute_area(curve, (0.01, 0.1, 1.0)), [0.2, 0.3])
    np.testing.assert_allclose(compute_area(curve, (0.01, 0.02, 1.0)), [0.2, 0.3])
    np.testing.assert_allclose(compute_area(np.array([[1.0, 0.0, 0.0]]), (0.01, 0.02, 0.16)), [0.125])


def test_rows_hold_the_curve_its_area_and_the_lead_over_the_best_peer_of_the_mean() -> None:
    flat = np.ones(len(step_sizes.STEP_SIZES))
    curves = {
        "der++": np.array([0.5 * flat, 0.7 * flat]),
        "er-ace": np.array([0.6 * flat, 0.5 * flat]),
        "er-ace, limited": np.array([0.8 * flat, 0.8 * flat]),
        "sleep": np.array([0.9 * flat, 0.7 * flat]),
    }
    curves["sleep"][0, 0] = 0.3
    rows = {(row.setting, row.method, row.metric): row for row in tabulate("blobs", curves)}
    assert rows["step size 0.02", "sleep", "accuracy"].value == pytest.approx(0.5)
    assert rows["over step sizes", "sleep", "lowest"].values == pytest.approx((0.3, 0.7))
    lead = rows["over step sizes", "sleep", "area_minus_best_peer"].values
    area = rows["over step sizes", "sleep", "area"].values
    assert lead == pytest.approx((area[0] - 0.5, 0.0))
    limited = rows["over step sizes", "sleep", "area_minus_best_limited_peer"].values
    assert limited == pytest.approx((area[0] - 0.8, -0.1))
    assert ("over step sizes", "der++", "area_minus_best_peer") not in rows


def test_a_limited_peer_takes_no_longer_step_than_wake(rng: np.random.Generator) -> None:
    images = make_blobs(rng)
    stream = make_protocols(images)[0].make_stream(images, seed=0)
    setting, task = make_setting(stream, batch=8, buffer_items=20, seed=0), stream.tasks[0]
    moved = {}
    for name, make in (("plain", LEARNERS["finetune"]), ("limited", None)):
        model = make_model("mlp", stream.shape, stream.n_classes, seed=0)
        learner = (
            make(model, setting, lr=50.0) if make else make_limited(model, setting, lr=50.0, make=LEARNERS["finetune"])
        )
        before = np.concatenate([p.detach().numpy().ravel().copy() for p in model.parameters()])
        learner.observe(take(task.x_train, slice(8)), task.y_train[:8], 0)
        after = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])
        moved[name] = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert moved["limited"] == pytest.approx(0.05, rel=1e-3)
    assert moved["plain"] > 0.2


def test_other_worlds_are_made_of_the_same_images(rng: np.random.Generator) -> None:
    images = make_blobs(rng)
    found = {how: vary_images(images, how) for how in VARIANTS}
    assert np.array_equal(255 - found["inverted"].x_test, images.x_test)
    assert found["brightened"].x_train.min() >= 128
    assert found["blurred"].x_train.std() < images.x_train.std()
    assert 20 < (found["noisy"].x_train.astype(float) - images.x_train)[images.x_train > 60].std() < 64
    assert {each.name for each in found.values()} == {f"blobs, {how}" for how in VARIANTS}
    assert all(np.array_equal(each.y_train, images.y_train) for each in found.values())


def test_a_folder_of_images_is_run(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = make_blobs(rng, n_train=24)
    parts = {name: getattr(blobs, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "blobs.npz", **parts)
    monkeypatch.setattr(step_sizes, "STEP_SIZES", (0.05, 0.2))
    config, rows = step_sizes.run(tmp_path, seeds=1)
    assert {row.data for row in rows} == {"blobs"}
    assert {row.method for row in rows} == {*step_sizes.METHODS, "der++, limited", "er-ace, limited"}
    assert config["seeds"] == 1
    assert "lr" not in config["options"]["sleep"]
