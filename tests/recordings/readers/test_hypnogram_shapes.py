"""Every shape in which programs write the stages of one night reads as that night."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, apply_options
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers import attach_hypnogram, read_scoring
from sharpwave.recordings.recording import Recording, Signal

STAGES = ["W"] * 3 + ["N1"] * 2 + ["N2"] * 6 + ["N3"] * 4 + ["R"] * 3 + ["W", "N2"]
CODES = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 4}
START = datetime(2023, 2, 1, 23, 55)
LENGTH = 30.0 * len(STAGES)
RECORDING = Recording(signals={"EEG": Signal("EEG", np.zeros(int(LENGTH * 4)), 4.0, MODALITIES["eeg"])}, start=START)
RUNS = [i for i in range(len(STAGES)) if i == 0 or STAGES[i] != STAGES[i - 1]]
WONAMBI = {"W": "Wake", "N1": "NREM1", "N2": "NREM2", "N3": "NREM3", "R": "REM"}
SLEEPWARE = {"W": "Wake", "N1": "NonREM1", "N2": "NonREM2", "N3": "NonREM3", "R": "REM"}


def clock(index: float) -> str:
    return f"{START + timedelta(seconds=30 * index):%H:%M:%S}"


def each(row: str) -> str:
    """One row an epoch: i its number, s its stage, a and b its first and last second, t its time, c its code."""
    parts = (
        dict(i=i + 1, s=s, a=30 * i, b=30 * i + 30, t=clock(i), c=CODES[s], m=i // 2, r=30 * (i % 2), h=i / 2)
        for i, s in enumerate(STAGES)
    )
    return "\n".join(row.format(**values) for values in parts)


def changes(row: str) -> str:
    ends = [*RUNS[1:], len(STAGES)]
    return "\n".join(
        row.format(s=STAGES[i], a=30 * i, b=30 * j, t=clock(i), w=SLEEPWARE[STAGES[i]])
        for i, j in zip(RUNS, ends, strict=True)
    )


def wonambi(stages: list[str], name: str) -> str:
    rows = "".join(
        f"<epoch><epoch_start>{30 * i}</epoch_start><epoch_end>{30 * i + 30}</epoch_end>"
        f"<stage>{WONAMBI[s]}</stage></epoch>"
        for i, s in enumerate(stages)
    )
    return f'<rater name="{name}"><stages>{rows}</stages></rater>'


ANNOT = "class\tinstance\tchannel\tstart\tstop\tmeta\n"
FILES = {
    "yasa.csv": "Epoch,Stage,Confidence\n" + each("{i},{s},0.9"),
    "from_zero.csv": "epoch;sleep_stage\n" + each("{i};{s}"),
    "no_number.csv": "Stage,Confidence\n" + each("{s},0.5"),
    "pandas.csv": ",Stage\n" + each("{i},{s}"),
    "unknown_head.csv": "Epoch,Anna\n" + each("{i},{s}"),
    "excel.csv": "sep=;\nEpoche;Zeit;Schlafstadium\n" + each("{i};{t};{s}"),
    "two_columns.csv": "Date,Time,Stage\n" + each("01/02/2023,{t},{s}"),
    "decimal_comma.csv": "Onset;Duration;Stage\n" + each("{a},0;30,0;{s}"),
    "minutes.csv": "Time (min),Stage\n" + each("{h},{s}"),
    "milliseconds.csv": "start_ms,end_ms,stage\n" + each("{a}000,{b}000,{s}"),
    "elapsed.csv": "time,stage\n" + each("00:{m:02d}:{r:02d},{s}"),
    "unknown_stages.csv": "onset,duration,Anna\n" + each("{a},30,{s}"),
    "rows.json": json.dumps([{"start": 30 * i, "end": 30 * i + 30, "stage": s} for i, s in enumerate(STAGES)]),
    "legend.txt": "# 0=W 1=N1 2=N2 3=N3 4=REM\n" + each("{c}"),
    "clock_and_length.txt": each("{t}\t{s}\t30"),
    "visbrain.csv": "Duration_sec,600\n" + changes("{s},{b}"),
    "epochs.annot": ANNOT + each("stage/{s}\t.\t.\te:{i}\t...\t."),
    "seconds.annot": "# SS | stage\n" + ANNOT + each("{s}\t.\t.\t{a}\t{b}\t."),
    "clock.annot": ANNOT + each("SS\t{s}\t.\t{t}\t...\t."),
    "changes.annot": ANNOT + changes("{s}\t.\t.\t{t}\t...\t."),
    "lasting.annot": each("{s}\t.\t.\t{a}\t+30\t."),
    "runs.annot": ANNOT + changes("{s}\t.\t.\t{a}\t{b}\t."),
    "elapsed.annot": each("{s}\t.\t0+00:{m:02d}:{r:02d}\t..."),
    "visbrain.txt": f"*Duration_sec\t{LENGTH:g}\n*Datafile\tUnspecified\n" + changes("{s}\t{b}"),
    "onset_first.txt": changes("{a} {s}"),
    "utime.ids": each("{a},30,{s}"),
    "onset_end.txt": each("{a}\t{b}\t{s}"),
    "elan.hyp": "time_base 30\nsampling_period 0.01\nepoch_nb 20\nepoch_list\n" + each("{c}").replace("4", "5"),
    "visbrain.hyp": "time 30.0\nnumstage\n" + each("{c}"),
    "changes.csv": "onset,stage\n" + changes("{a},{s}"),
    "changes_clock.csv": "Time,Stage\n" + changes("{t},{s}"),
    "wonambi.xml": f"<annotations><dataset/>{wonambi(STAGES, 'A')}</annotations>",
    "sleepware.rml": "<S><UserStaging>" + changes('<Stage Type="{w}" Start="{a}"/>') + "</UserStaging></S>",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_shape_reads_as_the_night(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    hypnogram = attach_hypnogram(RECORDING, path).hypnogram
    assert hypnogram is not None
    middles = 30.0 * np.arange(len(STAGES)) + 15
    assert hypnogram.at(middles).tolist() == [CODES[stage] for stage in STAGES]


@pytest.mark.parametrize("row", ["0.5,1,30", "one,two,three", "W"])
def test_other_texts_are_not_taken_for_a_scoring(row: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join([row] * 4 + ["breakfast"]))
    with pytest.raises(SharpwaveError):
        read_scoring(path)


def test_missing_numbers_of_epochs_are_unscored(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Epoch,Stage\n1,W\n2,N1\n5,N2\n6,N2\n")
    scoring = read_scoring(path)
    assert scoring.hypnogram.labels == ["W", "N1", "?", "?", "N2", "N2"]
    assert "2 epochs are missing" in scoring.repairs[0]


def test_stages_at_changes_last_until_the_end_and_one_an_epoch_does_not(tmp_path: Path) -> None:
    labels = ["Sleep stage W", "Sleep stage N2", "Sleep stage N3"]
    events = pd.DataFrame({"onset": [0.0, 300.0, 480.0], "duration": 0.0, "label": labels})
    changed = attach_hypnogram(_with(events, 1200.0)).hypnogram
    assert changed is not None
    assert changed.merge(2).at(np.array([1185.0])).tolist() == [1]
    labels = ["Sleep stage W"] * 10 + ["Sleep stage N2"] * 10
    each_epoch = pd.DataFrame({"onset": np.arange(20) * 30.0, "duration": 0.0, "label": labels})
    regular = attach_hypnogram(_with(each_epoch, 1200.0)).hypnogram
    assert regular is not None
    assert regular.scored.sum() == 20


def _with(events: pd.DataFrame, length: float) -> Recording:
    signal = Signal("EEG", np.zeros(int(length * 4)), 4.0, MODALITIES["eeg"])
    return Recording(signals={"EEG": signal}, events=events)


def test_of_two_scorers_one_is_taken_and_the_other_can_be_asked_for(tmp_path: Path) -> None:
    other = ["N1", *STAGES[1:]]
    both = list(enumerate(zip(STAGES, other, strict=True), 1))
    stages = "".join(
        f"\n{30 * i - 30}\t30\tsleep_stage_{s}\tauto\n{30 * i - 30}\t30\tsleep_stage_{o}\thuman" for i, (s, o) in both
    )
    texts = {
        "two.xml": f"<a>{wonambi(STAGES, 'auto')}{wonambi(other, 'human')}</a>",
        "two_events.tsv": f"onset\tduration\ttrial_type\tscorer{stages}",
        "two.json": json.dumps({"auto": STAGES, "human": other}),
        "wide.csv": "Epoch,auto,human\n" + "\n".join(f"{i},{s},{o}" for i, (s, o) in both),
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text)
        scoring = read_scoring(path)
        assert scoring.hypnogram.labels == other, name
        assert "'human'" in scoring.repairs[0], name
        assert "--scorer" in scoring.repairs[0], name
        chosen = apply_options(DecodeOptions(stages=path, scorer="auto"), RECORDING)
        assert chosen.hypnogram is not None
        assert chosen.hypnogram.labels == STAGES, name
        with pytest.raises(SharpwaveError, match="a scorer among"):
            apply_options(DecodeOptions(stages=path, scorer="nobody"), RECORDING)


def test_what_integers_mean_is_an_option(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(each("{c}"))
    with pytest.raises(SharpwaveError, match="--stage-convention yasa"):
        apply_options(DecodeOptions(stages=path), RECORDING)
    recording = apply_options(DecodeOptions(stages=path, stage_convention="yasa"), RECORDING)
    assert recording.hypnogram == Hypnogram.from_labels(STAGES)


def test_integers_in_a_table_without_a_header_need_their_meaning(tmp_path: Path) -> None:
    path = tmp_path / "a.ids"
    path.write_text(each("{a},30,{c}"))
    with pytest.raises(SharpwaveError, match="--stage-convention"):
        read_scoring(path)
    assert read_scoring(path, convention="aasm").hypnogram.labels == STAGES


def test_events_of_a_scoring_come_along(tmp_path: Path) -> None:
    profusion = "".join(
        f"<ScoredEvent><Name>{name}</Name><Start>{onset}</Start><Duration>5</Duration></ScoredEvent>"
        for name, onset in (("Arousal (ARO RES)", 100), ("SpO2 artifact", 130), ("Hypopnea", 200))
    )
    stages = "".join(f"<SleepStage>{CODES[s] + (s == 'R')}</SleepStage>" for s in STAGES)
    scored = f"<ScoredEvents>{profusion}</ScoredEvents><SleepStages>{stages}</SleepStages>"
    rows = [f"\narousal\t.\t.\t{clock(100 / 30)}\t{clock(3.5)}\t.", f"\nhypopnea\t.\t.\t{clock(200 / 30)}\t+5\t."]
    table = "onset,duration,event\n" + each("{a},30,Sleep stage {s}")
    texts = {
        "a.xml": f"<C><EpochLength>30</EpochLength>{scored}</C>",
        "a.annot": ANNOT + each("{s}\t.\t.\t{t}\t...\t.") + "".join(rows),
        "a_events.csv": table + "\n100,5,Arousal\n200,5,Hypopnea\n210,1,door",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text)
        recording = attach_hypnogram(RECORDING, path)
        assert recording.events["onset"].round().tolist() == [100, 200], name
        assert recording.events["duration"].round().tolist() == [5, 5], name
        assert recording.events["label"].str.lower().str.slice(0, 7).tolist() == ["arousal", "hypopne"], name


def _by_clock(step: float, after: int, row: str) -> tuple[Recording, str]:
    """A recording and a table of its stages by a clock that is set by `step` seconds after some epochs."""
    start = datetime(2023, 10, 29, 2, 50) if step < 0 else datetime(2023, 3, 26, 1, 50)
    moments = [start + timedelta(seconds=30 * i + step * (i >= after)) for i in range(len(STAGES) + 1)]
    lines = [
        row.format(a=a.isoformat(), b=b.isoformat(), s=s)
        for a, b, s in zip(moments[:-1], moments[1:], STAGES, strict=True)
    ]
    event = f"{moments[after + 2].isoformat()},{moments[after + 2].isoformat()},Arousal"
    recording = Recording(signals=RECORDING.signals, start=start)
    return recording, "\n".join(["begin,end,event", *lines, event])


@pytest.mark.parametrize(("step", "word"), [(-3600.0, "back"), (3600.0, "forward")])
@pytest.mark.parametrize("row", ["{a},{b},{s}", "{a},,{s}"])
def test_a_scoring_follows_summer_time(step: float, word: str, row: str, tmp_path: Path) -> None:
    recording, text = _by_clock(step, 10, row)
    path = tmp_path / "a.csv"
    path.write_text(text)
    scored = attach_hypnogram(recording, path)
    assert scored.hypnogram is not None
    middles = 30.0 * np.arange(len(STAGES)) + 15
    assert scored.hypnogram.at(middles).tolist() == [CODES[stage] for stage in STAGES]
    assert any(word in repair for repair in scored.repairs)
    if step > 0:  # where the hour comes twice, an event in it may be in either
        assert scored.events["onset"].tolist() == [360.0]


@pytest.mark.parametrize("form", ["among the stages", "after them", "after them, by kind"])
def test_events_in_the_hour_that_comes_twice_go_by_the_order_of_rows(form: str, tmp_path: Path) -> None:
    start = datetime(2023, 10, 29, 1, 30)
    onsets = {1000.0: "Arousal", 3000.0: "Hypopnea", 4800.0: "Arousal", 6000.0: "Hypopnea", 6600.0: "Arousal"}
    planted = [(label, onset) for onset, label in onsets.items()]

    def by_clock(seconds: float) -> str:  # at 3:00, after 5,400 s, it is 2:00 again
        return f"{start + timedelta(seconds=seconds - 3600 * (seconds >= 5400)):%H:%M:%S}"

    rows = [(30.0 * k, "N2" if k % 7 else "W") for k in range(300)]
    if form == "among the stages":
        rows = sorted([*rows, *((onset, label) for label, onset in planted)])
    else:
        rows += [(onset, label) for label, onset in (sorted(planted) if "kind" in form else planted)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,event", *(f"{by_clock(onset)},{label}" for onset, label in rows)]))
    signal = Signal("C4", np.zeros(90_000), 10.0, MODALITIES["eeg"])
    recording = attach_hypnogram(Recording(signals={"C4": signal}, start=start), path)
    found = dict(zip(recording.events["onset"], recording.events["label"], strict=True))
    assert found == onsets
    assert recording.hypnogram is not None
    assert recording.hypnogram.at(np.array([15.0, 5415, 8955])).tolist() == [0, 2, 2]


@pytest.mark.parametrize("form", ["Z", "ms", "offset", "local"])
@pytest.mark.parametrize("zoned", [True, False])
def test_a_scoring_in_another_zone_is_at_its_own_time(form: str, zoned: bool, tmp_path: Path) -> None:
    local = [START + timedelta(seconds=30 * k) for k in range(len(STAGES))]
    written = {
        "Z": [f"{m - timedelta(hours=2):%Y-%m-%dT%H:%M:%S}Z" for m in local],
        "ms": [f"{1e3 * (m - timedelta(hours=2)).replace(tzinfo=UTC).timestamp():.0f}" for m in local],
        "offset": [f"{m:%Y-%m-%dT%H:%M:%S}+02:00" for m in local],
        "local": [f"{m:%Y-%m-%d %H:%M:%S}" for m in local],
    }[form]
    path = tmp_path / "a.csv"
    arousal = f"{written[4]},Arousal"
    path.write_text("\n".join(["time,event", *(f"{w},{s}" for w, s in zip(written, STAGES, strict=True)), arousal]))
    start = START.replace(tzinfo=timezone(timedelta(hours=2))) if zoned else START
    recording = attach_hypnogram(replace(RECORDING, start=start), path)
    assert recording.hypnogram is not None
    assert recording.hypnogram.at(30.0 * np.arange(len(STAGES)) + 15).tolist() == [CODES[stage] for stage in STAGES]
    assert recording.events["onset"].tolist() == [120.0]
    said = any("of another zone, -2 h" in repair for repair in recording.repairs)
    assert said == (not zoned and form in ("Z", "ms"))


def test_half_of_a_night_in_universal_time_is_not_moved(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"  # it may be of another night: nothing says that both begin together
    path.write_text(
        "\n".join(["time,stage", *(f"2023-02-01T21:5{5 + k // 2}:{30 * (k % 2):02d}Z,N2" for k in range(8))])
    )
    with pytest.raises(SharpwaveError, match="a scoring of"):
        attach_hypnogram(RECORDING, path)
