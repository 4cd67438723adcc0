"""Recorded people of benchmarks: who is absent is left out and said, what is damaged is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sharpwave.benchmarks.coupling import measure_people
from sharpwave.benchmarks.live import gate
from sharpwave.benchmarks.live.phase_runs import load_people, load_second_world
from sharpwave.benchmarks.spindles import load_excerpts
from sharpwave.benchmarks.staging import finetune
from sharpwave.benchmarks.staging.labs import load_banded
from sharpwave.errors import SharpwaveError

UCDDB, DREAMS = "ucddb-eeg/ucddb022.npz", "dreams-spindles/excerpt1.txt"
SLEEP_EDF, HMC = "sleep-edf-bands/bands.npz", "hmc-bands/hmc.npz"


@pytest.mark.parametrize(
    ("load", "damaged", "beside"),
    [
        (lambda data: load_people(data, ["022"]), UCDDB, []),
        (load_second_world, DREAMS, []),
        (load_excerpts, DREAMS, []),
        (measure_people, UCDDB, []),
        (lambda data: load_banded("Sleep-EDF", data, []), SLEEP_EDF, [UCDDB]),
        (lambda data: load_banded("HMC", data, []), HMC, [UCDDB]),
    ],
)
def test_nobody_where_a_data_set_is_absent_and_an_error_where_it_is_damaged(
    load: Callable[[Path], object], damaged: str, beside: list[str], tmp_path: Path
) -> None:
    for name in (*beside, ""):
        assert not load(tmp_path), "what is absent is left out"
        place = tmp_path / (name or damaged)
        place.parent.mkdir()
        place.write_bytes(b"nothing that can be read")
    with pytest.raises(SharpwaveError, match=Path(damaged).name.partition(".")[0]):
        load(tmp_path)


def test_what_the_gate_cannot_be_measured_on_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPWAVE_DATA", str(tmp_path))
    monkeypatch.setattr(gate, "measure_ripples", lambda seeds, rng: [])
    config, rows = gate.run(None, seeds=1)
    assert not rows
    assert config["notes"][1:] == [
        "stage_whole_night left out: ucddb not here",
        "stage_second_world left out: dreams not here",
        "measure_polarity left out: ucddb and dreams not here",
        "measure_spindles left out: dreams not here",
    ]
    with pytest.raises(SharpwaveError, match="the data set 'ucddb'"):
        gate.run(tmp_path, seeds=1)
    (tmp_path / UCDDB).parent.mkdir()
    (tmp_path / UCDDB).write_bytes(b"nothing that can be read")
    with pytest.raises(SharpwaveError, match="ucddb022"):
        gate.run(None, seeds=1)


def test_laboratories_that_are_not_here_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "simulate_sleepers", lambda n, *, seed: [])
    config, rows = finetune.run(tmp_path, seeds=1)
    assert not rows
    assert [note.partition(":")[0] for note in config["notes"]] == ["Sleep-EDF left out", "HMC left out"]
