"""Rows of a scoring lie where the recording's clock and length say, where the rows alone leave it open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.recordings.readers import attach_hypnogram, is_scoring, read_scoring

STAGES = [stage for k in range(40) for stage in ["W", "N1", "N2", "N2", "N3", "R"][k % 6 : k % 6 + 1] * (2 + k % 5)][
    :120
]
CODES = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 5}
START = datetime(2023, 2, 1, 23)


def _recording(duration: float = 3600.0, start: datetime = START) -> Recording:
    signal = Signal("EEG", np.zeros(int(duration * 4)), 4.0, MODALITIES["eeg"])
    return Recording(signals={"EEG": signal}, start=start)


def _attach(folder: Path, text: str, *, convention: str | None = None, **recording: object) -> Recording:
    path = folder / "scoring.csv"
    path.write_text(text)
    return attach_hypnogram(_recording(**recording), path, convention=convention)  # type: ignore[arg-type]


def _clock(k: float, form: str, start: datetime = START) -> str:
    return (start + timedelta(seconds=30 * k)).strftime(form)


def _rows(head: str, row: Callable[[int, str], str]) -> str:
    return "\n".join([*([head] if head else []), *(row(k, stage) for k, stage in enumerate(STAGES))]) + "\n"


def _runs() -> str:
    return "".join(f"{stage},{30 * len([*run])}\n" for stage, run in groupby(STAGES))


OPEN = {
    "numbers without a head": _rows("", lambda k, s: f"{k + 1}\t{s}"),
    "numbers, clock times, no head": _rows("", lambda k, s: f"{k + 1},{_clock(k, '%H:%M:%S')},{s}"),
    "numbers, seconds, no head": _rows("", lambda k, s: f"{k + 1},{30 * k},{s}"),
    "date and clock, no head": _rows("", lambda k, s: f"{_clock(k, '%d.%m.%Y;%H:%M:%S')};{s}"),
    "numbers in a column of times": _rows("Time,Stage", lambda k, s: f"{k + 1},{s}"),
    "numbers from and to": _rows("start,end,stage", lambda k, s: f"{k},{k + 1},{s}"),
    "minutes": _rows("Time,Stage", lambda k, s: f"{k / 2},{s}"),
    "samples": _rows("onset,duration,stage", lambda k, s: f"{3840 * k},3840,{s}"),
    "parts of a day": _rows("Time,Stage", lambda k, s: f"{((82_800 + 30 * k) / 86_400) % 1:.9f},{s}"),
    "minutes and seconds": _rows("Time,Stage", lambda k, s: f"{k // 2:02d}:{30 * (k % 2):02d},{s}"),
    "clock times without seconds": _rows("Time,Stage", lambda k, s: f"{_clock(k, '%H:%M')},{s}"),
    "twelve hours": _rows("Time,Stage", lambda k, s: f"{_clock(k, '%I:%M:%S')},{s}"),
    "ends": _rows("Time,Stage", lambda k, s: f"{30 * (k + 1)},{s}"),
    "ends by the clock": _rows("Time,Stage", lambda k, s: f"{_clock(k + 1, '%H:%M:%S')},{s}"),
    "middles": _rows("Time,Stage", lambda k, s: f"{30 * k + 15},{s}"),
    "a date in the first row": _rows(
        "Date,Time,Stage", lambda k, s: f"{'' if k else '2023-02-01'},{_clock(k, '%H:%M:%S')},{s}"
    ),
    "from the last to the first": _rows("epoch,stage", lambda k, s: f"{120 - k},{STAGES[119 - k]}"),
    "how long each lasts": "stage,duration\n" + _runs(),
    "separators at the ends of lines": _rows("", lambda k, s: f"{s},"),
    "a strange heading": _rows("night_012", lambda k, s: s),
    "a heading in other words": _rows("Sleep Stages", lambda k, s: s),
    "one line": ",".join(STAGES),
    "a list as Python prints it": str(STAGES),
    "marks within joined files": _rows("", lambda k, s: f"\ufeff{s}" if k in (0, 60) else s),
}


@pytest.mark.parametrize("kind", OPEN)
def test_each_epoch_has_its_stage(kind: str, tmp_path: Path) -> None:
    recording = _attach(tmp_path, OPEN[kind])
    assert recording.hypnogram is not None
    assert recording.hypnogram.labels == STAGES
    assert recording.hypnogram.epoch_length == 30


INTEGERS = {
    "as NumPy saves them": lambda code: f"{code:.18e}",
    "with a comma": lambda code: f"{code},0",
    "with a separator at the end": lambda code: f"{code};",
}


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_as_programs_write_them(kind: str, tmp_path: Path) -> None:
    text = "\n".join(INTEGERS[kind](CODES[stage]) for stage in STAGES)
    assert _attach(tmp_path, text, convention="rk").hypnogram.labels == STAGES  # type: ignore[union-attr]


def test_integers_with_words_for_the_unscored_need_a_convention(tmp_path: Path) -> None:
    text = "\n".join("NaN" if k == 3 else str(CODES[stage]) for k, stage in enumerate(STAGES))
    with pytest.raises(SharpwaveError, match="several conventions read differently"):
        _attach(tmp_path, text)
    labels = _attach(tmp_path, text, convention="rk").hypnogram.labels  # type: ignore[union-attr]
    assert labels == [*STAGES[:3], "?", *STAGES[4:]]


def test_an_empty_line_is_an_epoch_where_only_so_they_fit(tmp_path: Path) -> None:
    text = "\n".join("" if k == 40 else stage for k, stage in enumerate(STAGES))
    recording = _attach(tmp_path, text)
    assert recording.hypnogram.labels == [*STAGES[:40], "?", *STAGES[41:]]  # type: ignore[union-attr]
    assert any("1 empty lines between stages are unscored epochs" in said for said in recording.repairs)
    shorter = _attach(tmp_path, "\n\n".join(STAGES))
    assert shorter.hypnogram.labels == STAGES  # type: ignore[union-attr]


def test_a_list_that_begins_later_is_placed_by_its_numbers(tmp_path: Path) -> None:
    late = "epoch,stage\n" + "".join(f"{k + 1},{stage}\n" for k, stage in enumerate(STAGES) if k >= 20)
    assert _attach(tmp_path, late).hypnogram.labels == ["?"] * 20 + STAGES[20:]  # type: ignore[union-attr]
    own = _attach(tmp_path, late, duration=3000.0)  # as long as the list itself: its numbers are of another file
    assert own.hypnogram.labels == STAGES[20:]  # type: ignore[union-attr]


def test_what_fits_as_it_stands_is_not_changed(tmp_path: Path) -> None:
    second = "onset,stage\n" + "".join(f"{30 * k},{stage}\n" for k, stage in enumerate(STAGES) if k)
    assert _attach(tmp_path, second).hypnogram.labels == ["?", *STAGES[1:]]  # type: ignore[union-attr]
    per_second = "onset,stage\n" + "".join(f"{k},{STAGES[k // 30]}\n" for k in range(3600))
    assert _attach(tmp_path, per_second).hypnogram.epoch_length == 1  # type: ignore[union-attr]
    part = "onset,stage\n" + "".join(f"{30 * k},{stage}\n" for k, stage in enumerate(STAGES[:30]))
    assert _attach(tmp_path, part).hypnogram.labels == STAGES[:30] + ["?"] * 90  # type: ignore[union-attr]
    morning = START.replace(hour=10)
    clock = _rows("Time,Stage", lambda k, s: f"{_clock(k, '%H:%M:%S', morning)},{s}")
    assert _attach(tmp_path, clock, start=morning).hypnogram.labels == STAGES  # type: ignore[union-attr]


def test_epochs_of_no_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scoring.csv"
    path.write_text("onset,stage\n" + "".join(f"{k * 0.05:.2f},W\n" for k in range(9)))
    with pytest.raises(SharpwaveError, match=r"epochs of 0\.1 s at least"):
        read_scoring(path)


def test_a_list_too_long_says_which_options_take_it(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"90 s too short, --stage-epoch 30 --stage-tolerance 90"):
        _attach(tmp_path, "\n".join(STAGES[:-3]))


def test_integers_every_four_seconds_are_known_as_a_scoring(tmp_path: Path) -> None:
    path = tmp_path / "mouse.csv"
    path.write_text("onset,stage\n" + "".join(f"{4 * k},{CODES[stage]}\n" for k, stage in enumerate(STAGES)))
    assert is_scoring(path)
