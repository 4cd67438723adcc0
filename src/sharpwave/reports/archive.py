"""A decoded night as one file, so that its page can be written again without decoding: JSON, never pickle."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import PARTS, DecodedNight, nest_fields
from sharpwave.recordings.hypnogram import Hypnogram

FORMAT = 2
"""Format written; 1, of version 0.1, is read as well."""

BLOCK = 4096
"""Items of a sequence that are turned into text at once: a week's tables are never held as text."""


def write_archive(night: DecodedNight, path: str | Path) -> Path:
    """Write every field of a night that its page shows as gzipped JSON; power is kept to 0.1 dB."""
    values = _encode_fields(night)
    path = Path(path)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for part in _iter_json({"format": FORMAT, "night": values}):
            file.write(part.encode("utf-8", "replace"))
    return path


def read_archive(path: str | Path) -> DecodedNight:
    """Read a night written by `write_archive`, also by that of version 0.1.

    Raises:
        SharpwaveError: If the file is damaged or of another format.
    """
    try:
        content = json.loads(gzip.decompress(Path(path).read_bytes()))
        if content["format"] not in (1, FORMAT):
            raise ValueError(f"format {content['format']}")
        values = content["night"]
        parts = {name: part(**_decode_fields(values.pop(name))) for name, part in PARTS.items() if name in values}
        return DecodedNight(**nest_fields(_decode_fields(values) | parts))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error) as error:
        raise SharpwaveError(
            f"a decoded night in {path}", got=f"{type(error).__name__}: {error}", fix="decode the night again"
        ) from error


def _encode_fields(values: Any) -> dict[str, Any]:
    """The fields of a decoded night, or of a part of it, that its page shows."""
    return {
        field.name: _encode_fields(value) if field.name in PARTS else _encode(value)
        for field in fields(values)
        if field.metadata.get("archived", True)
        for value in [getattr(values, field.name)]
    }


def _decode_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _decode(value) for name, value in values.items()}


def _iter_json(value: Any) -> Iterator[str]:
    """Strict JSON in parts: mappings by their keys, sequences by blocks of items."""
    if isinstance(value, Mapping):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{json.dumps(str(key))}:"
            yield from _iter_json(item)
        yield "}"
    elif (isinstance(value, np.ndarray) and value.ndim == 1) or isinstance(value, pd.Series):
        yield "["
        for first in range(0, len(value), BLOCK):
            yield ("," if first else "") + _dump(value[first : first + BLOCK].tolist())[1:-1]
        yield "]"
    elif isinstance(value, list | tuple | np.ndarray):
        yield "["
        for index, item in enumerate(value):
            yield "," if index else ""
            yield from _iter_json(item)
        yield "]"
    else:
        yield _dump(value)


def _dump(value: Any) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _encode(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return {"table": {str(name): column for name, column in value.items()}}
    if isinstance(value, Hypnogram):
        return {
            "hypnogram": {
                "stages": value.stages,
                "epoch_length": value.epoch_length,
                "n_stages": value.n_stages,
                "start": value.start,
                "probabilities": None if value.probabilities is None else np.round(value.probabilities, 6),
                "scorer": value.scorer,
                "unit": value.unit,
            }
        }
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, tuple) and len(value) == 3:
        times, frequencies, power = value
        return {"spectrogram": [times, frequencies, np.round(np.asarray(power, dtype=float), 1)]}
    return value


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"table"}:
        return pd.DataFrame(value["table"])
    if set(value) == {"hypnogram"}:
        parts = dict(value["hypnogram"])
        parts["stages"] = np.array(parts["stages"], dtype=np.int8)
        if parts["probabilities"] is not None:
            rows = np.array(parts["probabilities"], dtype=float)
            parts["probabilities"] = rows / rows.sum(axis=1, keepdims=True)
        return Hypnogram(**parts)
    if set(value) == {"datetime"}:
        return datetime.fromisoformat(value["datetime"])
    if set(value) == {"spectrogram"}:
        return tuple(np.array(part, dtype=float) for part in value["spectrogram"])
    return value


def to_json(value: Any) -> str:
    """Strict JSON: NaN and infinity become null, dates ISO 8601."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_plain(value: Any) -> Any:
    """Dictionaries, lists and plain values; NaN and infinity become None, dates ISO 8601."""
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, str):
        return show_path(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple | np.ndarray):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
