"""`sharpwave explain`: words, tables and a page of one night."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.brainmu.planted import NAMES, TELLING, simulate_recording, train_model
from typer.testing import CliRunner

from sharpwave.brainmu import save_brainmu
from sharpwave.commands.cli import app
from sharpwave.commands.explain import describe_history, explain_to_folder
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.store import write_store


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    import numpy as np

    folder = tmp_path_factory.mktemp("explain")
    card = {"calibration": {"signal-only +30": [0.5, 0.0]}}
    weights = save_brainmu(train_model(), folder / "weights", card=card)
    night = write_store(simulate_recording(np.random.default_rng(9)), folder / "night.zarr")
    return night, weights


def test_command_writes_words_tables_and_a_page(files, tmp_path):
    night, weights = files
    arguments = ["explain", str(night), "--weights", str(weights), "-o", str(tmp_path / "out"), "--signals-only"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "leans most on the heart rate" in result.output
    assert ", from signals alone" in (tmp_path / "out" / "explanation.html").read_text()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "explanation.html",
        "forecasts.tsv",
        "modalities.tsv",
        "parts.tsv",
    }
    table = pd.read_csv(tmp_path / "out" / "forecasts.tsv", sep="\t")
    sure = table[table["p_change"] > 0.5]
    assert set(sure["modality"]) == {TELLING}
    assert set(pd.read_csv(tmp_path / "out" / "parts.tsv", sep="\t")["modality"]) == set(NAMES)


def test_the_page_says_that_no_expert_gave_the_stage_history():
    found = Hypnogram.from_labels(["W", "N1"], scorer="yasa")
    assert describe_history(found) == "; its stage history is what yasa found in the signals, no expert's"


def test_forecast_at_a_time_with_the_calibration_of_the_card(files, tmp_path):
    night, weights = files
    options = {"at": ["600"], "weights": weights, "signals_only": True}
    _, words = explain_to_folder(str(night), output=tmp_path / "out", **options)
    assert len(words) == 2
    assert words[1].startswith("At 0:10 h")
    table = pd.read_csv(tmp_path / "out" / "forecasts.tsv", sep="\t")
    assert table["onset"].tolist() == [600.0]

    assert 0.03 < table["p_typical"][0] < 0.4


def test_refuses_to_overwrite_and_what_it_cannot_read(files, tmp_path):
    night, weights = files
    (tmp_path / "explanation.html").write_text("")
    with pytest.raises(SharpwaveError, match="a folder without an explanation"):
        explain_to_folder(str(night), output=tmp_path, weights=weights)
    with pytest.raises(SharpwaveError, match="the clock time"):
        explain_to_folder(str(night), at=["02:13"], output=tmp_path / "x", weights=weights)
    with pytest.raises(SharpwaveError, match="belong together"):
        explain_to_folder(str(night), output=tmp_path / "y", weights=tmp_path / "none")
