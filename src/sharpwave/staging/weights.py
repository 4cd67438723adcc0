"""Shipped weights and what is known of each stager: LightGBM text and JSON, read as such and never unpickled."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from sharpwave.errors import MissingExtraError
from sharpwave.outputs import READY, replace_files, write_file

FOLDER = Path(__file__).parents[1] / "weights"


def load_weights(name: str) -> tuple[Any, dict[str, Any]]:
    """A trained booster and its card (features, training subjects, priors, temperature).

    Raises:
        MissingExtraError: If LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", extra="brain") from error
    return lightgbm.Booster(model_file=str(FOLDER / f"{name}.txt")), _read(name)


def save_weights(name: str, booster: Any, card: dict[str, Any], *, folder: Path = FOLDER) -> None:
    """Write a booster as LightGBM text and its card as JSON, both at once."""
    with replace_files(folder, ready=f"{READY}-{name}") as partial:
        (partial / f"{name}.txt").write_text(booster.model_to_string(importance_type="gain"), encoding="utf-8")
        (partial / f"{name}.json").write_text(_to_json(card), encoding="utf-8")
    _read.cache_clear()


def save_json(name: str, content: Any, *, folder: Path = FOLDER) -> None:
    """Write one of the shipped tables."""
    write_file(folder / f"{name}.json", _to_json(content))
    _read.cache_clear()


def _to_json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def load_card(name: str) -> dict[str, Any]:
    """The card of a shipped stager (features, training subjects, ...); empty where it has none."""
    return _read(name)


def load_validation(stager: str, *, signals: str) -> list[dict[str, Any]]:
    """Validation rows of a stager (data, signals, setting, metric, value, low, high, n), from the staging benchmark.

    Args:
        stager: Key in `STAGERS`.
        signals: Signals that it staged from: "eeg", "lfp" or "wearable".
    """
    rows: list[dict[str, Any]] = _read("stager_validation").get(stager, [])
    return [dict(row) for row in rows if row["signals"] == signals]


@lru_cache(maxsize=16)
def _read(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
