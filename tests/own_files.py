"""One valid file of each format of our own, and how it is read: for the fuzzer of the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from tests.brainmu.training_nights import make_model, make_recording
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
from sharpwave.brainmu.training.crops import StoredEpochs, store_epochs
from sharpwave.brainmu.training.objective import TrainingOptions
from sharpwave.brainmu.training.resume import TrainingLog, TrainingState
from sharpwave.brainmu.uncertainty import Calibration, StageSets
from sharpwave.causality.series import NightSeries
from sharpwave.causality.series_files import read_reactivations, tabulate_files, write_tables
from sharpwave.commands.batch import read_key
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.night.effects import open_folder
from sharpwave.night.options import read_cues
from sharpwave.reports import index, nights_page
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


def _show_group_page(path: Path) -> None:
    page = path.parent / "report.html"
    with patch.object(nights_page, "write_file"):  # the page itself is written elsewhere, which the watch would see
        index.write_index_of_summaries({page: path}, path.parent / "index.html")


def _write_series(folder: Path) -> Path:
    n = 600
    events = pd.DataFrame({"onset": [100.0, 400.0], "content": ["A", "B"]})
    cues = pd.DataFrame({"onset": [50.0], "condition": ["cue"], "content": ["A"]})
    stage = np.repeat([0, 2, 3], n // 3).astype(np.int8)
    series = NightSeries(
        "one", np.arange(n, dtype=float), stage, 5, np.zeros(n), None, None, events, np.ones(n, bool), cues=cues
    )
    return write_tables(tabulate_files(series), folder / "night")


def _write_reactivations(folder: Path) -> Path:
    path = folder / "reactivations.tsv"
    path.write_text("onset\tcontent\n12.5\tmaze\n40.0\t'=maze\n", encoding="utf-8")
    return path


def _write_cues(folder: Path) -> Path:
    path = folder / "cues.tsv"
    path.write_text("onset\tduration\tlabel\tcondition\n10\t1\tbell\tcue\n90\t1\tbell\tsham\n", encoding="utf-8")
    return path


def _write_epochs(folder: Path) -> Path:
    return store_epochs(make_recording(0), folder / "epochs", modalities=["heart_rate"]).folder


def _load_epochs(path: Path) -> None:
    stored = StoredEpochs(path)
    stored.restrict(0, min(4, len(stored)))


def _make_run() -> TrainingState:
    model = make_model()
    return TrainingState(model, torch.optim.AdamW(model.parameters()), None, TrainingOptions(steps=2))


def _write_run(folder: Path) -> Path:
    run = _make_run()
    sum(value.sum() for value in run.model.parameters()).backward()
    run.optimiser.step()
    run.save(folder / "run", step=1)
    (folder / "run" / "losses.csv").write_text("step,part,value\n0,loss,1.5\n0,rate,0.1\n", encoding="utf-8")
    return folder / "run"


def _load_run(path: Path) -> None:
    done = _make_run().load(path)
    TrainingLog(path, steps=2, done=done, hours=1.0, shown=False)


OWN_FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "archive": (_write_archive, _show_archive),
    "summary": (_write_summary, read_key),
    "weights": (_write_weights, _load_weights),
    "state": (_write_state, load_state),
    "directions": (_write_directions, _load_directions),
    "out of distribution": (_write_seen, _load_seen),
    "reactivation head": (_write_head, load_reactivation_head),
    "page over all nights": (_write_summary, _show_group_page),
    "night series": (_write_series, lambda path: open_folder(path, night="one")),
    "reactivations": (_write_reactivations, read_reactivations),
    "cues": (_write_cues, read_cues),
    "stored epochs": (_write_epochs, _load_epochs),
    "run of training": (_write_run, _load_run),
}
