"""What found events replay, and which bursts are replays by the state-space model alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import score_sequences
from sharpwave.reactivation.significance import compute_p_values
from sharpwave.reactivation.state_space import decode_events
from sharpwave.recordings.recording import Recording

BIN = 0.005
"""Seconds."""
N_SURROGATES, ALPHA = 300, 0.05


def read_contents(recording: Recording, events: pd.DataFrame, fields: PlaceFields) -> pd.DataFrame:
    """The events with `content` and `direction` ("forward", "reverse") as the state-space decoder reads them.

    A replay is forward where its path runs as the animal did when the map was made.

    Args:
        recording: With spikes.
        events: onset and duration in s.
        fields: Place fields on tracks, told apart by running direction.
    """
    if not len(events):
        return events.assign(content="", direction="")
    table = decode_events(bin_events(recording.spikes, events, bin_size=BIN, units=fields.units), fields).table
    forward = (table["path_end"] > table["path_start"]) == (table["direction"] == 0)
    return events.assign(
        content=table["content"].to_numpy(), direction=np.where(forward, "forward", "reverse")
    ).reset_index(drop=True)


def detect_by_state_space(
    recording: Recording, candidates: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Candidates that a continuous path explains better than after exchanging the cells.

    Args:
        recording: With spikes.
        candidates: From `find_rippled_bursts`.
        fields: What the units fire where.
        rng: For the exchange of cells.

    Returns:
        onset, duration (s), content, direction, p.
    """
    if not len(candidates):
        return read_contents(recording, candidates, fields).assign(p=1.0)
    binned = bin_events(recording.spikes, candidates, bin_size=BIN, units=fields.units)
    observed, surrogates = score_sequences(binned, fields, n_surrogates=N_SURROGATES, rng=rng).of("trajectory")
    p = compute_p_values(observed, surrogates)
    return read_contents(recording, candidates.assign(p=p)[p < ALPHA], fields)
