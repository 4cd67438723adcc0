"""Sleep stages while they happen: YASA's classifier on the past alone, every five seconds on the last thirty.

What it says at t is made from samples up to t: the filter's right edge is mirrored, averages end at t, and the scale of
every feature is that of the hours before. Replace all that comes later by noise, and nothing changes.
A result takes some 30 ms, so it runs in a process of its own (`live.stage_process`); the loop sees its results with
their age.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import StageResult
from sharpwave.live.protocol import Protocol
from sharpwave.recordings import MODALITIES, Signal
from sharpwave.signals.staging import (
    EPOCH,
    LEAST_RATE,
    TYPICAL_UV,
    classify_newest,
    compute_staging_features,
)

EVERY = 5.0
"""Seconds between results."""
WINDOW = 60
"""Seconds of samples that are kept: the epoch, and what its filter needs before it."""
FIRST = 300.0
"""Seconds of signal before the first result: the classifier's scale needs them."""
MEMORY = 2 * 3600.0
"""Seconds of features that are kept."""
TYPICAL_LEAST_UV = 1e-3


@dataclass(frozen=True, eq=False)
class StagerState:
    """What is carried from chunk to chunk.

    Attributes:
        kinds: Kind of each channel that is kept: "eeg", then "eog" and "emg" where the protocol names them.
        columns: Their places among the channels of the stream.
        rate: Samples a second.
        every: Seconds between results.
        rescale: Whether the unit of the EEG is unknown; it is then scaled by the median of the hours before.
        raw: The last samples in V, shape (time, kind).
        heard: Samples so far, those that are missing too.
        next_index: Number of the sample that comes next.
        rows: Features of the last 30 s, at every result so far.

    >>> state = init_stager(Protocol("mine"))
    >>> _, state = step_stager(state, np.zeros((256, 1), np.float32), index=0, until=1.0)
    >>> state.heard, state.raw.shape
    (256, (256, 1))
    """

    kinds: tuple[str, ...]
    columns: tuple[int, ...]
    rate: float
    every: float
    rescale: bool
    raw: Float[np.ndarray, "time kind"]
    heard: int = 0
    next_index: int | None = None
    rows: tuple[dict[str, float] | None, ...] = ()


def init_stager(protocol: Protocol, *, every: float = EVERY, rescale: bool = False) -> StagerState:
    """The state before the first sample.

    Args:
        protocol: Protocol of the night: the first channel is the EEG; EOG and EMG where it names them.
        every: Seconds between results; must divide 30. 5 by default.
        rescale: Whether the unit of the EEG is unknown. No by default.

    Raises:
        SharpwaveError: If the rate is too low for the classifier, or `every` does not divide 30.

    >>> init_stager(Protocol("mine")).kinds
    ('eeg',)
    """
    signal = protocol.signal
    if signal.rate <= LEAST_RATE:
        raise SharpwaveError(
            f"a sampling rate above {LEAST_RATE:g} Hz for staging", got=f"{signal.rate:g} Hz", fix="take a higher rate"
        )
    if every <= 0 or abs(EPOCH / every - round(EPOCH / every)) > 1e-9:
        raise SharpwaveError("a time between results that divides 30 s", got=f"{every:g}", fix="take 5 s")
    named = [("eeg", signal.channels[0]), ("eog", signal.eog), ("emg", signal.emg)]
    if signal.emg and not signal.eog:
        named = named[:1]  # YASA has no classifier for EEG and EMG alone
    kept = [(kind, signal.channels.index(name)) for kind, name in named if name]
    kinds, columns = tuple(kind for kind, _ in kept), tuple(column for _, column in kept)
    return StagerState(kinds, columns, signal.rate, every, rescale, np.empty((0, len(kinds)), np.float32))


