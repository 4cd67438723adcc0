"""Filters: MNE's numbers, and pieces that join without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.signals.filters import PieceSpectrum, design_bandpass, filter_piece, iter_resampled

from .conftest import RATE, make_eeg, make_noise


@pytest.mark.parametrize(
    ("band", "widths"),
    [((0.4, 30.0), (None, None)), ((12.0, 15.0), (1.5, 1.5)), ((0.3, 1.5), (0.2, 0.2)), ((0.5, None), (None, None))],
)
def test_taps_are_those_of_mne(band, widths):
    from mne.filter import create_filter

    options = ["auto" if width is None else width for width in widths]
    theirs = create_filter(
        None, 128, *band, l_trans_bandwidth=options[0], h_trans_bandwidth=options[1], verbose="error"
    )
    ours = design_bandpass(128, *band, low_transition=widths[0], high_transition=widths[1])
    margin = (theirs.size - ours.size) // 2
    np.testing.assert_allclose(theirs[margin : theirs.size - margin], ours, atol=1e-15)
    assert not theirs[:margin].any()


def test_filtering_equals_direct_convolution(rng):
    samples, taps = rng.standard_normal(5000), design_bandpass(128, 1, 30)
    half = taps.size // 2
    expected = np.convolve(samples, taps, mode="same")
    np.testing.assert_allclose(filter_piece(samples, taps)[half:-half], expected[half:-half], atol=1e-12)


def test_analytic_signal_holds_the_filtered_signal_and_its_envelope():
    clock = np.arange(4000) / 128
    analytic = PieceSpectrum.of(3 * np.sin(2 * np.pi * 13 * clock)).analytic(design_bandpass(128, 11, 16))
    np.testing.assert_allclose(np.abs(analytic)[500:-500], 3, rtol=1e-2)


@pytest.mark.parametrize("rate", [100.0, 128.0, 200.0, 256.0])
def test_resampling_equals_mne_over_the_whole_night(rng, rate):
    import mne

    samples = make_noise(int(900 * rate), rng=rng, rate=rate)
    raw = mne.io.RawArray(samples[None], mne.create_info(1, rate, "eeg"), verbose="error")
    if rate != 100:
        raw.resample(100, npad="auto", verbose="error")
    whole = mne.filter.filter_data(raw.get_data()[0], 100.0, 0.4, 30.0, verbose="error")
    taps = design_bandpass(100, 0.4, 30)
    pieces = iter_resampled(make_eeg(samples * 1e6, rate=rate), rate=100, taps=taps, seconds=120, last=900)
    ours = np.concatenate([piece.samples for piece in pieces])
    assert ours.size == whole.size
    assert np.abs(ours - whole)[500:-500].max() < 2e-6 * whole.std()  # float32 storage
    assert np.abs(ours - whole).max() < 1e-3 * whole.std()


def test_resampling_does_not_depend_on_the_length_of_pieces(sleep_uv):
    taps, signal = design_bandpass(100, 0.4, 30), make_eeg(sleep_uv)
    long, short = (
        np.concatenate(
            [piece.samples for piece in iter_resampled(signal, rate=100, taps=taps, seconds=seconds, last=1500)]
        )
        for seconds in (1500, 90)
    )
    np.testing.assert_allclose(long[:-500], short[:-500], rtol=0, atol=1e-6 * long.std())
    # In the last 5 s the band edge rings into the reflection at the end of the recording, a little differently.
    np.testing.assert_allclose(long, short, rtol=0, atol=1e-3 * long.std())


def test_gaps_are_reported_at_the_new_rate(sleep_uv):
    sleep_uv[int(100 * RATE) : int(160 * RATE)] = np.nan
    pieces = iter_resampled(make_eeg(sleep_uv), rate=100, taps=design_bandpass(100, 0.4, 30), seconds=300, last=300)
    piece = next(iter(pieces))
    assert np.isfinite(piece.samples).all()
    np.testing.assert_array_equal(np.flatnonzero(piece.missing)[[0, -1]], [10_000, 15_999])
