"""One valid file of each format of our own, and how it is read: for the fuzzer of the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tests.brainmu_weights import write_small_weights
from tests.reports.conftest import make_night

from sharpwave.brainmu.checkpoints import load_brainmu
from sharpwave.brainmu.explanation.latents import Directions, load_directions, save_directions
from sharpwave.brainmu.explanation.out_of_distribution import (
    OutOfDistribution,
    Reference,
    load_out_of_distribution,
    save_out_of_distribution,
)
from sharpwave.brainmu.reactivation.reactivation_head import (
    ReactivationHead,
    ShippedHead,
    load_reactivation_head,
    save_reactivation_head,
)
from sharpwave.brainmu.uncertainty import Calibration, StageSets
from sharpwave.commands.batch import read_key
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.reports.archive import read_archive, to_json, write_archive
from sharpwave.reports.files import summarise
from sharpwave.reports.page import compose
from sharpwave.reports.templates import render

CARD: dict[str, Any] = {
    "what": "a test",
    "trained_on": ["a/1", "a/2"],
    "calibration": {"temperature": 1.2, "observed +30": [0.9, -0.1], "observed +60": [1.1, 0.0]},
    "stage_sets": {"thresholds": [0.9, 0.8, 0.7, 0.9, 0.8], "coverage": 0.9, "n_subjects": 12, "by_stage": False},
}


def _write_archive(folder: Path) -> Path:
    return write_archive(make_night(hours=0.3), folder / "night.json.gz")


def _show_archive(path: Path) -> None:
    render("night.html", **compose(read_archive(path)))


def _write_summary(folder: Path) -> Path:
    path = folder / "summary.json"
    path.write_text(to_json({**summarise(make_night(hours=0.3)), "hashes": {"key": "01ab"}}), encoding="utf-8")
    return path


def _write_weights(folder: Path) -> Path:
    return write_small_weights(folder / "weights", **CARD)


def _load_weights(path: Path) -> None:
    model, card = load_brainmu(path)
    Calibration.from_card(card, horizons=model.config.horizons)
    StageSets.from_card(card)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def _write_state(folder: Path) -> Path:
    state = {"weights": {"a": torch.ones(3, 4), 0: [torch.arange(5), None, 1.5, "x"]}, "step": 7, "best": float("inf")}
    return save_state(state, folder / "state")


def _write_directions(folder: Path) -> Path:
    row = {
        "correlation": 0.4,
        "low": 0.3,
        "high": 0.5,
        "null_correlation": 0.0,
        "null_high": 0.1,
        "n": 9,
        "named": True,
    }
    table = pd.DataFrame([{"name": "theta", **row}, {"name": "depth", **row}])
    directions = Directions(("theta", "depth"), np.ones((2, 8)), np.zeros(2), table)
    return save_directions(directions, folder / "weights").parent


def _load_directions(path: Path) -> None:
    directions = load_directions(path)
    directions.read(np.zeros((3, directions.weights.shape[1])))


def _write_seen(folder: Path) -> Path:
    reference = Reference(np.ones((3, 4)), np.eye(4), (0.1, 1.2))
    seen = OutOfDistribution({"eeg": reference, "emg": reference}, 2.5, 0.98, 7)
    return save_out_of_distribution(seen, folder / "weights").parent


def _load_seen(path: Path) -> None:
    for reference in load_out_of_distribution(path).references.values():
        reference.score(np.zeros((2, len(reference.whitening))))


def _write_head(folder: Path) -> Path:
    torch.manual_seed(0)
    shipped = ShippedHead(ReactivationHead(8).eval(), {"lfp": 0.5, "spikes": 0.4}, {"what": "a test"})
    return save_reactivation_head(shipped, folder / "head")


OWN_FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "archive": (_write_archive, _show_archive),
    "summary": (_write_summary, read_key),
    "weights": (_write_weights, _load_weights),
    "state": (_write_state, load_state),
    "directions": (_write_directions, _load_directions),
    "out of distribution": (_write_seen, _load_seen),
    "reactivation head": (_write_head, load_reactivation_head),
}
