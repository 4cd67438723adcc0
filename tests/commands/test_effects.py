from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sharpwave.causality.series_files import tabulate_files, write_tables
from sharpwave.commands.cli import app
from sharpwave.commands.effects import estimate_to_folder, open_night
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.night.planted import simulate_night_series
from sharpwave.recordings.store import write_store
from sharpwave.simulation import Effects, simulate_night

runner = CliRunner()


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Four short nights with a strong effect, as decoded folders."""
    root = tmp_path_factory.mktemp("nights")
    for seed in range(4):
        course, _ = simulate_night_series(
            "mouse", 2.0, rng=np.random.default_rng(seed), effects=Effects.planted(hazard_ratio=4.0, depth=4.0)
        )
        write_tables(tabulate_files(course), root / f"night-{seed}")
    return root


@pytest.fixture(scope="module")
def related(nights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("related") / "out"
    empty = nights.parent / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "summary.json").write_text('{"source": "x"}')
    scores = "night\tbefore\tafter\n" + "".join(f"night-{i}\t60\t{62 + i}\n" for i in range(4))
    (nights.parent / "scores.tsv").write_text(scores)
    sources = [*(str(nights / f"night-{i}") for i in range(4)), str(empty)]
    result = runner.invoke(
        app,
        ["causality", *sources, "-o", str(folder), "--memory", str(nights.parent / "scores.tsv")],
    )
    return result, folder


def test_a_planted_effect_comes_out_as_rules_and_a_page(related):
    result, folder = related
    rules = pd.read_csv(folder / "rules.tsv", sep="\t")
    found = rules[(rules["verdict"] == "rule") & (rules["outcome"] == "depth")].set_index("content")
    assert found.loc["aversive", "value"] < 0 < found.loc["rewarding", "value"]
    assert "observational" in found.iloc[0]["claim"]
    assert "Rules" in (folder / "report.html").read_text()
    assert f"Open {folder / 'report.html'}" in result.output
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["association"]["surrogate"] == "linear"
    assert any("at least 5 sessions" in line for line in summary["warnings"]), "memory needs more nights"


def test_a_night_that_lacks_reactivations_is_named_and_the_exit_code_says_so(related):
    result, folder = related
    assert result.exit_code == 1
    assert "empty: left out" in result.output
    assert "empty" in (folder / "report.html").read_text()


def test_results_are_not_replaced_unasked(related, nights):
    _, folder = related
    with pytest.raises(SharpwaveError, match="without results"):
        estimate_to_folder([str(nights / "night-0")], output=folder)


def test_halves_of_the_night_are_asked_separately(nights, tmp_path):
    sources = [str(nights / f"night-{i}") for i in range(3)]
    folder = tmp_path / "halves"
    result = runner.invoke(app, ["causality", *sources, "-o", str(folder), "--halves", "--stages", "NREM"])
    assert result.exit_code == 0, result.output
    rules = pd.read_csv(folder / "rules.tsv", sep="\t")
    assert set(rules["period"]) == {"any", "early", "late"}
    assert set(rules["stage"]) == {"NREM"}
    counts = rules.query("outcome == 'depth' and content == 'any' and estimator == 'matched'")
    counts = counts.set_index("period")["n_events"]
    assert 0.9 * counts["any"] < counts["early"] + counts["late"] <= counts["any"]
    late = rules.query("period == 'late' and direction == 'forward'")["rule"]
    assert late.str.contains("late in the night").all()


def test_an_unknown_stage_is_refused_by_name(nights, tmp_path):
    with pytest.raises(SharpwaveError, match="stages among any, NREM"):
        estimate_to_folder([str(nights / "night-0")], output=tmp_path / "x", stages="N9")


def test_cues_must_say_which_night_they_belong_to(nights, tmp_path):
    cues = tmp_path / "cues.tsv"
    cues.write_text("onset\tcondition\n100\tcue\n")
    sources = [str(nights / "night-0"), str(nights / "night-1")]
    with pytest.raises(SharpwaveError, match="a column night"):
        estimate_to_folder(sources, output=tmp_path / "out", cues=cues)
    cues.write_text("onset\tcondition\tnight\n100\tcue\tnight-7\n")
    with pytest.raises(SharpwaveError, match="cues of night-7"):
        estimate_to_folder(sources, output=tmp_path / "out", cues=cues)


def test_no_night_at_all_leaves_no_page(tmp_path):
    (tmp_path / "none.edf").write_text("no recording")
    result = runner.invoke(app, ["causality", str(tmp_path / "none.edf"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "No night could be used" in result.output
    assert not (tmp_path / "out").exists()


def test_a_replay_folder_is_completed_from_its_recording(tmp_path, rng):
    recording, truth = simulate_night("rat", 0.6, rng=np.random.default_rng(2), modalities=("eeg",))
    store = write_store(recording, tmp_path / "rat.zarr")
    folder = tmp_path / "replayed"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"source": str(store)}))
    truth.reactivations[["onset", "content"]].to_csv(folder / "reactivations.tsv", sep="\t", index=False)
    truth.ripples[["onset"]].to_csv(folder / "candidates.tsv", sep="\t", index=False)
    night = open_night(str(folder), "replayed", DecodeOptions(), rng=rng)
    assert night.simulated
    assert len(night.series.reactivations) == len(truth.reactivations)
    assert len(night.series.candidates) >= 0.97 * len(truth.ripples)  # those within 0.3 s of each other are one
    assert night.series.emg is None
    assert np.isfinite(night.series.depth[night.series.usable]).all()
    assert night.memory == pytest.approx(dict(truth.memory))


def test_a_folder_without_its_recording_says_what_would_help(tmp_path, rng):
    (tmp_path / "reactivations.tsv").write_text("onset\n1\n")
    with pytest.raises(SharpwaveError, match=r"summary\.json names its recording"):
        open_night(str(tmp_path), "a", DecodeOptions(), rng=rng)
