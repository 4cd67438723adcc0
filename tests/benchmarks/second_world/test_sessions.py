"""Sessions of the second world: the truth that they declare is in their spikes, and no code of the first world is."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

from sharpwave.benchmarks.second_world import firing, options, sessions
from sharpwave.benchmarks.second_world.sessions import KINDS, SessionOptions, draw_lfp, draw_session, to_recording
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.place_fields import make_fields
from sharpwave.reactivation.state_space import decode_events


def test_it_shares_no_code_with_the_first_world() -> None:
    trees = [ast.parse(inspect.getsource(module)) for module in (firing, options, sessions)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if "simulation" in name]


def test_replays_go_where_the_truth_says(rng: np.random.Generator) -> None:
    chosen = SessionOptions(before=5, run=60, after=120, mix={"replay": 1.0}, jump=0.0, event_rate=1.0, n_cells=80)
    session = draw_session(chosen, rng=rng)
    events = session.events[session.events["kind"] == "replay"].reset_index(drop=True)
    fields = make_fields(session.fields.reshape(80, -1), tuple(range(80)))
    binned = bin_events(dict(enumerate(session.spikes)), events, bin_size=0.01)
    which = np.array([len(binned.of(event)) // 2 for event in range(len(binned))]) + binned.offsets[:-1]
    likelihood = binned.counts[which] @ np.log(fields.rates) - 0.05 * fields.rates.sum(axis=0)
    width = 2 * session.track_length / fields.rates.shape[1]
    found = likelihood.argmax(axis=1) * width % session.track_length
    middle = (events["path_start"] + events["path_end"]) / 2
    assert np.median(np.abs(found - middle)) < 0.15
    assert events["speed"].abs().between(2.99, 20.01).all()
    np.testing.assert_allclose(
        (events["path_end"] - events["path_start"]) / events["duration"], events["speed"], rtol=0.1
    )
    assert set(events["direction"]) == {0, 1}
    assert {np.sign(speed) for speed in events["speed"]} == {-1, 1}
    assert len(decode_events(binned, fields).table) == len(events)


def test_each_kind_is_drawn_and_bursts_are_refractory(rng: np.random.Generator) -> None:
    session = draw_session(SessionOptions(before=20, run=60, after=200, mix=dict.fromkeys(KINDS, 1.0)), rng=rng)
    events, after = session.events, session.events["onset"] > session.task[1]
    assert set(events["kind"][after]) == set(KINDS)
    assert set(events["kind"][~after]) == {"random"}
    assert (events["direction"] >= 0).equals(events["path_start"].notna())
    intervals = np.concatenate([np.diff(train) for train in session.spikes])
    assert intervals.min() >= 0.002
    assert 0.1 < (intervals < 0.0095).mean() < 0.6
    assert all((np.diff(train) > 0).all() for train in session.spikes)
    assert not (events["onset"].between(*session.task)).any()


def test_recording_and_lfp_hold_the_session(rng: np.random.Generator) -> None:
    session = draw_session(SessionOptions(n_cells=20, before=20, run=30, after=20), rng=rng)
    recording = to_recording(session, lfp=draw_lfp(session, rng=rng))
    assert recording.spikes is not None
    assert len(recording.spikes) == 20
    assert recording.signals["lfp"].duration == pytest.approx(session.end, abs=0.01)
    assert recording.signals["position"].start == session.task[0]
    assert np.abs(session.speed).max() < 2


def test_an_unknown_kind_is_explained() -> None:
    with pytest.raises(SharpwaveError, match="stationary"):
        SessionOptions(mix={"sleepy": 1.0})
