from __future__ import annotations

import numpy as np

from sharpwave.simulation import Effects, Nuisance, simulate_night


def test_heart_rate_is_lower_in_nrem_than_in_rem(human_night):
    recording, truth = human_night
    rate, stage = recording["heart_rate"].read(), truth.hypnogram.stages
    assert rate[np.isin(stage, (2, 3))].mean() < rate[stage == 4].mean() < rate[stage == 0].mean()


def test_infraslow_rhythm_drives_the_heart_in_human_n2_alone(human_night):
    recording, truth = human_night
    rate, stage = recording["heart_rate"].read(), truth.hypnogram.stages
    wave = np.cos(truth.per_second["infraslow"].to_numpy())
    n2 = (stage == 2) & ~truth.per_second["arousing"].to_numpy()
    in_n2, in_n3 = (np.corrcoef(wave[part], rate[part])[0, 1] for part in (n2, stage == 3))
    assert in_n2 < -0.2
    assert abs(in_n3) < abs(in_n2) / 2


def test_sleepers_move_less_the_deeper_they_sleep(human_night):
    recording, truth = human_night
    moving, stage = recording["activity"].read() > 0, truth.hypnogram.stages
    assert moving[stage == 0].mean() > 5 * moving[stage == 2].mean()
    assert moving[stage == 2].mean() > moving[stage == 3].mean()


def test_memory_gains_by_reactivation_only_where_planted():
    def gains(effects):
        nights = [
            simulate_night(hours=3.0, rng=np.random.default_rng(seed), effects=effects, modalities=())[1]
            for seed in range(4)
        ]
        return [t.memory["after"] - t.memory["before"] for t in nights], [len(t.reactivations) for t in nights]

    plain, n = gains(Effects())
    gained, _ = gains(Effects(memory_gain=5.0))
    expected = np.minimum(np.array(plain) + 0.05 * np.array(n), 100)
    assert np.all(np.array(gained) >= np.array(plain) - 1e-9)
    assert np.corrcoef(gained, expected)[0, 1] > 0.8


def test_artefacts_can_be_switched_off_and_a_lost_channel_goes_flat():
    _, clean = simulate_night(hours=1.0, rng=np.random.default_rng(0), nuisance=Nuisance.none(), modalities=())
    assert clean.artefacts.empty
    recording, truth = simulate_night(
        hours=1.0, rng=np.random.default_rng(0), nuisance=Nuisance(electrode_loss=1.0), modalities=("eeg",)
    )
    lost = truth.artefacts.query("label == 'lost' and channel == 'C4-M1'").iloc[0]
    inside = recording["C4-M1"].read(lost["onset"] + 1, lost["onset"] + lost["duration"] - 1)
    assert inside.std() < 0.15 * recording["C4-M1"].read().std()
