"""Which runs a session has, and the environments that they are in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from tests.reactivation.sessions import fire, run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.environments import find_experience, name_epochs
from sharpwave.reactivation.position import Position
from sharpwave.reactivation.runs import Run, choose_runs, read_run
from sharpwave.recordings import MODALITIES, Recording, Signal

TRACKS = ((100.0, 300.0), (500.0, 700.0))


def make_two_tracks(*, seed: int = 0, n_units: int = 24) -> Recording:
    """Sleep in a box, a track along x, the box again, and a track along y with other fields; epochs name them all."""
    rng = np.random.default_rng(seed)
    one = run_to_and_fro(200.0)
    times, values, trains = [], [], {unit: [] for unit in range(n_units)}
    for start, axis in ((100.0, 0), (500.0, 1)):
        centres = rng.uniform(0, 2, n_units)
        rates = 0.1 + 15 * np.exp(-0.5 * ((one.values[:, 0] - centres[:, None]) / 0.15) ** 2)
        for unit, train in fire(rates, one.times, rng=rng).items():
            trains[unit].append(train + start)
        plane = np.full((len(one.times), 2), 0.5)
        plane[:, axis] = one.values[:, 0]
        times.append(one.times + start)
        values.append(plane + 0.005 * rng.normal(size=plane.shape))
    for start in (0.0, 350.0):
        rest = np.arange(0, 90, 1 / 30)
        times.append(rest + start)
        values.append(3 + 0.1 * np.sin(rest[:, None] * [1.0, 1.3]))
    order = np.argsort(np.concatenate(times))
    signal = Signal(
        "position", np.concatenate(values)[order], 30.0, MODALITIES["position"],
        times=np.concatenate(times)[order], channels=("x", "y"),
    )  # fmt: skip
    labels = ["sleep", "track1", "sleep", "track2"]
    events = pd.DataFrame(
        {"onset": [0.0, 100, 350, 500], "duration": [90.0, 200, 90, 200], "label": labels, "table": "epochs"}
    )
    support = nap.IntervalSet(0.0, 800.0)
    spikes = {unit: nap.Ts(np.sort(np.concatenate(train))) for unit, train in trains.items()}
    return Recording(
        signals={"position": signal}, spikes=nap.TsGroup(spikes, time_support=support), events=events, species="rat"
    )


@pytest.fixture(scope="module")
def recording() -> Recording:
    return make_two_tracks()


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("200-500", Run("", 200.0, 500.0)),
        ("-400.5-200", Run("", -400.5, 200.0)),
        ("-400--200", Run("", -400.0, -200.0)),
        ("track = 1-2", Run("track", 1.0, 2.0)),
        ("200–500", Run("", 200.0, 500.0)),
        ("track-1", "track-1"),
        ("run 2", "run 2"),
    ],
)
def test_runs_are_read_as_typed(text: str, run: Run | str) -> None:
    assert read_run(text) == run


def test_tracks_named_by_epochs_are_environments_of_their_own(recording: Recording) -> None:
    found = find_experience(recording)
    assert [(run.name, run.start, run.end) for run in found.runs] == [("track1", 100, 300), ("track2", 500, 700)]
    assert found.fields.contents == ("track1", "track2")
    assert {int(code) for code in found.fields.content} == {0, 1}
    assert found.fields.position.shape[1] == 1
    peaks = [found.fields.rates[:, found.fields.content == each].argmax(axis=1) for each in (0, 1)]
    assert abs(np.corrcoef(*peaks)[0, 1]) < 0.6  # the maps are not one another's


def test_what_lies_between_runs_is_rest(recording: Recording) -> None:
    found = find_experience(recording)
    events = pd.DataFrame({"onset": [50.0, 150, 400, 600, 750], "duration": 0.1})
    assert name_epochs(events, found).tolist() == ["before", "during", "rest", "during", "after"]


def test_runs_are_chosen_by_name_or_by_time(recording: Recording) -> None:
    assert find_experience(recording, run=["TRACK2"]).fields.contents == ("track2",)
    assert find_experience(recording, run=["100-300"]).fields.contents == ("track",)
    assert find_experience(recording, run=(100.0, 300.0)).fields.contents == ("track",)
    two = find_experience(recording, run=["500-700", "100-300"])
    assert [run.name for run in two.runs] == ["run 1", "run 2"]
    assert two.runs[0].start == 100
    one = find_experience(recording, run=["maze=100-200", "maze=200-300"])
    assert (len(one.runs), one.fields.contents) == (2, ("maze",))


def test_runs_that_are_not_there_are_refused(recording: Recording) -> None:
    with pytest.raises(SharpwaveError, match="the file names sleep, track1, track2"):
        find_experience(recording, run=["track3"])
    with pytest.raises(SharpwaveError, match="ends after it starts"):
        find_experience(recording, run=["300-100"])
    with pytest.raises(SharpwaveError, match="within the experience"):
        find_experience(recording, run=["100-300", "5000-6000"])


def test_epochs_without_running_or_with_one_run_are_none(recording: Recording) -> None:
    rest = Position(np.arange(0, 700, 0.5), np.zeros((1400, 2)))
    assert choose_runs(recording.events, rest, None) == []
    events = recording.events[recording.events["label"] != "track2"]
    path = run_to_and_fro(200.0)
    assert choose_runs(events, Position(path.times + 100, path.values), None) == []


def test_a_lag_moves_the_position(recording: Recording) -> None:
    moved = find_experience(recording, run=["98-298"], lag=2.0)
    assert moved.position is not None
    assert moved.position.times[0] == pytest.approx(-2.0)
    assert any("2 s were taken off" in note for note in moved.notes)
