"""Windows by state: gaps and unscored epochs stay out, transitions are found, planted differences too."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.resilience.windows import TRANSITION, UNKNOWN, Windows, WindowSettings, measure_windows, randomise_phases

RATE = 50.0
HYPNOGRAM = Hypnogram(np.array([0] * 6 + [1] * 6 + [-1] * 2, dtype=np.int8), 30.0, n_stages=3)


def make_signal(rng: np.random.Generator) -> np.ndarray:
    """Noise in wake, a slow wave in NREM; 7 min."""
    times = np.arange(0, HYPNOGRAM.end, 1 / RATE)
    noise = rng.normal(size=(times.size, 2))
    asleep = (HYPNOGRAM.at(times) == 1)[:, None]
    return np.where(asleep, 10 * np.sin(2 * np.pi * times)[:, None] + 0.1 * noise, noise)


def measure(samples: np.ndarray, rng: np.random.Generator, **options: object) -> Windows:
    def read(begin: float, end: float) -> np.ndarray:
        return samples[max(0, int(np.ceil(begin * RATE))) : max(0, int(np.ceil(end * RATE)))]

    return measure_windows(read, RATE, span=(0.0, len(samples) / RATE), rng=rng, **options)  # type: ignore[arg-type]


def test_states_and_transitions(rng: np.random.Generator) -> None:
    found = measure(make_signal(rng), rng, hypnogram=HYPNOGRAM)
    assert set(found.states) == {"W", "NREM", TRANSITION}
    at = int(np.flatnonzero(found.of(TRANSITION))[0])
    assert (found.before[at], found.after[at], found.onsets[at]) == ("W", "NREM", 165.0)
    assert found.onsets.max() + 30 <= 360


def test_planted_difference(rng: np.random.Generator) -> None:
    found = measure(make_signal(rng), rng, hypnogram=HYPNOGRAM, n_surrogates=1)
    awake, asleep = found.of("W"), found.of("NREM")
    for name in ("spectral_entropy", "permutation_entropy", "lempel_ziv"):
        assert found.values[name][asleep].max() < found.values[name][awake].min()
    assert found.values["synchrony"][asleep].min() > 0.95
    assert "modularity" not in found.values
    assert found.surrogates["spectral_entropy"][awake] == pytest.approx(
        found.values["spectral_entropy"][awake], abs=0.02
    )


def test_gaps_are_left_out(rng: np.random.Generator) -> None:
    samples = make_signal(rng)
    samples[: round(100 * RATE)] = np.nan
    found = measure(samples, rng)
    assert found.onsets.min() >= 100
    assert set(found.states) == {UNKNOWN}


def test_most_windows_per_state(rng: np.random.Generator) -> None:
    found = measure(make_signal(rng), rng, hypnogram=HYPNOGRAM, most=2)
    assert found.of("W").sum() == found.of("NREM").sum() == 2


def test_nothing_whole_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="without gaps"):
        measure(np.full((5000, 1), np.nan), rng)


def test_what_is_bold_is_said_by_the_modality() -> None:
    assert WindowSettings.for_rate(10.0, "bold").length == pytest.approx(3.0)
    assert WindowSettings.for_rate(10.0, "eeg").band == WindowSettings.for_rate(10.0).band == (0.5, 4.0)
    with pytest.raises(SharpwaveError, match=r"eeg at 2 Hz"):
        WindowSettings.for_rate(2.0, "eeg")


def test_dead_and_flat_channels_are_named_and_the_others_measured(rng: np.random.Generator) -> None:
    samples = np.concatenate([make_signal(rng), np.full((21000, 1), np.nan), np.ones((21000, 1))], axis=1)
    found = measure(samples, rng)
    assert dict(found.left_out) == {2: "holds no samples", 3: "is flat"}
    assert len(found.onsets) == 27
    assert found.values["synchrony"] == pytest.approx(measure(samples[:, :2], rng).values["synchrony"])


def test_surrogates_of_both_kinds_are_kept_draw_by_draw(rng: np.random.Generator) -> None:
    shared = rng.normal(size=(6000, 1)) + 0.5 * rng.normal(size=(6000, 3))
    found = measure(shared, rng, n_surrogates=19)
    for kind, low, high in (("coupling kept", 0.2, 2.0), ("phase-randomised", 0.0, 0.02)):
        draws = found.draws[kind]["integration"]
        assert draws.shape == (len(found.onsets), 19)
        assert (draws.mean(axis=1) > low).all() or low == 0.0
        assert (draws.mean(axis=1) < high).all()
    assert found.surrogates["integration"] == pytest.approx(found.draws["phase-randomised"]["integration"].mean(axis=1))


def test_bold_is_cut_by_volumes() -> None:
    settings = WindowSettings.for_rate(0.5)
    assert settings.length == 60.0
    assert settings.band == (0.01, 0.1)


@pytest.mark.parametrize("n", [400, 401])
@pytest.mark.parametrize("keep", [True, False])
def test_spectra_stay(n: int, keep: bool, rng: np.random.Generator) -> None:
    signals = rng.normal(size=(n, 3)).cumsum(axis=0)
    found = randomise_phases(signals, rng=rng, keep_coupling=keep)
    power, random = (np.abs(np.fft.rfft(one, axis=0))[: n // 2] for one in (signals, found))
    assert random == pytest.approx(power, rel=1e-6, abs=1e-9)
    assert not np.allclose(found, signals)


def test_coupling_goes_or_stays(rng: np.random.Generator) -> None:
    shared = rng.normal(size=(4000, 1))
    signals = shared + 0.5 * rng.normal(size=(4000, 2))
    kept = randomise_phases(signals, rng=rng)
    broken = randomise_phases(signals, rng=rng, keep_coupling=False)
    assert np.corrcoef(kept.T)[0, 1] == pytest.approx(np.corrcoef(signals.T)[0, 1], abs=0.01)
    assert abs(np.corrcoef(broken.T)[0, 1]) < 0.1
