"""Which series is the place of the animal, and which frames hold one: the right one, whatever lies beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.nwb_files import add_series, add_units, fire, open_nwb, run_to_and_fro

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.position import Position, find_runs, get_position, linearise
from sharpwave.reactivation.tracking import choose_position, mark_lost
from sharpwave.recordings.readers.nwb import read_nwb

TIMES, PLACES = run_to_and_fro(300.0, 600.0)
ANGLE = np.mod(np.cumsum(np.random.default_rng(1).normal(0, 0.1, len(TIMES))), 2 * np.pi)
N_RUNS = len(find_runs(linearise(Position(TIMES, PLACES))))


def read(path: Path, *series: tuple, spikes: bool = True):
    """A session with series given as (place, values, attributes)."""
    with open_nwb(path) as file:
        if spikes:
            add_units(file, fire(3, 900.0))
        for place, values, how in series:
            add_series(file, place, values, **{"times": TIMES, **how})
    return read_nwb(path)


@pytest.mark.parametrize(
    ("unit", "factor", "conversion"),
    [
        ("meters", 1, 1), ("metres", 1, 1), ("m", 1, 1), ("centimeters", 100, 1), ("cm", 100, 1), ("mm", 1000, 1),
        ("millimetres", 1000, 1), ("inches", 1 / 0.0254, 1), ("meters", 100, 0.01), ("Centimetre", 1000, 0.1),
    ],
)  # fmt: skip
def test_units_in_words_are_lengths(tmp_path: Path, unit: str, factor: float, conversion: float) -> None:
    recording = read(
        tmp_path / "a.nwb",
        ("processing/behavior/SpatialSeries", PLACES * factor, {"unit": unit, "conversion": conversion}),
    )
    position = get_position(recording)
    assert (position.unit, position.notes) == ("m", ())
    np.testing.assert_allclose(position.values, PLACES, atol=1e-6)
    assert not any("unit" in said for said in recording.repairs)


@pytest.mark.parametrize(("unit", "factor"), [("pixels", 300), ("px", 300), ("meters", 300), ("a.u.", 7), ("m", 0.01)])
def test_a_scale_that_is_not_known_or_cannot_be_is_that_of_a_track_of_2_m(
    tmp_path: Path, unit: str, factor: float
) -> None:
    recording = read(tmp_path / "a.nwb", ("processing/behavior/Position/p", PLACES * factor, {"unit": unit}))
    position = get_position(recording)
    assert position.unit != "m"
    assert len(find_runs(linearise(position))) == N_RUNS
    assert any("track 2 m long" in said for said in position.notes)


@pytest.mark.parametrize(
    ("place", "values", "unit"),
    [
        ("processing/behavior/Position/a_head_angle", ANGLE, "radians"),
        ("processing/behavior/Position/a_rotation", np.degrees(ANGLE), "degrees"),
        ("processing/behavior/CompassDirection/a", ANGLE, "n/a"),
        ("processing/behavior/Position/a_heading", ANGLE, "unknown"),
        ("processing/behavior/Position/a_speed", ANGLE, "m/s"),
        ("acquisition/EyeTracking/eye_position", np.c_[ANGLE, ANGLE], "cm"),
        ("processing/behavior/wheel_position", ANGLE, "m"),
    ],
)
def test_angles_and_speeds_are_no_places(tmp_path: Path, place: str, values: np.ndarray, unit: str) -> None:
    recording = read(
        tmp_path / "a.nwb", (place, values, {"unit": unit}), ("processing/behavior/Position/xy", PLACES, {"unit": "m"})
    )
    assert list(recording.of("position")) == ["xy"]
    np.testing.assert_allclose(get_position(recording).values, PLACES)


def test_the_unit_is_that_of_the_series_that_is_chosen(tmp_path: Path) -> None:
    recording = read(
        tmp_path / "a.nwb",
        ("processing/behavior/camera/SpatialSeries", PLACES * 300, {"unit": "pixels"}),
        ("processing/tracking/Position/SpatialSeries", PLACES * 100, {"unit": "cm"}),
    )
    position = get_position(recording)
    assert position.unit == "m"
    np.testing.assert_allclose(position.values, PLACES, atol=1e-6)
    assert any("choose with --position" in said for said in position.notes)
    other = next(name for name in recording.of("position") if f"{name}_unit" in recording.metadata)
    assert get_position(choose_position(recording, other)).unit == "pixels"


def test_series_of_epochs_are_joined_and_those_beside_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    box = [np.arange(low, low + 250, 1 / 40) for low in (0.0, 620.0)]
    resting = [rng.normal([0.3, 1.5], 0.02, (len(times), 2)) for times in box]
    recording = read(
        tmp_path / "a.nwb",
        ("processing/behavior/Position/series_0", resting[0], {"times": box[0], "unit": "m"}),
        ("processing/behavior/Position/series_2", resting[1], {"times": box[1], "unit": "m"}),
        ("processing/behavior/Position/series_1", PLACES, {"unit": "m"}),
        ("processing/behavior/linearized_position", PLACES[:, 0], {"unit": "m", "kind": "TimeSeries"}),
    )  # fmt: skip
    position = get_position(recording)
    assert len(position.times) == len(TIMES) + sum(map(len, box))
    assert (np.diff(position.times) > 0).all()
    assert position.notes[0].endswith("joined: series_0, series_1, series_2.")
    assert "linearized_position" in position.notes[1]
    runs = find_runs(linearise(position))
    assert len(runs) == N_RUNS
    assert runs["onset"].between(299, 600).all()


def test_a_time_series_called_position_is_one_and_any_can_be_named(tmp_path: Path) -> None:
    recording = read(
        tmp_path / "a.nwb",
        ("processing/behavior/BehavioralTimeSeries/position", PLACES[:, 0], {"unit": "m", "kind": "TimeSeries"}),
        ("processing/behavior/nose", PLACES * 100, {"unit": "cm", "kind": "PoseEstimationSeries"}),
    )
    assert list(recording.of("position")) == ["position"]
    nose = get_position(choose_position(recording, "Nose"))
    np.testing.assert_allclose(nose.values, PLACES, atol=1e-6)
    with pytest.raises(SharpwaveError, match=r"--position with one of the series .*nose"):
        choose_position(recording, "tail")


@pytest.mark.parametrize("names", [("x", "y"), ("position_x", "position_y"), ("X_pos", "Y_pos")])
def test_a_series_for_each_axis_is_one_position(tmp_path: Path, names: tuple[str, str]) -> None:
    """A track that runs along y: x alone would be no track."""
    recording = read(
        tmp_path / "a.nwb",
        *[
            (f"processing/behavior/BehavioralTimeSeries/{name}", values * 100, {"unit": "cm", "kind": "TimeSeries"})
            for name, values in zip(names, PLACES[:, ::-1].T, strict=True)
        ],
    )
    position = get_position(recording)
    np.testing.assert_allclose(position.values, PLACES[:, ::-1])
    assert len(find_runs(linearise(position))) == N_RUNS


def test_two_lights_are_one_place_and_a_height_is_left_out(tmp_path: Path) -> None:
    lights = np.c_[PLACES + 0.05, PLACES - 0.05]
    lights[100:110, :2] = np.nan
    recording = read(tmp_path / "a.nwb", ("processing/behavior/position", lights, {"unit": "m"}))
    expected = PLACES.copy()
    expected[100:110] -= 0.05
    np.testing.assert_allclose(get_position(recording).values, expected)
    high = read(tmp_path / "b.nwb", ("processing/behavior/position", np.c_[PLACES, PLACES[:, 0]], {"unit": "m"}))
    assert get_position(high).dimension == 2


@pytest.mark.parametrize("mark", [-1.0, 0.0, 1023.0, 1e9, 7.25])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_marks_of_a_lost_animal_are_left_out_and_counted(mark: float, share: float) -> None:
    places = PLACES * 200 + 40
    lost = np.random.default_rng(2).random(len(places)) < share
    values = places.copy()
    values[lost] = mark
    found, counts = mark_lost(values)
    assert (found.all(axis=1) == lost).mean() > 0.999
    assert sum(counts.values()) == lost.sum()


def test_a_long_loss_and_marks_in_scaled_units_are_seen(tmp_path: Path) -> None:
    values = np.rint(PLACES * 200 + 40)
    values[2000:5000] = -1
    values[7000] = 1e9
    recording = read(tmp_path / "a.nwb", ("processing/behavior/Position/p", values, {"unit": "m", "conversion": 0.005}))
    position = get_position(recording)
    assert len(position.times) == len(TIMES) - 3001
    assert any("(3000 of 12000) hold -1" in said for said in position.notes)
    assert np.ptp(position.values[:, 0]) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("scale", [1.0, 100.0, 37.0])
def test_where_an_animal_rests_is_no_mark(scale: float) -> None:
    """It rests at exactly 0 and at the far end, in whole pixels too, and passes every place."""
    legs = [(0, 2), (2, 2), (2, 0), (0, 0)] * 10
    path = np.concatenate([np.linspace(start, end, 150) for start, end in legs]) * scale
    for values in (path, np.rint(path), path - scale):
        assert not mark_lost(values[:, None])[0].any()


def test_spikes_and_position_without_a_common_time_are_told(tmp_path: Path) -> None:
    recording = read(
        tmp_path / "a.nwb", ("processing/behavior/Position/p", PLACES, {"unit": "m", "times": TIMES + 5000})
    )
    with pytest.raises(SharpwaveError, match=r"one clock.*spikes from 0.* position from 5300"):
        get_position(recording)
    frames = np.arange(float(len(TIMES)))
    recording = read(tmp_path / "b.nwb", ("processing/behavior/Position/p", PLACES, {"unit": "m", "times": frames}))
    with pytest.raises(SharpwaveError, match=r"up to 11999 where spikes end at 89\d.*numbers of frames.*frame rate"):
        get_position(recording)


def test_frames_without_a_value_are_counted(tmp_path: Path) -> None:
    values = PLACES.copy()
    values[::4] = np.nan
    position = get_position(read(tmp_path / "a.nwb", ("processing/behavior/Position/p", values, {"unit": "m"})))
    assert position.notes == ("Position: 25 % of the frames (3000 of 12000) have no value.",)
    assert isinstance(find_runs(linearise(position)), pd.DataFrame)
