"""What the signals of a night say against it: no EEG, unlike other nights, or channels that contradict each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.night.prepare import GIVEN, PreparedNight
from sharpwave.night.trust import LEAST_AGREEMENT, SignalCheck
from sharpwave.recordings import Recording
from sharpwave.signals.pieces import split_channels
from sharpwave.signals.plausibility import Plausibility, measure_plausibility

MOST_OTHERS = 3
"""EEG channels that the staged one is compared with, at most."""
JUDGED = ("eeg", "heart_rate", "activity")
"""Modalities whose epochs are compared with all that the models have seen."""
HEART = "lightgbm-heart"
"""The stager of heart beats alone: whom it learned from is said with every night."""


def check_signals(prepared: PreparedNight) -> SignalCheck:
    """Look at the signals that were staged: at the picked EEG, at other EEG beside it, and at how unusual they are.

    Args:
        prepared: The night; where its stages came with it, nothing is checked.

    >>> from sharpwave.night.prepare import prepare_night
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> noise = np.random.default_rng(0).normal(0, 20e-6, 180_000)
    >>> recording = Recording({"C4-M1": Signal("C4-M1", noise, 100.0, MODALITIES["eeg"])}, species="human")
    >>> check_signals(prepare_night(recording, events=())).objection[:32]
    'C4-M1 looks like noise or hum: i'
    """
    if prepared.staging.stager == GIVEN:
        return SignalCheck()
    if prepared.staging.stager == HEART:
        return SignalCheck(None, (_describe_heart(prepared.staging.evidence),))
    recording, name = prepared.recording, prepared.picks.get("eeg")
    unlike = measure_unlike(prepared)
    if name is None or recording[name].modality.name != "eeg":
        return SignalCheck(unlike=unlike)
    mine = _measure(recording, name)
    if mine is None:
        return SignalCheck(unlike=unlike)
    unit_known = recording.metadata.get("amplitude_unit") not in ("unknown", "rescaled")
    objection = mine.find_objection(unit_known=unit_known)
    if objection is not None:
        return SignalCheck(f"{name} {objection}.", unlike=unlike)
    doubt = mine.find_doubt()
    doubts = [] if doubt is None else [f"{name} {doubt}."]
    return SignalCheck(None, (*doubts, *_compare_channels(recording, name, mine)), unlike)


def _describe_heart(evidence: pd.DataFrame) -> str:
    """What stages from heart beats alone are worth, and by whom they were learned."""
    known = evidence[evidence["metric"] == "kappa"] if len(evidence) else evidence
    how_well = "" if not len(known) else f", with κ {float(known['value'].iloc[0]):.2f} on others of them"
    return (
        "Wake and sleep are told from heart beats alone, as learned from a few men with sleep apnoea, some under CPAP"
        f"{how_well}: single epochs and latencies are rough, and REM cannot be told."
    )


def _measure(recording: Recording, name: str) -> Plausibility | None:
    return measure_plausibility(next(iter(split_channels(recording[name]).values())))


def _compare_channels(recording: Recording, name: str, mine: Plausibility) -> list[str]:
    """A sentence where most other EEG channels that can be EEG do not follow the staged one."""
    others = [other for other in recording.of("eeg") if other != name][:MOST_OTHERS]
    found = {other: _measure(recording, other) for other in others}
    values = {
        other: mine.correlate(measured)
        for other, measured in found.items()
        if measured is not None and measured.find_objection(unit_known=False) is None
    }
    values = {other: value for other, value in values.items() if np.isfinite(value)}
    if not values or float(np.median(list(values.values()))) >= LEAST_AGREEMENT:
        return []
    worst = min(values, key=lambda other: values[other])
    return [
        f"{name} and {worst} do not rise and fall together (correlation {values[worst]:.2f}): one of them is no EEG "
        "of this sleeper, or came off."
    ]


def measure_unlike(prepared: PreparedNight) -> float:
    """Share of the recorded epochs unlike anything that the shipped models have seen; NaN where that is not known."""
    try:
        from sharpwave.brainmu.epochs import epoch_recording
        from sharpwave.brainmu.explanation.out_of_distribution import load_out_of_distribution
        from sharpwave.brainmu.shipped import SHIPPED

        seen = prepared.seen
        staged = "eeg" if "eeg" in prepared.picks else None
        names = [name for name in JUDGED if seen.of(name) and (staged is None or name == staged)]
        if not names or prepared.recording.species not in ("human", "unknown"):
            return float("nan")
        piece = epoch_recording(replace(seen, hypnogram=None), modalities=names)
        table = load_out_of_distribution(SHIPPED).score(piece)
    except (SharpwaveError, ImportError):
        return float("nan")
    recorded = table["novelty"].notna()
    return float(table.loc[recorded, "abstain"].mean()) if recorded.any() else float("nan")
