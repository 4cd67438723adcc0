"""`sharpwave replay` on sessions of several LFP channels and series of position: what is used, and how to choose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.nwb_files import add_electrodes, add_intervals, add_series, add_units, open_nwb, run_to_and_fro
from typer.testing import CliRunner

from sharpwave.commands.cli import app

END, N_UNITS, RATE = 420.0, 16, 1250.0


def write_session(path: Path, *, clock: float = 0.0, late: float = 0.0) -> Path:
    """A run on a track, then rest in which ripples replay it; two channels in CA1, of which the second has ripples."""
    rng = np.random.default_rng(3)
    times, places = run_to_and_fro(30.0, 210.0)
    centres = np.linspace(0.05, 1.95, N_UNITS)
    onsets = np.arange(220.0, END - 2, 2.5)
    trains = []
    for centre in centres:
        hazard = 20 * np.exp(-0.5 * ((places[:, 0] - centre) / 0.15) ** 2) / 40
        running = times[rng.random(len(times)) < hazard] + rng.uniform(0, 0.02)
        replayed = onsets[:, None] + 0.005 + 0.19 * centre / 2 + rng.uniform(0, 0.01, (len(onsets), 3))
        stray = rng.uniform(0, END, 60)
        trains.append(np.sort(np.concatenate([running, replayed.ravel(), stray])) + clock)
    samples = np.arange(int(END * RATE)) / RATE
    bursts = (samples > 219.5) * np.exp(-(((samples % 2.5 - 0.1) / 0.05) ** 2)) * np.sin(2 * np.pi * 180 * samples)
    volts = rng.normal(0, 10e-6, (len(samples), 3)) + 1e-6 * bursts[:, None] * np.array([0.0, 150.0, 20.0])
    with open_nwb(path) as file:
        add_units(file, trains)
        add_series(file, "processing/behavior/Position/a_angle", places[:, 0], times=times + clock, unit="radians")
        add_series(file, "processing/behavior/Position/xy", places * 100, times=times + clock, unit="centimeters")
        series = add_series(
            file, "processing/ecephys/LFP/LFP", np.rint(volts / 1e-7).astype("i2"), rate=RATE, start=clock + late,
            kind="ElectricalSeries", conversion=1e-7, unit="volts",
        )  # fmt: skip
        add_electrodes(file, series, location=["CA1", "CA1", "PFC"])
        add_intervals(file, "epochs", [(30 + clock, 210 + clock)], tags=["track1"])
    return path


def replay(path: Path, folder: Path, *options: str) -> dict:
    arguments = ["replay", str(path), "-o", str(folder), "--n-surrogates", "60", *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("session") / "session.nwb")


def test_the_channel_with_ripples_is_used_and_named(session: Path, tmp_path: Path) -> None:
    summary = replay(session, tmp_path / "out")
    assert any("LFP: of 3 channels 'LFP-1' (CA1) is used" in note for note in summary["notes"])
    after = next(row for row in summary["tests"] if row["epoch"] == "after")
    assert after["p"] < 0.05
    assert after["share"] > 0.5
    table = (tmp_path / "out" / "candidates.tsv").read_text()
    assert "\tripple\t" in table


def test_channel_and_series_can_be_named_and_a_wrong_name_lists_them(session: Path, tmp_path: Path) -> None:
    summary = replay(session, tmp_path / "out", "--lfp", "2", "--position", "XY", "--candidates", "bursts")
    assert any("channel 'LFP-2' (PFC) is used, as asked for" in note for note in summary["notes"])
    for option, listed in (("--lfp", "LFP-0, LFP-1, LFP-2"), ("--position", "a_angle, xy")):
        done = CliRunner().invoke(app, ["replay", str(session), option, "zzz", "-o", str(tmp_path / "none")])
        assert done.exit_code != 0
        assert listed in str(done.output) + str(done.exception)


def test_ripples_beside_the_spikes_give_way_to_bursts(tmp_path: Path) -> None:
    summary = replay(write_session(tmp_path / "late.nwb", late=0.5), tmp_path / "out")
    assert any("LFP and spikes are not on one clock there. Bursts" in note for note in summary["notes"])
    assert next(row for row in summary["tests"] if row["epoch"] == "after")["p"] < 0.05


def test_clocks_since_1970_and_below_zero_find_the_same(session: Path, tmp_path: Path) -> None:
    plain = replay(session, tmp_path / "plain", "--candidates", "bursts")
    for name, clock in (("unix", 1.7e9), ("below", -300.0)):
        moved = replay(write_session(tmp_path / f"{name}.nwb", clock=clock), tmp_path / name, "--candidates", "bursts")
        assert moved["n_events"] == pytest.approx(plain["n_events"], abs=3)
        assert [row["epoch"] for row in moved["tests"]] == [row["epoch"] for row in plain["tests"]]
        assert moved["n_significant"] == pytest.approx(plain["n_significant"], rel=0.1)
