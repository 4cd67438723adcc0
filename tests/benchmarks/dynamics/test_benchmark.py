"""The benchmark of dynamics, small: a planted difference between states is in its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.dynamics import benchmark as dynamics
from sharpwave.benchmarks.dynamics import power
from sharpwave.benchmarks.dynamics.states import StagedSignal
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.recordings.modality import MODALITIES


def make_staged(n: int, modality: str, *, hours: float, seed: int = 0) -> list[StagedSignal]:
    """Noise awake, slow waves in NREM that both channels share."""
    hypnogram = Hypnogram(np.array([0, 2] * 8, dtype=np.int8).repeat(3), 30.0)
    times = np.arange(0, hypnogram.end, 0.02)
    rng = np.random.default_rng(seed)
    asleep = (hypnogram.at(times) == 2)[:, None]
    signals = []
    for index in range(n):
        noise = rng.normal(size=(times.size, 2))
        samples = np.where(asleep, 5 * np.sin(2 * np.pi * times)[:, None] + 0.2 * noise, noise)
        signal = Signal("EEG", samples.astype(np.float32), 50.0, MODALITIES["eeg"], channels=("a", "b"))
        signals.append(StagedSignal(f"made up {index}", signal, hypnogram))
    return signals


def test_planted_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "REAL", {})
    monkeypatch.setattr(dynamics, "MOST_WINDOWS", 4)
    monkeypatch.setattr(dynamics, "simulate_staged", make_staged)
    monkeypatch.setattr(dynamics, "compare_bands", lambda data, *, rng: [])
    monkeypatch.setattr(dynamics, "compare_spiking", lambda data, *, rng: [])
    monkeypatch.setattr(dynamics, "tabulate_power", lambda *, rng: [])
    monkeypatch.setattr(dynamics, "MANY_SURROGATES", {"simulated eeg": 3})
    monkeypatch.setattr(dynamics, "FEWEST_DRAWS", 3)
    config, rows = dynamics.run(None, seeds=2)
    assert config["subjects"]["simulated eeg"] == ["made up 0", "made up 1"]
    found = {(row.data, row.setting, row.method, row.metric): row for row in rows}
    entropy = found["simulated eeg", "NREM minus wake", "measured", "lempel_ziv"]
    synchrony = found["simulated eeg", "NREM minus wake", "measured", "synchrony"]
    null = found["simulated eeg", "NREM minus wake", "phase-randomised, over draws", "synchrony"]
    assert abs(null.value) < synchrony.low / 2
    assert null.n == 3
    assert null.low <= null.value <= null.high
    assert ("simulated bold", "NREM minus wake", "phase-randomised, over draws", "synchrony") not in found
    assert entropy.high < -0.2
    assert synchrony.low > 0.1
    assert entropy.n == 2
    assert (
        "simulated eeg",
        "round transitions, after a fitted course",
        "minus inside the states",
        "metastability",
    ) in found


def test_power_rises_with_what_is_planted_and_nothing_is_found_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(power, "REGIONS", (24,))
    monkeypatch.setattr(power, "MINUTES", (10,))
    monkeypatch.setattr(power, "RISE", 0.3)
    monkeypatch.setattr(power, "N_PEOPLE", 12)
    found = {(row.method, row.metric): row for row in power.tabulate_power(rng=np.random.default_rng(0))}
    assert found["planted", "modularity"].low > 0
    assert found["planted", "share_of_studies"].value > 0.9
    assert found["planted", "people_needed"].value < 10
    assert found["nothing planted", "share_of_studies"].value < 0.5
    assert ("nothing planted", "people_needed") not in found


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="one of the data sets"):
        dynamics.run(tmp_path, seeds=1)
