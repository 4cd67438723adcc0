"""Recordings written as NWB: pynwb finds no fault and reads the same, and so do we."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording, read_recording
from sharpwave.recordings.store.write_nwb import write_nwb
from sharpwave.simulation import simulate_night


@pytest.fixture(scope="module")
def rat() -> Recording:
    return simulate_night("rat", 0.3, rng=np.random.default_rng(1), n_units=12)[0]


@pytest.fixture(scope="module")
def path(rat: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nwb(rat, tmp_path_factory.mktemp("nwb") / "rat.nwb")


@pytest.mark.filterwarnings("ignore")
def test_pynwb_finds_no_fault_and_reads_the_same(rat: Recording, path: Path) -> None:
    from pynwb import NWBHDF5IO, validate

    with NWBHDF5IO(path, "r") as io:
        assert list(validate(io=io)) == []
        file = io.read()
        assert rat.spikes is not None
        for unit in (0, 7):
            assert file.units.get_unit_spike_times(unit) == pytest.approx(rat.spikes[unit].t)
        place = file.processing["behavior"]["Position"]["position"]
        assert place.data[:] * place.conversion == pytest.approx(rat["position"].read())
        assert (place.unit, place.rate) == ("meters", 30.0)
        (lfp,) = file.processing["ecephys"]["LFP"].electrical_series.values()
        assert lfp.data[:1000] * lfp.conversion == pytest.approx(rat["HIP"].read(0, 1.0), rel=1e-5)
        assert lfp.electrodes.to_dataframe()["location"].tolist() == ["CA1"]
        laps = file.intervals["events"].to_dataframe()
        assert laps["content"].tolist() == rat.events["content"].tolist()
        durations = (laps["stop_time"] - laps["start_time"]).to_numpy()
        assert durations == pytest.approx(rat.events["duration"].to_numpy())
        assert file.subject.species == "Rattus norvegicus"


def test_our_reader_reads_what_was_written(rat: Recording, path: Path) -> None:
    back = read_recording(path)
    assert set(back.signals) == set(rat.signals)
    assert back.species == "rat"
    assert back.source.startswith("simulated")
    assert back["HIP"].modality.name == "lfp"
    assert np.ravel(back["HIP"].read(10, 11)) == pytest.approx(np.ravel(rat["HIP"].read(10, 11)), rel=1e-5)
    assert np.ravel(back["position"].read()) == pytest.approx(np.ravel(rat["position"].read()))
    assert rat.spikes is not None
    assert back.spikes is not None
    assert list(back.spikes) == list(rat.spikes)
    assert back.spikes[3].t == pytest.approx(rat.spikes[3].t)
    assert back.hypnogram is not None
    assert rat.hypnogram is not None
    asleep = rat.hypnogram.stages > 0
    assert (back.hypnogram.stages[: len(asleep)] > 0).mean() == pytest.approx(asleep.mean(), abs=0.02)
    assert {"content", "run_direction"} <= set(back.events)
    assert back.events["onset"].to_numpy() == pytest.approx(rat.events["onset"].to_numpy())


def test_what_is_there_stays(rat: Recording, path: Path) -> None:
    with pytest.raises(SharpwaveError, match="--overwrite"):
        write_nwb(rat, path)
    with pytest.raises(SharpwaveError, match="exists"):
        write_nwb(rat, path.parent, overwrite=True)
    write_nwb(rat, path, overwrite=True)
