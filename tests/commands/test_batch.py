from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.nights import write_short_store

from sharpwave.commands.batch import (
    NightOutcome,
    compute_exit_code,
    compute_key,
    decode_nights,
    describe_outcomes,
    name_source,
    plan_nights,
)
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import read_hypnogram
from sharpwave.reports.archive import read_archive


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_short_store(tmp_path_factory.mktemp("night") / "night.zarr")


@pytest.fixture(scope="module")
def results(store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "night"
    outcomes = decode_nights(plan_nights([str(store)], folder), DecodeOptions())
    assert outcomes[0].status == "done", outcomes[0].message
    return folder


def test_the_files_say_the_same_as_each_other(results):
    summary = json.loads((results / "summary.json").read_text())
    hypnogram = read_hypnogram(results / "hypnogram.tsv")
    assert len(hypnogram) == 180
    minutes = {row["name"]: row["value"] for row in summary["statistics"]}
    asleep = (hypnogram.stages > 0).sum() / 2
    assert asleep in minutes.values()
    events = pd.read_csv(results / "events.tsv", sep="\t")
    assert sum(row["count"] for row in summary["event_summary"]) == len(events)
    assert len(pd.read_parquet(results / "forecast.parquet")) == 180
    assert "<html" in (results / "report.html").read_text()
    log = (results / "log.txt").read_text()
    assert "statistics" in log
    assert f"done: {summary['verdict']}" in log


def test_the_archive_is_the_night(results):
    night = read_archive(results / "night.json.gz")
    assert night.hypnogram.stages.tolist() == read_hypnogram(results / "hypnogram.tsv").stages.tolist()
    assert night.verdict == json.loads((results / "summary.json").read_text())["verdict"]


def test_resume_skips_what_is_done_and_refuses_what_is_different(store, results):
    tasks = plan_nights([str(store)], results)
    assert decode_nights(tasks, DecodeOptions(), existing="skip")[0].status == "skipped"
    assert decode_nights(tasks, DecodeOptions())[0].status == "skipped"
    other = decode_nights(tasks, DecodeOptions(seed=5))[0]
    assert other.status == "failed"
    assert "--overwrite" in other.message


def test_the_key_knows_input_and_options(store, tmp_path):
    assert compute_key(str(store), DecodeOptions()) == compute_key(str(store), DecodeOptions())
    assert compute_key(str(store), DecodeOptions()) != compute_key(str(store), DecodeOptions(age=30))
    file = tmp_path / "a.edf"
    file.write_bytes(b"one")
    before = compute_key(str(file), DecodeOptions())
    file.write_bytes(b"two")
    assert compute_key(str(file), DecodeOptions()) != before


def test_one_bad_night_does_not_take_the_others_with_it(store, tmp_path):
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"not an EDF")
    outcomes = decode_nights(plan_nights([str(bad), str(store)], tmp_path / "out"), DecodeOptions())
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "failed: expected" in (tmp_path / "out" / "bad" / "log.txt").read_text()
    assert compute_exit_code(outcomes) == 1
    assert describe_outcomes(outcomes).splitlines()[-1] == "Some nights failed: 1 done, 1 failed."


def test_stop_on_first_crash_leaves_the_rest_alone(store, tmp_path):
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"not an EDF")
    tasks = plan_nights([str(bad), str(store)], tmp_path / "out")
    outcomes = decode_nights(tasks, DecodeOptions(), stop_on_first_crash=True)
    assert outcomes[1].message.startswith("not tried")
    assert not (tmp_path / "out" / "night").exists()


def test_parallel_jobs_give_the_same_results(store, results, tmp_path):
    twin = tmp_path / "twin.zarr"
    twin.symlink_to(store)
    outcomes = decode_nights(plan_nights([str(store), str(twin)], tmp_path / "out"), DecodeOptions(), jobs=2)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    for name in ("night", "twin"):
        text = (tmp_path / "out" / name / "hypnogram.tsv").read_text()
        assert text == (results / "hypnogram.tsv").read_text()


def test_exit_code_and_last_line_come_from_one_record(tmp_path):
    done = [NightOutcome("a", "done", "usable", tmp_path / "report.html")]
    assert compute_exit_code(done) == 0
    assert describe_outcomes(done).splitlines()[-1] == f"Open {tmp_path / 'report.html'}"
    refused = [NightOutcome("a", "refused", "too short", tmp_path / "report.html")]
    assert compute_exit_code(refused) == 1
    assert describe_outcomes(refused).splitlines()[-1] == "Some nights failed: 1 refused."


def test_names_and_folders(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("night.edf", "a/night.edf", "scan.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    assert name_source(str(tmp_path / "scan.nii.gz")) == "scan"
    assert name_source("ucddb/022") == "ucddb-022"
    tasks = plan_nights([str(tmp_path / "night.edf"), str(tmp_path / "a/night.edf")], tmp_path / "out")
    assert [task.folder.name for task in tasks] == ["night", "night-2"]
