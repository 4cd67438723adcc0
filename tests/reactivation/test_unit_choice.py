"""Units by area, cell type and quality: the right ones, and no silent guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pynapple as nap
import pytest
from tests import neo_files as files

from sharpwave.commands.replay import choose_signals
from sharpwave.commands.replay_options import ReplayOptions
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.unit_choice import choose_units, drop_repeated_units
from sharpwave.recordings import Recording
from sharpwave.recordings.readers import read_recording


def _session(**columns: list) -> Recording:
    n = len(next(iter(columns.values())))
    trains = {unit: nap.Ts(np.array([0.5, 1.0 + unit])) for unit in range(n)}
    return Recording(spikes=nap.TsGroup(trains, metadata={name: np.array(values) for name, values in columns.items()}))


def _units(recording: Recording) -> list[int]:
    assert recording.spikes is not None
    return [int(unit) for unit in recording.spikes]


def test_all_that_is_asked_must_hold() -> None:
    session = _session(
        area=["CA1", "CA1", "CA3", "CA1"],
        putativeCellType=["Pyramidal Cell", "Narrow Interneuron", "Pyramidal Cell", "Pyramidal Cell"],
        group=["good", "good", "good", "mua"],
    )
    assert _units(choose_units(session, area=["CA1"])) == [0, 1, 3]
    assert _units(choose_units(session, area=["ca1"], cell_type=["pyramidal"])) == [0, 3]
    chosen = choose_units(session, area=["CA1"], cell_type=["pyramidal"], quality=["good"])
    assert _units(chosen) == [0]
    assert chosen.repairs == ("1 of 4 units were kept: area CA1; cell type Pyramidal Cell; quality good",)
    assert choose_units(session) is session


def test_a_whole_word_wins_over_a_beginning() -> None:
    session = _session(area=["VISp", "VISpm", "CA1sp", "CA1so"])
    assert _units(choose_units(session, area=["VISp"])) == [0]
    assert _units(choose_units(session, area=["CA1"])) == [2, 3]
    assert _units(choose_units(_session(cell_type=["pyr", "int"]), cell_type=["pyramidal"])) == [0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"quality": ["good"]}, "--quality"),
        ({"area": ["CA2"]}, r"CA1 \(1\), CA3 \(1\)"),
    ],
)
def test_what_the_file_does_not_say_is_not_guessed(asked: dict, said: str) -> None:
    with pytest.raises(SharpwaveError, match=said):
        choose_units(_session(area=["CA1", "CA3"]), **asked)


def test_words_that_hold_of_no_unit_together_are_refused() -> None:
    session = _session(area=["CA1", "CA3"], cell_type=["int", "pyr"])
    with pytest.raises(SharpwaveError, match="none that is all of it"):
        choose_units(session, area=["CA1"], cell_type=["pyr"])


@pytest.mark.parametrize("kind", ["phy", "cellexplorer"])
def test_the_command_chooses_units_of_folders(kind: str, tmp_path: Path) -> None:
    folder = files.write_phy(tmp_path) if kind == "phy" else files.write_cellexplorer(tmp_path)
    options = ReplayOptions(area=["CA1"], quality=["good"], candidates="bursts")
    assert _units(choose_signals(read_recording(folder), options)) == ([3] if kind == "phy" else [0, 1])


def test_the_area_of_an_nwb_unit_is_that_of_its_electrode(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    import pynwb

    file = pynwb.NWBFile("s", "i", datetime(2024, 3, 1, tzinfo=UTC))
    device = file.create_device("probe")
    group = file.create_electrode_group("shank", description="d", location="brain", device=device)
    for area in ("CA1", "CA1", "CA3"):
        file.add_electrode(location=area, group=group)
    file.add_unit_column("cell_type", "what it is")
    for electrodes, kind in (([2], "pyramidal"), ([0, 1], "pyramidal"), ([1], "interneuron")):
        file.add_unit(spike_times=[1.0, 2.0], electrodes=electrodes, cell_type=kind)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as out:
        out.write(file)
    options = ReplayOptions(area=["CA1"], cell_type=["pyramidal"], candidates="bursts")
    assert _units(choose_signals(read_recording(tmp_path / "a.nwb"), options)) == [1]


def test_a_unit_that_stands_twice_counts_once() -> None:
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 100, 50)) for _ in range(3)]
    few = np.array([1.0, 2.0])
    units = {0: trains[0], 1: trains[1], 2: trains[0], 3: trains[2], 4: few, 5: few}
    session = Recording(spikes=nap.TsGroup({unit: nap.Ts(times) for unit, times in units.items()}))
    kept = choose_signals(session, ReplayOptions())
    assert _units(kept) == [0, 1, 3, 4, 5]
    assert kept.repairs == ("1 of 6 units has the spikes of another, one by one; left out: 2 (as 0)",)
    assert drop_repeated_units(kept) is kept
