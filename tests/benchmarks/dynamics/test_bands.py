"""Planted differences of bands and of what channels share come out person by person; nothing where none was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.dynamics.bands import compare_bands


def test_planted_differences(tmp_path: Path, rng: np.random.Generator) -> None:
    stages = np.repeat([0, 2, 3, 4], 60)
    flat, steep = np.zeros(7), np.array([2.0, 1.0, 0.0, -1.0, -2.0, 0.0, 0.0])
    small = {}
    for person in range(5):
        asleep = np.isin(stages, (2, 3))[:, None, None]
        powers = np.where(asleep, steep, flat) + 0.1 * rng.normal(size=(240, 2, 7))
        small |= {f"SC40{person}1_x": powers.astype(np.float32), f"SC40{person}1_y": stages.astype(np.int8)}
    for name in ("sleep-edf-bands", "hmc-bands"):
        (tmp_path / name).mkdir()
    np.savez(tmp_path / "sleep-edf-bands" / "bands.npz", **small)

    who, stage = np.repeat(np.arange(6), 240), np.tile(np.repeat([2, 3, 4, 4], 60), 6)
    course = rng.normal(size=(1440, 3, 3))
    shared = rng.normal(size=(1440, 1))
    course[:, :, 1] = np.where(stage[:, None] == 4, 0.8 * shared + 0.6 * course[:, :, 1], course[:, :, 1])
    np.savez(
        tmp_path / "hmc-bands" / "hmc.npz",
        mean_power=np.exp(course),
        patient=who,
        stage=stage,
        stages=np.array(["W", "N1", "N2", "N3", "REM"]),
        bands=np.array(["delta", "theta", "alpha"]),
    )
    found = {(row.data, row.setting, row.method, row.metric): row for row in compare_bands(tmp_path, rng=rng)}
    entropy = found["sleep-edf-bands", "NREM minus wake", "measured", "entropy_of_bands"]
    assert (entropy.n, entropy.high < -0.3) == (5, True)
    assert found["sleep-edf-bands", "NREM minus wake", "measured", "share_of_people_lower"].value == 1.0
    r = 0.8**2
    expected = -np.log((1 - r) ** 2 * (1 + 2 * r)) / 6
    theta = found["hmc-bands", "REM minus N3, theta", "measured", "integration"]
    assert theta.value == pytest.approx(expected, rel=0.2)
    assert theta.n == 6
    for setting, method in (("REM minus N3, alpha", "measured"), ("REM minus N3, theta", "epochs shuffled")):
        assert found["hmc-bands", setting, method, "integration"].value == pytest.approx(0.0, abs=0.03)


def test_nothing_there(tmp_path: Path, rng: np.random.Generator) -> None:
    assert compare_bands(tmp_path, rng=rng) == []
