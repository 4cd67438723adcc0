"""Lights of the user, of metadata and of annotations; and scored events in the decoded night."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.decode import decode_recording
from sharpwave.night.lights import mark_lights, place_lights
from sharpwave.night.options import DecodeOptions, apply_options
from sharpwave.recordings import Hypnogram, Recording
from sharpwave.recordings.readers import fit_hypnogram, read_hypnogram
from sharpwave.reports.page import write_report

STAGES = Hypnogram.from_labels(["W"] * 4 + ["N2"] * 32 + ["W"] * 4)  # 20 min


def night(*notes: tuple[float, float, str], **known: object) -> Recording:
    events = pd.DataFrame(notes, columns=["onset", "duration", "label"])
    return Recording(hypnogram=STAGES, events=events, start=datetime(2023, 2, 1, 23, 0), **known)


MARKED = night((60.0, 0.0, "Lights off"), (1140.0, 0.0, "Lights on"))


def values(decoded: object) -> dict[str, float]:
    return dict(zip(decoded.statistics["name"], decoded.statistics["value"], strict=True))


def test_lights_of_annotations_give_latency_and_efficiency_and_are_declared() -> None:
    decoded = decode_recording(MARKED)
    found = values(decoded)
    assert (found["sleep_latency"], found["time_in_bed"]) == (1.0, 18.0)
    assert found["sleep_efficiency"] == pytest.approx(100 * 16 / 18)
    assert any("lights off at 23:01:00 (60 s), lights on at 23:19:00" in repair for repair in decoded.repairs)


def test_the_user_beats_the_file() -> None:
    decoded = decode_recording(MARKED, options=DecodeOptions(lights_off="23.03", lights_on="1200"))
    assert (decoded.night_start, decoded.night_end) == (180.0, 1200.0)
    assert not any("annotation" in repair for repair in decoded.repairs)
    only_off = apply_options(DecodeOptions(lights_off="23.19"), MARKED)  # the file's "on" cannot be later than this
    assert "lights_on" not in only_off.metadata


def test_metadata_in_words_are_read_and_nonsense_is_declared() -> None:
    assert place_lights(night(metadata={"lights_off": "23:05"}), None, None) == (300.0, None)
    marked = mark_lights(night(metadata={"lights_off": "sometime"}))
    assert "lights_off" not in marked.metadata
    assert "lights off of the file, sometime" in marked.repairs[0]


@pytest.mark.parametrize(("off", "on"), [("20:00", "22:00"), ("23:05", "07:00"), ("2023-01-31 23:05", None)])
def test_lights_outside_the_recording_are_refused_before_any_work(off: str, on: str | None) -> None:
    steps: list[str] = []
    with pytest.raises(SharpwaveError, match=r"within the recording, 2023-02-01 23:00:00 to .*--lights-o"):
        decode_recording(
            MARKED, options=DecodeOptions(lights_off=off, lights_on=on), progress=lambda step, *_: steps.append(step)
        )
    assert steps == []


def test_lights_a_little_before_the_recording_count_and_are_declared() -> None:
    decoded = decode_recording(night(), options=DecodeOptions(lights_off="22:58"))
    assert values(decoded)["sleep_latency"] == 4.0
    assert "lights off is 120 s before its start" in decoded.repairs


def test_scored_events_reach_the_table_the_statistics_and_the_page(tmp_path: Path) -> None:
    notes = [(200.0 + 60 * k, 5.0, "Arousal (ARO RES)") for k in range(8)] + [(300.0, 15.0, "Obstructive Apnea")]
    decoded = decode_recording(night(*notes))
    counts = decoded.events["label"].value_counts()
    assert (counts["arousal"], counts["obstructive_apnea"]) == (8, 1)
    assert set(decoded.events["scored_as"]) == {"Arousal (ARO RES)", "Obstructive Apnea"}
    found = values(decoded)
    assert found["arousal_index"] == pytest.approx(8 / (16 / 60))
    assert found["apnea_hypopnea_index"] == pytest.approx(1 / (16 / 60))
    assert np.isnan(found["oxygen_desaturation_index"])
    methods = decoded.provenance.methods
    assert "Events detected: none." in methods  # nobody claims to have detected them
    assert "counted, not detected: 8 arousal, 1 obstructive apnea." in methods
    page = write_report(decoded, tmp_path / "report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    assert "Marked by a scorer, not detected here: arousal 8, obstructive apnea 1." in page
    assert "Apnoea–hypopnoea index (AHI)" in page
    assert "apnoeas and hypopnoeas per hour of sleep: 1 in 0.27 h; no hypopnoeas were scored" in page


def test_a_scorer_is_chosen_among_annotations_and_must_be_there() -> None:
    rows = [(30.0 * k, 30.0, stage, who) for k in range(40) for stage, who in (("N2", "auto"), ("N3", "manual"))]
    events = pd.DataFrame(rows, columns=["onset", "duration", "label", "scorer"])
    recording = Recording(events=events.assign(label="Sleep stage " + events["label"]), hypnogram=STAGES)
    for who, stage in (("auto", "N2"), ("manual", "N3")):
        chosen = apply_options(DecodeOptions(scorer=who), recording).hypnogram
        assert chosen is not None
        assert set(chosen.labels) == {stage}
    with pytest.raises(SharpwaveError, match=r"a scorer among auto, manual"):
        apply_options(DecodeOptions(scorer="me"), recording)
    with pytest.raises(SharpwaveError, match=r"leave --scorer out"):
        apply_options(DecodeOptions(scorer="me"), night())


def test_every_option_that_an_error_of_a_scoring_names_exists(tmp_path: Path) -> None:
    texts = {"integers.txt": "0\n1\n4\n5\n", "long.txt": "N2\n" * 7000, "other.txt": "N2\n" * 7}
    options = {f"--{field.name.replace('_', '-')}" for field in fields(DecodeOptions)}
    said = ""
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text)
        for how in ({}, {"duration": 4000.0}, {"convention": "aasm"}, {"epoch_length": -1.0}, {"scorer": "me"}):
            try:
                fit_hypnogram(read_hypnogram(path, **how), 4000.0)
            except SharpwaveError as error:
                said += f"{error}\n"
    named = set(re.findall(r"--[a-z][a-z-]+", said))
    assert not re.search(r"\b(convention|epoch_length|tolerance)=", said)
    assert {"--stage-convention", "--stage-epoch", "--stage-tolerance"} <= named <= options


def test_a_clock_time_on_a_clock_in_utc_says_so() -> None:
    universal = replace(night(), start=datetime(2026, 1, 31, 22, 0, tzinfo=UTC))
    marked = mark_lights(universal, "22:10", None)
    assert any("22:10 was taken so" in repair for repair in marked.repairs)
    for time in ("23:10+01:00", "2026-01-31 23:10 +0100", 600.0):
        assert mark_lights(universal, time, None).repairs == ()
        assert place_lights(universal, time, None)[0] == 600
    local = replace(universal, start=datetime(2026, 1, 31, 23, 0, tzinfo=timezone(timedelta(hours=1))))
    assert mark_lights(local, "23:10", None).repairs == ()
    assert place_lights(local, "22:10Z", None)[0] == 600
