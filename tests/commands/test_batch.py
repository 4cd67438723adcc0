from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.nights import write_short_store

from sharpwave.commands import tasks as tasks_module
from sharpwave.commands.batch import (
    NightOutcome,
    compute_exit_code,
    decode_nights,
    describe_outcomes,
    plan_nights,
    write_group_page,
)
from sharpwave.commands.inputs import compute_key, name_source, name_sources
from sharpwave.commands.tasks import NightTask, check_results
from sharpwave.disk import hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import read_hypnogram
from sharpwave.reports.archive import read_archive
from sharpwave.reports.nights_table import DAMAGED


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
    tasks = plan_nights([str(tmp_path / "night.edf"), str(tmp_path / "scan.nii.gz")], tmp_path / "out")
    assert [task.folder.name for task in tasks] == ["night", "scan"]


def test_names_are_unique_and_the_same_in_any_order(tmp_path):
    names = ("a/night.edf", "b/night.edf", "b/night.bdf", "night.edf", "night-2.edf", "a/Night.edf", "other.edf")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    sources = [str(tmp_path / name) for name in names]
    given = dict(zip(sources, name_sources(sources), strict=True))
    assert len({name.casefold() for name in given.values()}) == len(names)
    assert given[sources[4]] == "night-2"
    assert given[sources[6]] == "other"
    for order in (sources[::-1], sources[3:] + sources[:3]):
        assert dict(zip(order, name_sources(order), strict=True)) == given
    assert len(set(name_sources(sources[:1] * 3 + [sources[4]]))) == 4
    assert name_sources(sources[:2]) == ["a-night", "b-night"]


def copy_results(results: Path, folder: Path) -> Path:
    shutil.copytree(results, folder)
    return folder


def test_nothing_of_an_earlier_night_stays_and_nothing_of_a_stranger_goes(store, results, tmp_path):
    folder = copy_results(results, tmp_path / "out")
    (folder / "course.parquet").write_text("of the night before")
    (task,) = plan_nights([str(store)], folder)
    assert decode_nights([task], DecodeOptions(), existing="overwrite")[0].status == "done"
    assert {path.name for path in folder.iterdir()} == {path.name for path in results.iterdir()}
    (folder / "notes.txt").write_text("mine")
    before = hash_path(folder)
    outcome = decode_nights([task], DecodeOptions(), existing="overwrite")[0]
    assert (outcome.status, hash_path(folder)) == ("failed", before)
    assert "notes.txt, which sharpwave did not write" in outcome.message


def test_results_that_are_cut_or_changed_are_never_taken_for_whole(store, results, tmp_path):
    (task,) = plan_nights([str(store)], copy_results(results, tmp_path / "out"))
    (task.folder / "events.tsv").unlink()
    assert decode_nights([task], DecodeOptions(), existing="skip")[0].status == "done"
    assert (task.folder / "events.tsv").read_bytes() == (results / "events.tsv").read_bytes()
    (task.folder / "events.tsv").write_text("changed by hand")
    for existing in ("skip", "refuse"):
        outcome = decode_nights([task], DecodeOptions(), existing=existing)[0]
        assert outcome.status == "failed"
        assert "events.tsv with other content" in outcome.message
    assert (task.folder / "events.tsv").read_text() == "changed by hand"
    with pytest.raises(SharpwaveError, match=r"events\.tsv with other content"):
        check_results(task.summary)


def test_results_of_version_0_1_are_still_known(store, results, tmp_path):
    (task,) = plan_nights([str(store)], copy_results(results, tmp_path / "out"))
    summary = json.loads(task.summary.read_text())
    del summary["files"]
    task.summary.write_text(json.dumps(summary))
    (task.folder / "events.tsv").write_text("as it was")
    assert decode_nights([task], DecodeOptions(), existing="skip")[0].status == "skipped"


def test_the_key_knows_weights_stores_sidecars_and_pieces(store, tmp_path):
    copy = tmp_path / "night.zarr"
    shutil.copytree(store, copy)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"one")
    for name in ("sub-1_task-sleep_eeg.vhdr", "sub-1_task-sleep_eeg.eeg", "sub-1_task-sleep_channels.tsv"):
        (tmp_path / name).write_text("DataFile=other.eeg")
    (tmp_path / "other.eeg").write_bytes(b"samples")
    options = DecodeOptions(weights=tmp_path / "weights")
    header = str(tmp_path / "sub-1_task-sleep_eeg.vhdr")
    piece = max((path for path in copy.rglob("c/*") if path.is_file()), key=lambda path: path.stat().st_size)
    for source, part in (
        (str(copy), piece),
        (str(copy), tmp_path / "weights" / "model.safetensors"),
        (header, tmp_path / "other.eeg"),
        (header, tmp_path / "sub-1_task-sleep_channels.tsv"),
    ):
        before, content = compute_key(source, options), part.read_bytes()
        part.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert compute_key(source, options) != before, part.name


