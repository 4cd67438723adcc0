"""A decoded night as one file, so that its page can be written again without decoding: JSON, never pickle."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import read_start, show_path
from sharpwave.night.decoded import NESTED, PARTS, DecodedNight
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.untrusted import MOST_BYTES, explained, parse_json

FORMAT = 2
"""Format written; 1, of version 0.1, is read as well."""

BLOCK = 4096
"""Items of a sequence that are turned into text at once: a week's tables are never held as text."""

LONGEST = 366 * 86_400.0
"""Seconds of the longest night: a year."""

LARGEST = 1e15
"""No number of a page is larger; an axis that is cannot be drawn."""

TEXTS = frozenset((
    "age_band", "channel", "claim", "comparator", "content", "control_of_rule", "data", "definition", "direction",
    "estimator", "exposure_seen", "label", "mark", "method", "metric", "modality", "name", "note", "outcome",
    "period", "reason", "rule", "stage", "unit", "verdict",
))  # fmt: skip
"""Columns that hold texts in every table of a night."""

NUMBERS = frozenset((
    "amplitude_uv", "auprc", "beyond_shuffles", "brier", "control", "control_p", "correlation", "count", "depth",
    "detectable", "duration", "e_value", "effect", "exposed", "exposure_p", "exposure_power",
    "exposure_slow_power", "extreme", "flat",
    "frequency", "from", "gain_high", "gain_low", "high", "horizon", "lag", "lighter_after", "lighter_control",
    "log_loss", "log_loss_gain", "low", "minutes", "missing", "n", "n_events", "n_nights", "novelty",
    "null_correlation", "null_high", "observed", "onset", "p", "p_change", "p_typical", "p_without", "per_minute",
    "persistence_p_change", "predicted", "prevalence", "q", "rank", "rate", "ratio", "ratio_high", "ratio_low",
    "reach", "reference", "scorer_spread", "share", "shuffled", "to", "usable_fraction", "value", "weight",
))  # fmt: skip
"""Columns that hold numbers in every table of a night."""

DETECTED = frozenset(("onset", "duration", "frequency", "amplitude_uv"))
"""Those of them that `events` has of ours: a recording brings columns of its own."""

NOT_TEXTS = frozenset(("direction",))
"""Columns that hold texts elsewhere, and in `events` the numbers that decoding of replay gives."""


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
        SharpwaveError: If the file is damaged, of another format, or larger than any night.
    """
    path = Path(path)
    with explained(f"a decoded night in {path}", name=path.name, fix="decode the night again"):
        content = parse_json(_inflate(path), name=path.name)
        if content["format"] not in (1, FORMAT):
            raise ValueError(f"format {content['format']}")
        values = nest_values(content["night"])
        parts = {name: part(**_decode_fields(values.pop(name), part)) for name, part in PARTS.items() if name in values}
        return DecodedNight(**_decode_fields(values, DecodedNight), **parts)


def _inflate(path: Path) -> bytes:
    """What a gzipped file holds, not more of it than a night can be."""
    with gzip.open(path) as file:
        return read_start(file, MOST_BYTES + 1)


def nest_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an archive, with those named as in version 0.1 put into the part where they are now."""
    nested = {name: dict(value) if name in PARTS else value for name, value in values.items() if name not in NESTED}
    for name, value in values.items():
        if name in NESTED:
            part, new = NESTED[name]
            nested.setdefault(part, {})[new] = value
    return nested


def _encode_fields(values: Any) -> dict[str, Any]:
    """The fields of a decoded night, or of a part of it, that its page shows."""
    return {
        field.name: _encode_fields(value) if field.name in PARTS else _encode(value)
        for field in fields(values)
        if field.metadata.get("archived", True)
        for value in [getattr(values, field.name)]
    }


def _decode_fields(values: Mapping[str, Any], holder: type) -> dict[str, Any]:
    """Values of the fields of a class, each of its kind."""
    decoded = {name: _decode(value) for name, value in values.items()}
    for field in fields(holder):
        if field.name in decoded and not FITS.get(str(field.type), lambda value: True)(decoded[field.name]):
            raise ValueError(f"{field.name} is no {field.type}")
        if isinstance(decoded.get(field.name), pd.DataFrame):
            _check_table(field.name, decoded[field.name])
    return decoded


def _check_table(name: str, table: pd.DataFrame) -> None:
    """Raise unless every column holds what a page takes it for."""
    numbers, texts = (DETECTED, TEXTS - NOT_TEXTS) if name == "events" else (NUMBERS, TEXTS)
    for column, values in table.items():
        if values.dtype.kind in "biuf":
            if column in numbers and not _is_bounded(values.to_numpy(dtype=float)):
                raise ValueError(f"numbers beyond {LARGEST:g} in the column {column!r} of {name}")
            if column in texts and not values.isna().all():
                raise ValueError(f"numbers in the column {column!r} of {name}")
            continue
        kinds = {type(value) for value in values.tolist()}
        wanted = (str,) if column in texts else (int, float) if column in numbers else (str, bool, int, float)
        if not kinds <= {type(None), *wanted}:
            names = " or ".join(kind.__name__ for kind in wanted)
            raise ValueError(f"something other than {names} in the column {column!r} of {name}")
        if any(isinstance(value, int | float) and abs(value) > LARGEST for value in values.tolist()):
            raise ValueError(f"numbers beyond {LARGEST:g} in the column {column!r} of {name}")


def _is_bounded(values: np.ndarray) -> bool:
    return bool((np.abs(values[np.isfinite(values)]) <= LARGEST).all())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LONGEST


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_hypnogram(value: Any) -> bool:
    if not isinstance(value, Hypnogram) or not isinstance(value.unit, str):
        return False
    placed = 0.01 <= value.epoch_length <= LONGEST and abs(value.start) <= LONGEST
    return placed and (value.scorer is None or isinstance(value.scorer, str))


def _is_spectrogram(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, tuple) and [part.ndim for part in value] == [1, 1, 2] and all(map(_is_bounded, value))


def _is_truth(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(item, dict) for item in value.values()))


FITS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "datetime | None": lambda value: value is None or isinstance(value, datetime),
    "Verdict": lambda value: isinstance(value, str),
    "Hypnogram": _is_hypnogram,
    "Hypnogram | None": lambda value: value is None or _is_hypnogram(value),
    "list[str]": _is_list,
    "Mapping[str, str]": _is_mapping,
    "Mapping[str, Mapping[str, Any]] | None": _is_truth,
    "pd.DataFrame": lambda value: isinstance(value, pd.DataFrame),
    "Spectrogram | tuple[np.ndarray, np.ndarray, np.ndarray] | None": _is_spectrogram,
}
"""Whether a value is of a field's type, by the type as it is written."""


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
