"""What Zarr has no type for, as JSON and plain arrays: metadata, tables, modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.recordings.modality import MODALITIES, Modality

FLOAT_TAG = "__float__"
DATETIME_TAG = "__datetime__"


def encode_json(value: Any) -> Any:
    """A value as strict JSON: arrays and tuples become lists, dates and non-finite numbers are tagged, else text."""
    if isinstance(value, Mapping):
        return {str(key): encode_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return encode_json(value.tolist())
    if isinstance(value, np.generic):
        return encode_json(value.item())
    if isinstance(value, list | tuple | set | frozenset):
        return [encode_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return {FLOAT_TAG: repr(value)}
    if isinstance(value, datetime):
        return {DATETIME_TAG: value.isoformat()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def decode_json(value: Any) -> Any:
    """The inverse of `encode_json`."""
    if isinstance(value, list):
        return [decode_json(item) for item in value]
    if isinstance(value, Mapping):
        if set(value) == {FLOAT_TAG}:
            return float(value[FLOAT_TAG])
        if set(value) == {DATETIME_TAG}:
            return datetime.fromisoformat(value[DATETIME_TAG])
        return {key: decode_json(item) for key, item in value.items()}
    return value


def encode_modality(modality: Modality) -> Any:
    """A modality as JSON."""
    return encode_json(asdict(modality))


def decode_modality(fields: Any) -> Modality:
    """The registered modality of this name, or the one described where the name is not registered."""
    fields = decode_json(fields)
    if fields["name"] in MODALITIES:
        return MODALITIES[fields["name"]]
    pairs = {key: tuple(fields[key]) for key in ("amplitude", "rate")}
    return Modality(**{**fields, **pairs})


def encode_column(column: pd.Series) -> tuple[np.ndarray, list | None]:
    """A column of a table as an array, and its categories where it is not numeric.

    Returns:
        The values, or codes into the categories with -1 where a value is missing; and the categories as JSON.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy(), None
    values = [None if _is_missing(value) else encode_json(value) for value in column]
    seen: dict[str, int] = {}
    categories: list = []
    codes = np.full(len(values), -1, dtype=np.int32)
    for row, value in enumerate(values):
        if value is not None:
            key = repr(value)
            if key not in seen:
                seen[key] = len(categories)
                categories.append(value)
            codes[row] = seen[key]
    return codes, categories


def decode_column(values: np.ndarray, categories: list | None) -> Any:
    """The inverse of `encode_column`."""
    if categories is None:
        return values
    choices = [decode_json(item) for item in categories]
    return pd.Series([choices[code] if 0 <= code < len(choices) else None for code in values], dtype=_dtype_of(choices))


def _dtype_of(choices: list) -> Any:
    return "str" if choices and all(isinstance(choice, str) for choice in choices) and pd.__version__ >= "3" else object


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
