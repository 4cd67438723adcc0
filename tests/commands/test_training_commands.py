"""`sharpwave train`, `finetune`, `distil` and `export`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.brainmu.training_nights import make_model, make_recording
from typer.testing import CliRunner

from sharpwave.brainmu import save_brainmu
from sharpwave.commands.cli import app
from sharpwave.commands.finetune import describe_harm, finetune_model
from sharpwave.commands.scorings import Scorings
from sharpwave.commands.windows import Data, open_data, open_nights
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.store import write_store

BRIEF = ["--steps", "2", "--batch", "2", "--piece", "10"]


def invoke(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four subjects' nights of a laboratory."""
    folder = tmp_path_factory.mktemp("stores")
    for seed in range(4):
        write_store(make_recording(seed), folder / f"night{seed}.zarr")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_brainmu(make_model(modalities=["stages", "heart_rate"]), tmp_path_factory.mktemp("weights"))


def test_train_without_labels_then_from_its_weights(stores: Path, tmp_path: Path) -> None:
    out = invoke("train", stores, "-o", tmp_path / "one", "--no-labels", "--modality", "heart_rate", *BRIEF)
    assert f"Weights: {tmp_path / 'one'}" in out.replace("\n", "")
    invoke("train", stores, "-o", tmp_path / "two", "--weights", tmp_path / "one", *BRIEF)
    assert (tmp_path / "two" / "model.safetensors").is_file()
    assert (tmp_path / "two" / "losses.csv").read_text().startswith("step,part,value\n0,loss,")


def test_train_with_nothing_trains_the_shipped_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("sharpwave.recipes.recipe.train_lite", lambda folder, **_: called.append(folder) or folder)
    assert "Weights:" in invoke("train", "-o", tmp_path)
    assert called == [tmp_path]


def test_distil_takes_several_teachers(stores: Path, weights: Path, tmp_path: Path) -> None:
    invoke("distil", stores, "-o", tmp_path, "--teacher", weights, "--teacher", weights, "--weights", weights, *BRIEF)
    assert "teacher stage" in (tmp_path / "losses.csv").read_text()


def test_distil_without_a_teacher_is_a_usage_error(stores: Path) -> None:
    result = CliRunner().invoke(app, ["distil", str(stores)])
    assert "the weights of a teacher; got none. Fix: give them with --teacher" in str(result.exception)


def test_finetune_says_by_how_much_it_helped(stores: Path, weights: Path, tmp_path: Path) -> None:
    out = invoke("finetune", stores, "-o", tmp_path, "--weights", weights, "--steps", "2")
    assert "fine-tuned less before" in out
    content = json.loads((tmp_path / "finetuning.json").read_text())
    assert len(content["judged by"]) == 1
    assert content["share of new weights"] == 0.5
    assert not set(content["judged by"]) & set(content["learned from"])
    methods = {row["method"] for row in content["rows"] if row["setting"] == "observed"}
    assert methods == {"persistence", "before", "fine-tuned", "fine-tuned less before"}


def test_scorings_may_lie_elsewhere(weights: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "scored").mkdir()
    for seed in range(2):
        recording = make_recording(seed)
        assert recording.hypnogram is not None
        write_store(replace(recording, hypnogram=None), tmp_path / f"night{seed}.zarr")
        recording.hypnogram.write(tmp_path / "scored" / f"night{seed}.tsv")
    nights = open_nights([str(tmp_path)], tmp_path / "windows", scorings=Scorings(tmp_path / "scored"))
    for seed, night in enumerate(nights):
        assert (night.restrict(0, 120).stages == make_recording(seed).hypnogram.stages).all()
    (tmp_path / "scored" / "night1.tsv").unlink()
    with pytest.raises(SharpwaveError, match=r"one scoring of night1 in scored; got none"):
        open_nights([str(tmp_path)], tmp_path / "windows", scorings=Scorings(tmp_path / "scored"))


def test_finetune_says_where_the_new_weights_are_worse() -> None:
    row = {"setting": "signal-only", "metric": "kappa", "method": "fine-tuned less before", "value": -0.03, "n": 1}
    assert describe_harm([{**row, "metric": "log_loss_change", "value": -0.2}, row]) == (
        "On the one subject held out the new weights stage worse (κ −0.03): stay with the old ones, or add subjects."
    )
    for fine in ({"value": 0.0}, {"value": None}, {"method": "fine-tuned"}):
        assert describe_harm([{**row, **fine}]) is None


def test_finetune_wants_two_subjects(stores: Path, weights: Path, tmp_path: Path) -> None:
    from sharpwave.brainmu.training.finetuning import FINETUNING

    with pytest.raises(SharpwaveError, match="nights of at least two subjects"):
        finetune_model([str(stores / "night0.zarr")], tmp_path, options=FINETUNING, weights=weights)


def test_finetune_refuses_weights_that_do_not_fit(stores: Path, tmp_path: Path) -> None:
    from sharpwave.brainmu.training.finetuning import FINETUNING

    save_brainmu(make_model(modalities=["eeg"]), tmp_path / "weights")
    with pytest.raises(SharpwaveError, match=r"a modality that the model knows; got heart_rate \(night0\)"):
        finetune_model([str(stores)], tmp_path / "out", options=FINETUNING, weights=tmp_path / "weights")


def test_simulated_nights_are_mixed_in(stores: Path, tmp_path: Path) -> None:
    import numpy as np

    source = open_data(
        Data([str(stores)], simulated=1, hours=0.5, simulated_share=0.5), tmp_path, modalities=["stages"]
    )
    drawn = [source.draw(np.random.default_rng(seed), 5).cohort for seed in range(40)]
    assert 8 < drawn.count("simulated") < 32


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="something to learn from; got nothing"):
        open_data(Data(), tmp_path)


def test_a_folder_without_nights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"recordings in the folder .*; got none"):
        open_data(Data([str(tmp_path)]), tmp_path)
