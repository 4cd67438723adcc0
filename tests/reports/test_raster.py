from __future__ import annotations

import base64
import io

import matplotlib as mpl
import matplotlib.image as mpimg
import numpy as np

from sharpwave.night.decoded import Spectrogram
from sharpwave.reports.raster import compute_limits, compute_viridis, encode_png, encode_spectrogram


def _read(address: str) -> np.ndarray:
    return mpimg.imread(io.BytesIO(base64.b64decode(address.split("base64,")[1])))


def test_png_reads_back(rng: np.random.Generator) -> None:
    indices = rng.integers(0, 256, (7, 13)).astype(np.uint8)
    picture = _read(encode_png(indices, compute_viridis()))
    np.testing.assert_allclose(picture[..., :3] * 255, compute_viridis()[indices], atol=0.5)


def test_bright_is_strong_and_low_frequencies_are_below() -> None:
    power = np.zeros((30, 40))
    power[3, 10] = power[3, 11] = 50.0
    power += np.arange(1200).reshape(30, 40) / 1e4
    picture = _read(encode_spectrogram(Spectrogram(np.arange(40.0), np.arange(30.0), power)))
    assert picture.shape[:2] == (30, 40)
    brightest = np.argwhere(picture[..., 0] > 0.9).tolist()
    assert [26, 10] in brightest


def test_missing_power_is_grey() -> None:
    power = np.arange(50.0).reshape(5, 10)
    power[:, 4] = np.nan
    picture = _read(encode_spectrogram(Spectrogram(np.arange(10.0), np.arange(5.0), power)))
    np.testing.assert_allclose(picture[:, 4, :3] * 255, np.tile([225, 228, 232], (5, 1)), atol=0.5)


def test_limits_survive_flat_and_missing_power() -> None:
    axes = np.arange(3.0), np.arange(2.0)
    low, high = compute_limits(Spectrogram(*axes, np.ones((2, 3))))
    assert low == 1
    assert high > low
    assert compute_limits(Spectrogram(*axes, np.full((2, 3), np.nan))) == (0, 1)


def test_viridis_is_matplotlibs() -> None:
    theirs = 255 * mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3]
    assert np.abs(compute_viridis() - theirs).max() < 4
