"""Pieces: overlap, edges, gaps and stages."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Hypnogram, Signal
from sharpwave.signals.pieces import (
    fill_gaps,
    iter_pieces,
    join_close,
    join_indices,
    mark_searchable,
    read_piece,
    runs,
    split_channels,
)

from .conftest import make_eeg


def test_cores_join_to_the_whole(rng):
    samples = rng.standard_normal(1000)
    pieces = list(iter_pieces(make_eeg(samples, rate=10.0), pad=30, seconds=13))
    cores = np.concatenate([piece.samples[30 : 30 + piece.length] for piece in pieces]) * 1e6
    np.testing.assert_allclose(cores, samples, rtol=1e-6)


def test_edges_are_odd_reflections():
    piece = read_piece(make_eeg(np.arange(10.0) ** 2, rate=1.0), 0, 10, pad=3)
    np.testing.assert_allclose(piece.samples[:3] * 1e6, [-9, -4, -1], atol=1e-4)
    np.testing.assert_allclose(piece.samples[-3:] * 1e6, [98, 113, 126], rtol=1e-6)


def test_gaps_are_filled_but_marked():
    values = np.array([1.0, np.nan, np.nan, 4.0, np.nan])
    filled = fill_gaps(values, np.isnan(values), rate=10.0)
    np.testing.assert_allclose(filled, [1, 2, 3, 4, 4])
    piece = read_piece(make_eeg(values, rate=10.0), 0, 5, pad=0)
    assert piece.missing.tolist() == [False, True, True, False, True]


def test_long_gaps_do_not_depend_on_what_is_seen_beyond_them(rng):
    samples = rng.standard_normal(1000) * 10
    samples[300:700] = np.nan
    signal = make_eeg(samples, rate=10.0)
    near, far = read_piece(signal, 0, 250, pad=200), read_piece(signal, 0, 1000, pad=200)
    np.testing.assert_allclose(near.samples[: 200 + 400], far.samples[: 200 + 400])


def test_all_missing_is_silence():
    piece = read_piece(make_eeg(np.full(50, np.nan), rate=10.0), 0, 50, pad=5)
    assert not piece.samples.any()
    assert piece.missing[5:-5].all()


def test_searchable_is_the_stage_on_the_hypnograms_clock():
    signal = make_eeg(np.zeros(1200), rate=10.0, start=5.0)
    hypnogram = Hypnogram.from_labels(["W", "N2", "R", "N3"], epoch_length=30.0, start=10.0)
    piece = read_piece(signal, 0, 1200, pad=0)
    found = runs(mark_searchable(piece, signal, hypnogram=hypnogram, stages=("N2", "N3"), guard=0))
    np.testing.assert_array_equal(found, [[350, 650], [950, 1200]])


def test_join_close():
    bouts = np.array([[0, 10], [12, 20], [40, 50]])
    np.testing.assert_array_equal(join_close(bouts, 5), [[0, 20], [40, 50]])


def test_channels_of_a_frame(rng):
    samples = rng.standard_normal((100, 2)).astype(np.float32)
    frame = Signal("eeg", samples, 10.0, MODALITIES["eeg"], channels=("C3", "C4"))
    channels = split_channels(frame)
    np.testing.assert_array_equal(channels["C4"].read(1, 3), samples[10:30, 1])
    with pytest.raises(SharpwaveError, match="expected one channel"):
        next(iter_pieces(frame, pad=0))


def test_irregular_sampling_is_refused():
    signal = Signal("hr", np.ones(3), 1.0, MODALITIES["heart_rate"], times=np.array([0.0, 1.0, 5.0]))
    with pytest.raises(SharpwaveError, match="regular sampling"):
        next(iter_pieces(signal, pad=0))


def test_joined_indices_are_the_runs_of_their_mask(rng):
    for mask in (rng.random(200) < 0.4, np.zeros(5, bool), np.ones(5, bool)):
        np.testing.assert_array_equal(join_indices(np.flatnonzero(mask)), runs(mask))
