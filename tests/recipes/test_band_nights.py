"""Sleep-EDF's nights of band power, the epochs that lend them their inside, and machines' histories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.nights import simulate_short_night

from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.recipes.band_nights import MARGIN, collect_templates, load_band_nights, take_bands, take_epochs
from sharpwave.recipes.sources import Forecasting, MachineHistories, stage_by
from sharpwave.recordings.datasets.sleep_edf_bands import BANDS, make_signals
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording


def make_banded(stages: np.ndarray, unit: str = "log10 µV²/Hz") -> Recording:
    values = np.repeat(np.arange(len(stages), dtype=np.float32)[:, None, None], 5, axis=2).repeat(2, axis=1)
    return Recording(
        signals=make_signals(values, ("EEG Fpz-Cz", "EOG"), tuple(BANDS)),
        hypnogram=Hypnogram(stages.astype(np.int8)),
        subject="SC400",
        source="sleep-edf-bands/SC4001",
        metadata={"bands": BANDS, "unit": unit},
    )


def test_the_wake_of_the_day_is_cut() -> None:
    stages = np.zeros(500)
    stages[200:250] = 2
    night = take_bands(make_banded(stages))
    assert night is not None
    assert len(night) == 50 + 2 * MARGIN
    assert night.log_power[0, 0, 0] == 200 - MARGIN
    assert night.channels == ("EEG Fpz-Cz",)
    assert (night.stages > 0).sum() == 50
    relative = take_bands(make_banded(stages, "log10 of relative power"))
    assert relative is not None
    np.testing.assert_allclose(relative.log_power - night.log_power, 2.2)
    assert take_bands(make_banded(np.zeros(5))) is None


def test_templates_are_epochs_of_their_stage() -> None:
    night = epoch_recording(simulate_short_night()[0], modalities=("eeg",), cohort="simulated-human")
    every = replace(night, stages=np.arange(len(night)).astype(np.int8) % 5)
    power, stages = take_epochs(every)
    templates = collect_templates([every], [every])
    assert set(templates.power) == set(range(5))
    np.testing.assert_array_equal(templates.power[3][: (stages == 3).sum()], power[stages == 3])
    assert abs(templates.weights[3].sum() - 1) < 1e-9


def make_staged(subject: str = "pid-1") -> Recording:
    truth = np.array([0, 0, 1, 2, 2, 3, 3, 4, 4, 0] * 4, dtype=np.int8)
    late = np.roll(truth, 1)
    machines = {"psg_network": Hypnogram(truth), "headband_network": Hypnogram(late)}
    return Recording(hypnogram=Hypnogram(truth), subject=subject, metadata={"machines": machines})


def test_history_is_the_machines_and_the_target_the_experts() -> None:
    night = make_staged()
    seen = stage_by(night, night.metadata["machines"]["headband_network"])
    np.testing.assert_array_equal(seen.stages, night.hypnogram.stages)
    np.testing.assert_array_equal(
        seen.epochs["stages"].values[1:, 0, :5].argmax(axis=1), np.asarray(night.hypnogram.stages)[:-1]
    )


def test_machines_and_experts_are_both_shown_and_people_left_out() -> None:
    source = MachineHistories([make_staged()], experts=0.5)
    same = []
    for seed in range(40):
        piece = source.draw(np.random.default_rng(seed), 20)
        same.append(np.array_equal(piece.epochs["stages"].values[:, 0, :5].argmax(axis=1), piece.stages))
    assert 0 < np.mean(same) < 1
    forecasting = Forecasting({}, (), [make_staged(), make_staged("pid-2")]).without({"boas/pid-1"})
    assert forecasting.subjects == ["boas/pid-2"]


def test_people_left_out_are_in_no_set(data_root: Path) -> None:
    nights = load_band_nights(data_root, leave_out=["SC400"])
    assert "SC400" not in {night.subject for night in nights}
    by_set = {name: {n.subject for n in nights if n.cohort == name} for name in {n.cohort for n in nights}}
    if len(by_set) == 2:
        assert not set.intersection(*by_set.values())
