"""Decoded nights to write pages of: one like a real night, and the odd ones that break pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight, ForecastEvaluation, Provenance, ReactivationEffects, Spectrogram
from sharpwave.recordings import Hypnogram

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"
_CYCLE = [("N1", 4), ("N2", 30), ("N3", 40), ("N2", 18), ("W", 2), ("N2", 14), ("R", 26), ("N1", 3)]
_SIGMA = {"W": 0.0, "N1": 1.0, "N2": 7.0, "N3": 4.0, "R": 0.5}
_SLOW = {"W": 0.0, "N1": 3.0, "N2": 8.0, "N3": 16.0, "R": 2.0}


def _simulate_stages(epochs: int, rng: np.random.Generator) -> np.ndarray:
    names = ("W", "N1", "N2", "N3", "R")
    stages = ["W"] * int(rng.integers(15, 30))
    cycle = 0
    while len(stages) < epochs:
        for name, length in _CYCLE:
            weight = {"N3": max(1.4 - 0.35 * cycle, 0.1), "R": 0.5 + 0.3 * cycle}.get(name, 1.0)
            stages += [name] * int(rng.gamma(8, length * weight / 8) + 0.5)
            if name == "N2" and rng.random() < 0.4:
                stages += ["W"] + ["N1"] * 2 + ["N2"] * int(rng.integers(3, 15))
        cycle += 1
    return np.array([names.index(name) for name in stages[:epochs]], dtype=np.int8)


def _soften(stages: np.ndarray, n_stages: int, rng: np.random.Generator) -> np.ndarray:
    near = np.stack([np.convolve(stages == code, np.ones(5) / 5, mode="same") for code in range(n_stages)], axis=1)
    doubt = rng.beta(1, 4, (len(stages), 1)) * rng.gamma(0.6, 1.0, (len(stages), n_stages))
    weights = 0.4 * np.eye(n_stages)[stages] + 0.6 * near + doubt
    return weights / weights.sum(axis=1, keepdims=True)


def make_night(*, hours: float = 8.0, epoch_length: float = 30.0, seed: int = 0) -> DecodedNight:
    """A night with every section filled."""
    rng = np.random.default_rng(seed)
    epochs = int(hours * 3600 / epoch_length)
    stages = _simulate_stages(epochs, rng)
    probabilities = _soften(stages, 5, rng)
    ours = Hypnogram(probabilities.argmax(axis=1).astype(np.int8), epoch_length, probabilities=probabilities)
    theirs = np.where(rng.random(epochs) < 0.7, np.roll(stages, 1), stages)
    theirs = np.where(rng.random(epochs) < 0.05, np.array([1, 2, 3, 2, 1])[theirs], theirs).astype(np.int8)
    expert = Hypnogram(theirs, epoch_length, scorer="expert")
    labels = np.array(ours.labels)
    onsets = ours.onsets
    frequencies = np.arange(0.5, 25.25, 0.25)
    slow = np.array([_SLOW[label] for label in labels])
    sigma = np.array([_SIGMA[label] for label in labels])
    power = (
        20
        - 14 * np.log10(frequencies)[:, None]
        + slow[None, :] * np.exp(-frequencies / 2.5)[:, None]
        + sigma[None, :] * np.exp(-((frequencies - 13) ** 2) / 3)[:, None]
        + rng.normal(0, 1.2, (frequencies.size, epochs))
    ).astype(np.float32)
    depth = pd.DataFrame({"onset": onsets, "depth": slow * 0.9 + rng.normal(0, 1, epochs)})
    rates = {
        "spindle": (sigma * 0.6, 13.2, 0.7),
        "slow wave": (slow * 0.5, 0.9, 0.2),
        "rapid eye movement": ((labels == "R") * 2.0, np.nan, np.nan),
    }
    events = []
    for label, (rate, centre, spread) in rates.items():
        counts = rng.poisson(np.clip(rate, 0, None) * epoch_length / 60)
        times = np.repeat(onsets, counts) + rng.uniform(0, epoch_length, counts.sum())
        events.append(
            pd.DataFrame(
                {
                    "onset": times,
                    "duration": 0.8,
                    "label": label,
                    "channel": "C4-M1",
                    "frequency": rng.normal(centre, spread, times.size),
                }
            )
        )
    arousals = np.sort(rng.choice(onsets, 22, replace=False))
    events.append(pd.DataFrame({"onset": arousals, "duration": 6.0, "label": "arousal", "channel": "C4-M1"}))
    table = pd.concat(events, ignore_index=True).sort_values("onset", ignore_index=True)
    p_change = np.clip(0.06 + 0.5 * (1 - probabilities.max(axis=1)) + rng.normal(0, 0.02, epochs), 0.01, 0.95)
    return DecodedNight(
        identifier="night-022",
        source="night-022.edf",
        duration=hours * 3600 + 12,
        hypnogram=ours,
        stager="YASA 0.8.1",
        verdict="usable with care",
        reasons=["The EOG channel was lost for 41 minutes after 04:10; REM there rests on the EEG alone."],
        trust=[
            "472 of 480 minutes are usable.",
            "11 % of epochs are unclear: the highest probability is below 0.60.",
            "On 25 held-out people like this one, this stager agreed with the expert at κ 0.64 (0.59 to 0.69).",
            "Out of range for the stager: recordings referenced to the ear lobe were not in its training data.",
            "This is research software and not a diagnosis.",
        ],
        subject="P022",
        start=datetime(2002, 9, 18, 23, 4, 10),
        night_start=600.0,
        night_end=hours * 3600 - 300,
        expert=expert,
        picks={"EEG": "C4-M1", "EOG": "LOC-M2", "EMG": "chin"},
        stager_evidence=pd.DataFrame(
            {
                "data": ["cohort A, adults, suspected apnoea", "cohort B, healthy adults"],
                "metric": ["κ", "κ"],
                "value": [0.64, 0.76],
                "low": [0.59, 0.73],
                "high": [0.69, 0.79],
                "n": [25, 25],
            }
        ),
        agreement=pd.DataFrame(
            {
                "metric": ["accuracy", "kappa", "macro_f1"],
                "value": [0.871, 0.82, 0.79],
                "low": [0.85, 0.79, 0.76],
                "high": [0.89, 0.85, 0.82],
            }
        ),
        spectrogram=Spectrogram(onsets + epoch_length / 2, frequencies, power),
        depth=depth,
        depth_unit="dB",
        events=table,
        event_summary=pd.DataFrame(
            {
                "label": ["spindle", "slow wave", "rapid eye movement", "arousal"],
                "count": [
                    int((table["label"] == name).sum())
                    for name in ("spindle", "slow wave", "rapid eye movement", "arousal")
                ],
                "per_minute": [2.31, 6.02, 1.48, 0.05],
                "stage": ["N2, N3", "N2, N3", "REM", "any"],
                "frequency": [13.2, 0.9, np.nan, np.nan],
            }
        ),
        quality=pd.DataFrame(
            {
                "channel": ["C4-M1", "LOC-M2", "chin", "SpO2"],
                "modality": ["EEG", "EOG", "EMG", "oximetry"],
                "rate": [128, 64, 64, 8],
                "usable_fraction": [0.98, 0.91, 0.99, 1.0],
                "verdict": ["usable", "usable with care", "usable", "not used"],
                "note": ["", "flat for 41 min", "", "no role in staging"],
            }
        ),
        quality_spans=pd.DataFrame(
            {
                "onset": [120.0, 18400.0, 21000.0],
                "duration": [90.0, 2460.0, 30.0],
                "label": ["movement", "EOG flat", "movement"],
            }
        ),
        statistics=pd.DataFrame(
            [
                (
                    "total_sleep_time",
                    402.5,
                    "min",
                    391.0,
                    411.5,
                    49.0,
                    "Minutes in N1, N2, N3 or REM, lights off to lights on.",
                ),
                ("sleep_latency", 11.5, "min", 9.0, 14.5, 4.0, "Lights off to the first epoch of any sleep."),
                ("rem_latency", 78.0, "min", 74.5, 101.0, 33.0, "Sleep onset to the first REM epoch."),
                ("wake_after_sleep_onset", 38.0, "min", 31.5, 46.0, 17.0, "Wake between sleep onset and lights on."),
                (
                    "sleep_efficiency",
                    86.2,
                    "%",
                    83.9,
                    88.4,
                    9.0,
                    "Total sleep time over time from lights off to lights on.",
                ),
                ("N1", 24.5, "min", 18.0, 33.0, 29.0, "Minutes in N1."),
                ("N2", 196.0, "min", 184.5, 207.0, 52.0, "Minutes in N2."),
                ("N3", 91.5, "min", 84.0, 101.0, 42.0, "Minutes in N3."),
                ("R", 90.5, "min", 83.5, 97.0, 18.0, "Minutes in REM."),
                (
                    "arousal_index",
                    np.nan,
                    "per hour",
                    np.nan,
                    np.nan,
                    np.nan,
                    "Arousals × 60 over total sleep time; not scored here.",
                ),
            ],
            columns=["name", "value", "unit", "low", "high", "scorer_spread", "definition"],
        ),
        forecast=pd.DataFrame(
            {
                "onset": onsets,
                "p_change": p_change,
                "persistence_p_change": 0.0,
                "markov_p_change": np.array([0.05, 0.35, 0.12, 0.08, 0.06])[ours.stages],
            }
        ),
        forecast_evaluation=ForecastEvaluation(
            skill=pd.DataFrame(
                {
                    "method": ["LightGBM, stage history", "Semi-Markov", "Markov", "Persistence"],
                    "auprc": [0.49, 0.42, 0.37, 0.16],
                    "low": [0.46, 0.39, 0.34, 0.14],
                    "high": [0.52, 0.45, 0.40, 0.18],
                    "brier": [0.101, 0.109, 0.113, 0.157],
                    "n": [61, 61, 61, 61],
                    "reference": [0.50, np.nan, np.nan, np.nan],
                }
            ),
            note="Better than a Markov chain on held-out people; no better than it in deep sleep.",
            reliability=pd.DataFrame(
                {
                    "predicted": [0.05, 0.15, 0.25, 0.35, 0.46, 0.55],
                    "observed": [0.04, 0.16, 0.22, 0.38, 0.42, 0.60],
                    "n": [5200, 2100, 880, 400, 150, 40],
                    "low": [0.035, 0.14, 0.19, 0.33, 0.34, 0.44],
                    "high": [0.046, 0.18, 0.25, 0.43, 0.50, 0.74],
                }
            ),
        ),
        refusals=["Arousal index: arousals were not scored.", "Reactivations: no spikes and no track."],
        limits=[
            "One night says little about a person.",
            "Stages in the 41 minutes without EOG are less certain than shown.",
        ],
        provenance=Provenance(
            methods="Stages were estimated with YASA 0.8.1.\n\nThe forecast used LightGBM on the stages so far.",
            citations=[
                "Vallat R, Walker MP. eLife 2021;10:e70092.",
                "A second reference.",
            ],
            versions={"sharpwave": "0.1.0", "yasa": "0.8.1", "numpy": "2.4.6"},
            hashes={"input (SHA-256)": "9f2c" * 16, "configuration": "01ab" * 16},
        ),
        repairs=["Channel 'C3A2' read as C3-M2."],
    )


def make_minimal(stages: np.ndarray | None = None, **changes: object) -> DecodedNight:
    """The least a night can say."""
    hypnogram = Hypnogram(np.zeros(100, dtype=np.int8) if stages is None else stages)
    night = DecodedNight(
        identifier="minimal",
        source="minimal.edf",
        duration=3000.0,
        hypnogram=hypnogram,
        stager="none",
        verdict="not usable",
    )
    return replace(night, **changes)  # type: ignore[arg-type]


def _simulated() -> DecodedNight:
    night = make_night(seed=3)
    truth = {"spindle": {"planted": 800, "found": 771, "precision": 0.93}, "ripple": {"planted": 1200, "found": 0}}
    reactivations = pd.DataFrame(
        {
            "content": ["aversive", "rewarding"],
            "count": [120, 98],
            "shuffle_z": [5.1, 4.2],
            "effect": [-1.2, 0.1],
            "low": [-2.0, -0.7],
            "high": [-0.4, 0.9],
        }
    )
    return replace(
        night,
        simulated=True,
        subject="simulated",
        expert=None,
        truth=truth,
        effects=ReactivationEffects(reactivations=reactivations),
    )


def _hostile() -> DecodedNight:
    night = make_night(hours=1)
    rename = {
        "label": HOSTILE,
        "channel": HOSTILE,
        "name": HOSTILE,
        "method": HOSTILE,
        "data": HOSTILE,
        "definition": HOSTILE,
    }
    tables = {
        name: getattr(night, name).assign(**{c: v for c, v in rename.items() if c in getattr(night, name)})
        for name in (
            "events",
            "event_summary",
            "quality",
            "quality_spans",
            "statistics",
            "stager_evidence",
        )
    }
    skill = night.forecast_evaluation.skill.assign(method=HOSTILE)
    words = {name: [HOSTILE] for name in ("trust", "reasons", "limits", "refusals", "repairs")}
    return replace(
        night,
        identifier=HOSTILE,
        source=HOSTILE,
        subject=HOSTILE,
        stager=HOSTILE,
        species=HOSTILE,
        forecast_evaluation=replace(night.forecast_evaluation, skill=skill, note=HOSTILE),
        provenance=Provenance(
            methods=HOSTILE, citations=[HOSTILE], versions={HOSTILE: HOSTILE}, hashes={HOSTILE: HOSTILE}
        ),
        depth_unit=HOSTILE,
        picks={HOSTILE: HOSTILE},
        truth={HOSTILE: {HOSTILE: 1}},
        **tables,
        **words,
    )


def _merged(n_stages: int) -> DecodedNight:
    night = make_night(hours=3)
    assert night.expert is not None
    return replace(night, hypnogram=night.hypnogram.merge(n_stages))


def _nans() -> DecodedNight:
    night = make_night(hours=2)
    probabilities = np.array(night.hypnogram.probabilities)
    probabilities[20:60] = np.nan
    stages = night.hypnogram.stages.copy()
    stages[20:60] = -1
    spectrogram = Spectrogram(*map(np.array, night.spectrogram or ()))
    spectrogram.power_db[:, 20:60] = np.nan
    return replace(
        night,
        hypnogram=replace(night.hypnogram, stages=stages, probabilities=probabilities),
        spectrogram=spectrogram,
        depth=night.depth.assign(depth=np.nan),
    )


def _without_rem() -> DecodedNight:
    night = make_night()
    stages = np.where(night.hypnogram.stages == 4, 2, night.hypnogram.stages).astype(np.int8)
    return replace(night, hypnogram=Hypnogram(stages), expert=None)


VARIANTS: dict[str, Callable[[], DecodedNight]] = {
    "full": make_night,
    "minimal": make_minimal,
    "simulated": _simulated,
    "hostile": _hostile,
    "four stages": lambda: _merged(4),
    "three stages": lambda: _merged(3),
    "two stages": lambda: _merged(2),
    "unscored and missing": _nans,
    "no REM, no probabilities": _without_rem,
    "all wake": lambda: make_minimal(verdict="usable"),
    "no epochs": lambda: make_minimal(np.zeros(0, dtype=np.int8), duration=0.0),
    "nothing scored": lambda: make_minimal(np.full(50, -1, dtype=np.int8)),
    "no spectrogram": lambda: replace(make_night(hours=2), spectrogram=None),
    "no clock": lambda: replace(make_night(hours=2), start=None, night_start=None, night_end=None),
    "late hypnogram": lambda: replace(
        make_night(hours=2), hypnogram=Hypnogram(np.ones(50, dtype=np.int8), start=1800.0)
    ),
    "24 hours": lambda: make_night(hours=24),
    "7 days": lambda: make_night(hours=168),
    "mouse, 4 s epochs": lambda: replace(make_night(hours=24, epoch_length=4.0), species="mouse"),
}


@pytest.fixture(scope="session")
def night() -> DecodedNight:
    return make_night()


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> DecodedNight:
    return VARIANTS[request.param]()


@pytest.fixture(scope="session")
def minimal() -> DecodedNight:
    return make_minimal()


@pytest.fixture(scope="session")
def hostile() -> DecodedNight:
    return _hostile()


@pytest.fixture(scope="session")
def simulated() -> DecodedNight:
    return _simulated()


@pytest.fixture(scope="session")
def week() -> DecodedNight:
    return make_night(hours=168)
