"""A spectrogram as a small picture: power in viridis, written as an indexed PNG."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

from sharpwave.night.decoded import Spectrogram
from sharpwave.reports.colours import compute_viridis
from sharpwave.reports.downsample import downsample_image

_MISSING = 255


def encode_png(indices: UInt8[np.ndarray, "row column"], palette: UInt8[np.ndarray, "level rgb"]) -> bytes:
    """An indexed 8-bit PNG (ISO/IEC 15948), first row on top."""
    rows, columns = indices.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), indices.astype(np.uint8)])
    chunks = {
        b"IHDR": header,
        b"PLTE": palette.tobytes(),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + body


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
    return "data:image/png;base64," + base64.b64encode(encode_png(indices[::-1], palette)).decode()


def encode_scale() -> str:
    """The colours from low (left) to high (right) as a `data:` address."""
    ramp = np.arange(_MISSING, dtype=np.uint8)[None, :]
    return "data:image/png;base64," + base64.b64encode(encode_png(ramp, compute_viridis(_MISSING))).decode()