def step_stager(
    state: StagerState, samples: Float[np.ndarray, "time channel"], *, index: int, until: float
) -> tuple[tuple[StageResult, ...], StagerState]:
    """Take in samples, and tell the stage of the last 30 s where one is due.

    Args:
        state: State so far, from `init_stager` at first.
        samples: Samples in V, shape (time, channel).
        index: Number of the first, as the source counts; a gap counts as missing.
        until: Loop time of the last, in seconds.

    Returns:
        Results, mostly none, `made_at` as of the last sample; and the state for the next chunk.

    >>> results, state = step_stager(init_stager(Protocol("mine")), np.zeros((8, 1), np.float32), index=0, until=0.03)
    >>> results, state.heard
    ((), 8)
    """
    state, samples = _close_gap(state, samples[:, list(state.columns)], index)
    results = []
    due = round(state.every * state.rate)
    while len(samples):
        taken = min(len(samples), due - state.heard % due)
        part, samples = samples[:taken], samples[taken:]
        raw = np.concatenate((state.raw, part))[-round(WINDOW * state.rate) :]
        state = replace(state, raw=raw, heard=state.heard + taken)
        if state.heard % due == 0 and len(raw) >= EPOCH * state.rate:
            state = _add_row(state)
            probabilities = _classify(state)
            if probabilities is not None:
                heard_until = until - len(samples) / state.rate
                results.append(StageResult(until, heard_until, probabilities))
    return tuple(results), state


def _close_gap(state: StagerState, samples: np.ndarray, index: int) -> tuple[StagerState, np.ndarray]:
    """Missing samples as no numbers, samples that come again left out; a gap that is longer than the window is cut."""
    expected = index if state.next_index is None else state.next_index
    state = replace(state, next_index=max(expected, index + len(samples)))
    if index < expected:
        return state, samples[expected - index :]
    lost = min(index - expected, round(2 * WINDOW * state.rate))
    return state, np.concatenate((np.full((lost, samples.shape[1]), np.nan, np.float32), samples))


def _add_row(state: StagerState) -> StagerState:
    """The features of the last 30 s; None where too much is missing or nothing but a flat line came."""
    size = round(EPOCH * state.rate)
    epoch = state.raw[-size:]
    row: dict[str, float] | None = None
    known = np.isfinite(epoch).all(axis=1).mean() > 0.5 and bool(np.nanstd(epoch[:, 0]) > 0)
    if known:
        raw = state.raw[len(state.raw) % size :] if len(state.raw) < 2 * size else state.raw
        signals = {
            kind: Signal(kind, np.ascontiguousarray(raw[:, place]), state.rate, MODALITIES[kind])
            for place, kind in enumerate(state.kinds)
        }
        features, missing = compute_staging_features(signals)
        newest = {str(name): float(value) for name, value in features.iloc[-1].items()}
        row = None if missing[-1] or not np.isfinite(list(newest.values())).all() else newest
    most = round(MEMORY / state.every)
    return replace(state, rows=(*state.rows[1 - most :], row))


def _classify(state: StagerState) -> tuple[float, float, float, float, float] | None:
    """Probabilities of the newest epoch; None where it is missing or too little has been heard."""
    stride = round(EPOCH / state.every)
    rows = state.rows[::-1][::stride][::-1]
    known = [row for row in rows if row is not None]
    if state.heard < FIRST * state.rate or rows[-1] is None or len(known) < FIRST / EPOCH / 2:
        return None
    blank = dict.fromkeys(rows[-1], np.nan)
    table = pd.DataFrame([blank if row is None else row for row in rows])
    if state.rescale:
        _rescale(table, state)
    missing = np.array([row is None for row in rows])
    hours = state.heard / state.rate / 3600.0
    said = classify_newest(table, state.kinds, missing=missing, hours=hours)
    total = float(said.sum())
    return tuple(float(one) / total for one in said)  # type: ignore[return-value]


def _rescale(table: pd.DataFrame, state: StagerState) -> None:
    """Features that have a unit, as if the median epoch so far had the usual size."""
    sizes = [row["eeg_std"] for row in state.rows if row is not None]
    factor = TYPICAL_UV / max(float(np.median(sizes)), TYPICAL_LEAST_UV)
    for name, power in (("eeg_std", 1), ("eeg_iqr", 1), ("eeg_abspow", 2)):
        table[name] *= factor**power
