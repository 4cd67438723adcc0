"""One figure and one table, of an array, a recording and a network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording, Signal
from sharpwave.recordings.modality import MODALITIES
from sharpwave.resilience import card
from sharpwave.resilience.card import COLUMNS


class Weights:
    """Scores 1 minus the mean squared distance of two numbers from 0; only the first comes back."""

    doses: Mapping[str, Sequence[float]] = {"noise": (0.0, 0.5, 1.0)}
    parts: Mapping[str, float] = {"first": 0.5, "second": 0.5}
    shock = ("noise", 1.0)
    chance = 0.0

    def __init__(self) -> None:
        self.values = {"first": 0.0, "second": 0.0}

    def copy(self) -> Weights:
        return copy.deepcopy(self)

    def score(self) -> float:
        return 1 - (0.4 * self.values["first"] ** 2 + 0.1 * self.values["second"] ** 2)

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        for name in self.values if part is None else [part]:
            self.values[name] = dose

    def recover(self, number: int) -> None:
        self.values["first"] *= 0.5


def test_network() -> None:
    found = card(Weights(), n_steps=4)
    assert found.kind == "network"
    assert list(found.table.columns) == list(COLUMNS)
    assert found.curves["noise"].scores == pytest.approx([1.0, 0.875, 0.5])
    assert found.recovery is not None
    assert found.recovery.shock == pytest.approx(0.5)
    assert found.recovery.residual == pytest.approx(0.1, abs=0.01)
    assert found.brittleness is not None
    assert found.brittleness.parts == ("first", "second")
    assert len(found.figure.axes) == 3


def test_array(rng: np.random.Generator) -> None:
    found = card(rng.normal(size=(6000, 10)), rate=100.0, n_repeats=1)
    row = found.table.set_index("measure").loc["modularity"]
    assert found.kind == "recording"
    assert row["state"] == "all"
    assert row["n"] == 3
    assert abs(row["value"] - row["baseline"]) < 0.15
    assert len(found.figure.axes) == 10


def test_recording_skips_what_is_too_short(rng: np.random.Generator) -> None:
    long = Signal("EEG", rng.normal(size=6400).astype(np.float32), 100.0, MODALITIES["eeg"])
    short = Signal("EMG", rng.normal(size=100).astype(np.float32), 100.0, MODALITIES["emg"])
    found = card(Recording(signals={"EEG": long, "EMG": short}), n_repeats=1)
    assert set(found.table["part"]) == {"EEG"}
    with pytest.raises(SharpwaveError, match="without gaps"):
        card(Recording(signals={"EMG": short}))


def test_what_it_cannot_read(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="ndarray without a rate"):
        card(rng.normal(size=100))


def test_a_transposed_array_is_noticed_and_dead_channels_named(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="transpose"):
        card(rng.normal(size=(8, 6000)), rate=100.0)
    samples = rng.normal(size=(6000, 3))
    samples[:, 1] = np.nan
    assert card(samples, rate=100.0, n_repeats=1).notes == {"signal": "channel 1 holds no samples"}
    with pytest.raises(SharpwaveError, match="channel 0 holds no samples"):
        card(samples[:, 1:2], rate=100.0)


class Broken(Weights):
    recovers = False


class WithoutRecover:
    """A network with damage and nothing that mends it."""

    def __init__(self) -> None:
        self.inside = Weights()
        self.doses, self.parts, self.shock, self.chance = Weights.doses, Weights.parts, Weights.shock, 0.0

    def copy(self) -> WithoutRecover:
        return copy.deepcopy(self)

    def score(self) -> float:
        return self.inside.score()

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        self.inside.damage(kind, dose, rng=rng, part=part)


@pytest.mark.parametrize("subject", [Broken(), WithoutRecover()])
def test_recovery_that_was_not_given_is_not_measured_and_never_zero(subject: object) -> None:
    found = card(subject, n_steps=4)
    rows = found.table[found.table["part"] == "recovery"]
    assert found.recovery is None
    assert rows["state"].tolist() == ["not measured"]
    assert rows["value"].isna().all()
    texts = [text.get_text() for axes in found.figure.axes for text in axes.texts]
    assert "not measured" in texts
    assert not any("recovers" in axes.get_title() for axes in found.figure.axes)
