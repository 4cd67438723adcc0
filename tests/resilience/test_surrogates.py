"""Spectra stay; coupling stays or goes, as asked."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.resilience.surrogates import randomise_phases


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
