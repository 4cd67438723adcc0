"""Who stages a night: YASA and Brainµ together for human EEG, and the best validated method for everything else.

>>> list(STAGERS)[:2]
['yasa+brainmu', 'yasa']
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import describe_unknown
from sharpwave.recordings.recording import Recording
from sharpwave.staging.contract import Stager

STAGERS: dict[str, str] = {
    "yasa+brainmu": "mean_stager.MeanStager",
    "yasa": "yasa_stager.YasaStager",
    "yasa-resampled": "yasa_stager.YasaResampledStager",
    "lightgbm-lfp": "lightgbm_stagers.LfpStager",
    "lightgbm-wearable": "lightgbm_stagers.WearableStager",
    "rodent": "rodent.RodentStager",
    "brainmu": "brainmu_stager.BrainMuStager",
    "lightgbm-heart": "heart_stager.HeartStager",
    "hmm": "hidden_markov.HiddenMarkovStager",
}
"""Stagers by name, in the order in which they are asked: better validated first, then the last resort."""

YOUNGEST: dict[str, float] = {
    "yasa+brainmu": 18.0,
    "yasa": 5.0,
    "yasa-resampled": 5.0,
    "lightgbm-lfp": 18.0,
    "lightgbm-wearable": 18.0,
    "lightgbm-heart": 18.0,
    "brainmu": 18.0,
}
"""Age in years of the youngest people that a stager learned from; younger ones are staged by it only where it is named.
YASA's classifier learned from people of 5 to 94 years (Vallat & Walker 2021), all others from adults."""

OWN_WEIGHTS = ("yasa+brainmu", "brainmu")
"""Stagers that take a user's own weights."""

__all__ = ["STAGERS", "YOUNGEST", "Stager", "choose_stager", "describe_too_young", "load_stager"]


def load_stager(name: str, *, weights: Path | None = None) -> Stager:
    """The stager of this name.

    Args:
        name: Key of `STAGERS`.
        weights: Folder of a user's own weights, for those in `OWN_WEIGHTS`.

    Raises:
        SharpwaveError: If there is none.

    >>> load_stager("rodent").name
    'rodent'
    """
    if name not in STAGERS:
        raise SharpwaveError(f"a stager among {', '.join(STAGERS)}", got=repr(name), fix="see docs/staging.md")
    module, _, class_name = STAGERS[name].partition(".")
    kind = getattr(import_module(f"{__name__}.{module}"), class_name)
    stager: Stager = kind(weights) if name in OWN_WEIGHTS else kind()
    return stager


def describe_too_young(name: str, recording: Recording) -> str | None:
    """Why a stager does not stage someone of this age unless it is named; None where it does, or no age is known.

    Args:
        name: Key of `STAGERS`.
        recording: Recording whose metadata may hold the age in years.

    >>> describe_too_young("brainmu", Recording(metadata={"age": 8.0}))
    'the sleeper is 8 years old, and it learned from people of 18 and more'
    >>> describe_too_young("yasa", Recording(metadata={"age": 8.0}))
    """
    age, youngest = recording.metadata.get("age"), YOUNGEST.get(name, 0.0)
    if not isinstance(age, int | float) or not age < youngest or recording.species not in ("human", "unknown"):
        return None
    return f"the sleeper is {age:.2g} years old, and it learned from people of {youngest:g} and more"


def choose_stager(
    recording: Recording, picks: Mapping[str, str], *, name: str | None = None, weights: Path | None = None
) -> tuple[Stager, list[str]]:
    """The stager of this name, or the first in `STAGERS` that accepts the recording.

    Args:
        recording: Recording to stage.
        picks: Signal name by role ("eeg", "eog", "emg"), as from `pick_channels`.
        name: Key of `STAGERS`, where the user has chosen.
        weights: Folder of a user's own weights, for those in `OWN_WEIGHTS`.

    Returns:
        The stager, and why each one before it refused ("yasa: no EEG channel").

    Raises:
        SharpwaveError: If none accepts, or the chosen one does not.

    >>> import numpy as np
    >>> from sharpwave.simulation import simulate_night
    >>> recording, _ = simulate_night("mouse", 1.0, rng=np.random.default_rng(0), modalities=("eeg", "emg"))
    >>> stager, refusals = choose_stager(recording, {"eeg": "EEG", "emg": "EMG"})
    >>> stager.name, refusals[0]
    ('rodent', 'yasa+brainmu: the subject is a mouse; its classifier knows human EEG only')
    """
    refusals: list[str] = []
    for candidate in STAGERS if name is None else [name]:
        stager = load_stager(candidate, weights=weights)
        reason = stager.accepts(recording, picks)
        if reason is None and name is None and candidate == "brainmu" and not {"eeg", "lfp"} & {*recording.modalities}:
            reason = "without EEG or LFP it stages only where it is named, for others do better from the wrist"
        if reason is None and name is None:
            reason = describe_too_young(candidate, recording)
        if reason is None:
            return stager, refusals
        refusals.append(f"{candidate}: {reason}")
    if name is not None:
        raise SharpwaveError(
            f"a recording that {name} can stage", got=refusals[0], fix="leave --stager out, or choose another"
        )
    if recording.of("other") and not {"eeg", "lfp"} & {*recording.modalities}:
        listed, fix = describe_unknown(recording)
        raise SharpwaveError("signals that some stager can use", got=f"the channels {listed}", fix=fix)
    modalities = ", ".join(recording.modalities)
    raise SharpwaveError(
        "signals that some stager can use",
        got=f"{recording.duration / 60:.0f} min of {modalities}" if modalities else "no signal at all",
        fix="give ten minutes or more of EEG, LFP, heart beats, heart rate or activity, or stages with --stages",
    )