@pytest.mark.parametrize("output", ["file", "file/deeper", "strange"])
def test_an_output_that_cannot_be_is_said_before_the_work(output, store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.docx").write_text("years of work")
    monkeypatch.setattr("sharpwave.night.decode.decode_recording", lambda *_, **__: pytest.fail("worked for an hour"))
    (outcome,) = decode_nights(plan_nights([str(store)], tmp_path / output), DecodeOptions(), existing="overwrite")
    assert outcome.status == "failed"
    assert "give another --output" in outcome.message
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "strange", "thesis.docx"]


def test_a_disk_that_is_full_at_the_end_is_said_in_words_and_nothing_is_lost(store, results, tmp_path, monkeypatch):
    (task,) = plan_nights([str(store)], copy_results(results, tmp_path / "out"))
    before = hash_path(task.folder)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sharpwave.reports.files.write_archive", fail)
    monkeypatch.setattr("sharpwave.commands.tasks.write_file", fail)
    (outcome,) = decode_nights([task], DecodeOptions(), existing="overwrite")
    assert "expected room on the disk" in outcome.message
    assert hash_path(task.folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_process_that_dies_takes_no_other_night_with_it(store, tmp_path):
    """Nights that were under way beside the one that kills its process are decoded all the same."""
    deadly = tmp_path / "deadly.zarr"
    deadly.symlink_to(store)
    tasks = plan_nights([str(deadly), str(store)], tmp_path / "out")
    outcomes = decode_nights([DeadlyTask(**vars(tasks[0])), tasks[1]], DecodeOptions(), jobs=2)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "process died" in outcomes[0].message


class DeadlyTask(NightTask):
    """A night that ends its process."""

    def check(self) -> None:
        os._exit(9)


def test_two_processes_on_one_night_give_one_result(store, results, tmp_path, monkeypatch):
    (task,) = plan_nights([str(store)], tmp_path / "out")

    def decode_while_another_is_faster(*_, **__):
        copy_results(results, task.folder)

    monkeypatch.setattr("sharpwave.night.decode.decode_recording", decode_while_another_is_faster)
    outcome = decode_nights([task], DecodeOptions())[0]
    assert (outcome.status, outcome.report) == ("skipped", task.page)
    assert hash_path(task.folder) == hash_path(results)


def test_results_that_are_exchanged_while_they_are_looked_at_are_looked_at_again(results, tmp_path, monkeypatch):
    folder, name = copy_results(results, tmp_path / "out"), "events.tsv"
    summary = json.loads((folder / "summary.json").read_text())

    def exchange(folder: Path, hashes: dict) -> list[str]:
        (folder / name).write_text("of the other process")
        summary["files"] = {name: hash_path(folder / name)}
        (folder / "summary.json").write_text(json.dumps(summary))
        return find_changed(folder, hashes)

    find_changed = tasks_module.find_changed
    monkeypatch.setattr(tasks_module, "find_changed", exchange)
    assert check_results(folder / "summary.json") == []


def test_damaged_summaries_are_listed_as_such(store, results, tmp_path):
    tasks = [NightTask("a", name, tmp_path / name) for name in ("good", "cut", "list", "words")]
    for task in tasks:
        copy_results(results, task.folder)
    tasks[1].summary.write_text('{"identifier": "x"')
    tasks[2].summary.write_text("[1]")
    tasks[3].summary.write_text(tasks[0].summary.read_text().replace('"verdict": "', '"verdict": "un'))
    page = write_group_page(tasks, tmp_path / "index.html").read_text()
    assert f"2 {DAMAGED}" in page
    assert page.count(f"</span> {DAMAGED}</span>") == 2, "two rows"
    table = pd.read_parquet(tmp_path / "nights.parquet")
    assert table["verdict"].tolist()[1:3] == [DAMAGED, DAMAGED]
    assert table["total_sleep_time"].notna().tolist() == [True, False, False, True]
    (tmp_path / "index.html").write_text("my own page")
    assert write_group_page(tasks, tmp_path / "index.html") is None
    assert (tmp_path / "index.html").read_text() == "my own page"


def test_a_name_that_is_not_utf8_is_decoded(store, tmp_path):
    source = os.fsdecode(os.fsencode(tmp_path) + b"/nuit_\xe9.zarr")
    os.symlink(store, source)
    (task,) = plan_nights([source], None)
    assert task.folder.name == "sharpwave-nuit_�"
    outcome = decode_nights([NightTask(source, task.name, tmp_path / "out")], DecodeOptions())[0]
    assert outcome.status == "done", outcome.message
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["source"].endswith("nuit_�.zarr")
    describe_outcomes([outcome]).encode()
