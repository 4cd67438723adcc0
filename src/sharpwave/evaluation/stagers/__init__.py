"""Who stages a night: YASA for adult human EEG, and the best validated baseline for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.stagers.contract import Stager
from sharpwave.recordings.recording import Recording

STAGERS: dict[str, str] = {
    "yasa": "yasa_stager.YasaStager",
    "yasa-resampled": "yasa_resampled.YasaResampledStager",
    "lightgbm-lfp": "lightgbm_lfp.LfpStager",
    "lightgbm-wearable": "lightgbm_wearable.WearableStager",
    "rodent": "rodent.RodentStager",
    "hmm": "hidden_markov.HiddenMarkovStager",
}
"""Stagers by name, in the order in which they are asked: better validated first, the last resort last."""

__all__ = ["STAGERS", "Stager", "choose_stager", "load_stager"]


def load_stager(name: str) -> Stager:
    """The stager of this name.

    Raises:
        SharpwaveError: If there is none.
    """
    if name not in STAGERS:
        raise SharpwaveError(f"a stager among {', '.join(STAGERS)}", got=repr(name), fix="see docs/staging.md")
    module, _, class_name = STAGERS[name].partition(".")
    stager: Stager = getattr(import_module(f"{__name__}.{module}"), class_name)()
    return stager


def choose_stager(recording: Recording, picks: Mapping[str, str]) -> tuple[Stager, list[str]]:
    """The first stager in `STAGERS` that accepts the recording.

    Args:
        recording: What was recorded.
        picks: Signal name by role ("eeg", "eog", "emg"), as from `pick_channels`.

    Returns:
        The stager, and why each one before it refused ("yasa: no EEG channel").

    Raises:
        SharpwaveError: If none accepts.
    """
    refusals: list[str] = []
    for name in STAGERS:
        stager = load_stager(name)
        reason = stager.accepts(recording, picks)
        if reason is None:
            return stager, refusals
        refusals.append(f"{name}: {reason}")
    raise SharpwaveError(
        "signals that some stager can use",
        got=", ".join(recording.modalities) or "no signal at all",
        fix="give ten minutes or more of EEG, LFP, heart rate or activity, or your own stages with --stages",
    )
