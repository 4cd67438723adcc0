"""Power and probability as small pictures inside the page: PNG in viridis.

Viridis: Smith, van der Walt & Firing 2015; CC0.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8

from sharpwave.night.decoded import Spectrogram
from sharpwave.reports.timeline import downsample_image

_VIRIDIS = (
    "440154 481467 482576 453781 404688 39558c 33638d 2d718e 287d8e 238a8d "
    "1f968b 20a386 29af7f 3dbc74 56c667 75d054 95d840 bade28 dde318 fde725"
)

_MISSING = 255
"""Index of what was not measured."""


def compute_viridis(levels: int = 256) -> UInt8[np.ndarray, "level rgb"]:
    """Viridis in `levels` steps from dark to bright, interpolated between 20 of its colours."""
    anchors = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _VIRIDIS.split()])
    at = np.linspace(0, len(anchors) - 1, levels)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def encode_png(indices: UInt8[np.ndarray, "row column"], palette: UInt8[np.ndarray, "level rgb"]) -> str:
    """An indexed PNG as a `data:` address, first row on top."""
    from PIL import Image

    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=9)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def compute_limits(spectrogram: Spectrogram) -> tuple[float, float]:
    """Lowest and highest power drawn, in dB: the 2nd and 98th percentile."""
    finite = spectrogram.power_db[np.isfinite(spectrogram.power_db)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [2, 98])
    return float(low), float(max(high, low + 1e-6))


def encode_spectrogram(spectrogram: Spectrogram, *, most_rows: int = 120) -> str:
    """The picture as a `data:` address: high frequencies on top, missing power in light grey."""
    _, power = downsample_image(spectrogram.times, spectrogram.power_db)
    even = np.linspace(spectrogram.frequencies[0], spectrogram.frequencies[-1], min(len(power), most_rows))
    nearest = np.abs(spectrogram.frequencies[None, :] - even[:, None]).argmin(axis=1)
    low, high = compute_limits(spectrogram)
    with np.errstate(invalid="ignore"):
        scaled = np.clip((power[nearest] - low) / (high - low), 0, 1)
    indices = np.where(np.isfinite(scaled), np.round(np.nan_to_num(scaled) * (_MISSING - 1)), _MISSING).astype(np.uint8)
    palette = np.vstack([compute_viridis(_MISSING), np.array([[225, 228, 232]], dtype=np.uint8)])
    return encode_png(indices[::-1], palette)


def encode_scale() -> str:
    """The colours from low (left) to high (right) as a `data:` address."""
    ramp = np.arange(_MISSING, dtype=np.uint8)[None, :]
    return encode_png(ramp, compute_viridis(_MISSING))
