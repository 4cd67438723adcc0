from __future__ import annotations

import numpy as np
import pytest

from sharpwave.simulation.scene import TRACK_LENGTH
from sharpwave.simulation.spikes import N_BINS, POSITION_RATE, simulate_run


def _order_scores(recording, truth, kind, direction=None):
    """Correlation of spike time with the place of the cell's field, signed by the replayed path."""
    table = truth.ripples[truth.ripples["kind"] == kind]
    if direction is not None:
        table = table[table["direction"] == direction]
    times = [recording.spikes[unit].index.values for unit in recording.spikes.index]
    contents = recording.metadata["contents"]
    scores = []
    for event in table.itertuples():
        maps = truth.cells.maps[:, contents.index(event.content), int(event.run_direction == "inbound")]
        where, when = [], []
        for unit in np.flatnonzero(maps.max(axis=1) > 2):
            inside = times[unit][(times[unit] >= event.onset) & (times[unit] < event.onset + event.duration)]
            when.extend(inside)
            where.extend([maps[unit].argmax() / N_BINS * TRACK_LENGTH] * len(inside))
        if len(set(where)) >= 4:
            scores.append(np.corrcoef(when, where)[0, 1] * np.sign(event.position_end - event.position_start))
    return np.array(scores)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_replays_run_along_the_track_in_order(mouse_night, direction):
    scores = _order_scores(*mouse_night, "replay", direction)
    assert len(scores) > 20
    assert scores.mean() > 0.5


def test_shuffled_decoys_have_no_order(mouse_night):
    scores = _order_scores(*mouse_night, "shuffled")
    assert abs(scores.mean()) < 0.2


def test_forward_replay_runs_as_the_animal_ran_and_reverse_the_other_way(mouse_night):
    _, truth = mouse_night
    table = truth.reactivations
    rising = table["position_end"] > table["position_start"]
    outbound = table["run_direction"] == "outbound"
    assert ((rising == outbound) == (table["direction"] == "forward")).all()


def test_replays_are_much_faster_than_running(mouse_night):
    _, truth = mouse_night
    assert 5 < truth.reactivations["speed"].median() < 11  # about 8 m/s, Davidson et al. 2009


def test_cells_fire_in_their_fields_on_the_track(mouse_night):
    recording, truth = mouse_night
    position = recording["position"]
    start, end = recording.metadata["task"]
    laps = truth.laps
    hits = []
    for unit in range(len(recording.spikes)):
        maps = truth.cells.maps[unit]
        times = recording.spikes[unit].index.values
        for track, content in enumerate(recording.metadata["contents"]):
            for direction, name in enumerate(("outbound", "inbound")):
                if maps[track, direction].max() < 8:
                    continue
                own = laps.loc[(laps["content"] == content) & (laps["run_direction"] == name)]
                inside = np.concatenate(
                    [times[(times >= o) & (times < o + d)] for o, d in own[["onset", "duration"]].to_numpy()] or [[]]
                )
                sample = ((inside - start) * POSITION_RATE).astype(int)
                where = position.read()[np.clip(sample, 0, len(position) - 1)]
                peak = (maps[track, direction].argmax() + 0.5) / N_BINS * TRACK_LENGTH
                hits.extend(np.abs(where - peak) < 0.3)
    assert end > start
    assert np.mean(hits) > 0.8


def test_rates_are_log_normal_like(mouse_night):
    recording, _ = mouse_night
    logs = np.log(recording.spikes.rates)
    assert 0.3 < logs.std() < 1.5
    assert recording.spikes.rates.mean() > np.median(recording.spikes.rates)


def test_every_content_has_its_laps_in_both_directions():
    run = simulate_run((10.0, 370.0), contents=("aversive", "neutral"), rng=np.random.default_rng(0))
    counts = run.laps.groupby(["content", "run_direction"]).size()
    assert len(counts) == 4
    assert counts.min() >= 5
    assert run.laps["onset"].min() >= 10.0
    assert run.position.min() >= 0
    assert run.position.max() <= TRACK_LENGTH + 1e-6
