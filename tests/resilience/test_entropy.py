"""White noise is high, a sine is low, and phrases are counted as by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.entropy import (
    compute_lempel_ziv,
    compute_permutation_entropy,
    compute_spectral_entropy,
    count_phrases,
)

RATE = 100.0
TIMES = np.arange(0, 30, 1 / RATE)
SINE = np.sin(2 * np.pi * 7 * TIMES)


def test_noise_above_sine(rng: np.random.Generator) -> None:
    noise = rng.normal(size=TIMES.size)
    assert compute_spectral_entropy(noise, RATE) > 0.95
    assert compute_spectral_entropy(SINE, RATE) < 0.3
    assert compute_permutation_entropy(noise) > 0.99
    assert compute_permutation_entropy(TIMES) == pytest.approx(0.0)
    assert 0.9 < compute_lempel_ziv(noise) < 1.15
    assert compute_lempel_ziv(SINE) < 0.1


def test_scale_and_offset_do_not_matter(rng: np.random.Generator) -> None:
    noise = rng.normal(size=1000)
    for compute in (compute_permutation_entropy, compute_lempel_ziv, lambda x: compute_spectral_entropy(x, RATE)):
        assert compute(noise) == pytest.approx(compute(1e-5 * noise + 3))


def count_by_brute_force(bits: str) -> int:
    count = begin = 0
    while begin < len(bits):
        length = 1
        while begin + length <= len(bits) and bits[begin : begin + length] in bits[: begin + length - 1]:
            length += 1
        count, begin = count + 1, begin + length
    return count


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="01", min_size=1, max_size=60))
def test_phrases_by_brute_force(bits: str) -> None:
    assert count_phrases(np.array([bit == "1" for bit in bits])) == count_by_brute_force(bits)


def test_phrases_in_the_literature() -> None:
    assert count_phrases(np.array([bit == "1" for bit in "0001101001000101"])) == 6
    assert count_phrases(np.zeros(100, dtype=bool)) == 2


def test_patterns_by_hand() -> None:
    # 4 7 9 10 6 11 3: of six pairs four rise (Bandt & Pompe 2002, their example).
    signal = np.array([4.0, 7, 9, 10, 6, 11, 3])
    expected = -(4 / 6 * np.log2(4 / 6) + 2 / 6 * np.log2(2 / 6))
    assert compute_permutation_entropy(signal, order=2) == pytest.approx(expected)


def test_gaps_and_impossible_patterns_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="finite samples"):
        compute_lempel_ziv(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(SharpwaveError, match="2 to 8 samples"):
        compute_permutation_entropy(np.arange(3.0), order=5)
    with pytest.raises(SharpwaveError, match="two frequencies"):
        compute_spectral_entropy(SINE, RATE, band=(7.0, 7.01))
