"""The words that go with every page: methods to paste, limits, references, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata

import pandas as pd

from sharpwave import __version__
from sharpwave.night.decoded import DecodedNight, Provenance

PACKAGES = (
    "numpy", "scipy", "pandas", "mne", "pynapple", "yasa", "lightgbm", "scikit-learn", "ripple-detection",
    "hmmlearn", "zarr",
)  # fmt: skip

ALWAYS = ("numpy", "scipy", "pandas")
"""Packages that every night is computed with."""

GIVEN = "given with the recording"
"""Name of the stager where the stages came with the recording."""

CITATIONS = {
    "yasa": "Vallat R, Walker MP (2021). An open-source, high-performance tool for automated sleep staging. "
    "eLife 10:e70092. doi:10.7554/eLife.70092",
    "agreement": "Lee YJ, Lee JY, Cho JH, Choi JH (2022). Interrater reliability of sleep stage scoring: a "
    "meta-analysis. J Clin Sleep Med 18:193–202. doi:10.5664/jcsm.9538",
    "dod": "Guillot A, Sauvet F, During EH, Thorey V (2020). Dreem open datasets: multi-scored sleep datasets to "
    "compare human and automated sleep staging. IEEE Trans Neural Syst Rehabil Eng 28:1955–1965.",
    "slow_wave": "Massimini M, Huber R, Ferrarelli F, Hill S, Tononi G (2004). The sleep slow oscillation as a "
    "traveling wave. J Neurosci 24:6862–6870.",
    "ripple": "Kay K et al. (2016). A hippocampal network for spatial coding during immobility and sleep. "
    "Nature 531:185–190.",
    "e_value": "VanderWeele TJ, Ding P (2017). Sensitivity analysis in observational research: introducing the "
    "E-value. Ann Intern Med 167:268–274. doi:10.7326/M16-2607",
    "aasm": "Berry RB et al. The AASM manual for the scoring of sleep and associated events (definitions paraphrased).",
}

REACTIVATIONS = (
    " Effects of reactivations on sleep were estimated by discrete-time hazard regression (stage transitions) and by "
    "matched moments (depth), with stage, time since its onset, time of night and, where known, muscle tone and "
    "infraslow phase as covariates; 95 % intervals over stretches of half an hour, with a negative control outcome "
    "(before the event), the reverse direction, the E-value and false-discovery control. Observational: causal in the "
    "statistical sense."
)

AHEAD = (
    "The forecast uses decoded stages, whose features look a few minutes ahead: it describes the night and is no live "
    "forecast."
)
FROM_SIGNALS = (
    "The forecast sees signals up to each epoch and no stage; how it did in this night is judged by stages that may "
    "have been scored or decoded with what came later."
)
UNEXPLAINED = "What moved the forecasts is not explained: they are not Brainµ's but those of trees on signals alone."
GIVEN_AHEAD = "The forecast uses these stages up to each epoch; if their scorer looked ahead, it is no live forecast."
LIMITS = (
    "Stages come from a program, not from a person; where it is unsure the page says so, where it is wrong it may not.",
    AHEAD,
    "Intervals carry the uncertainty of the stages and of resampling this night; they do not carry differences between "
    "laboratories, electrodes and people.",
    "What goes together in a night need not cause each other.",
)
GIVEN_LIMITS = (
    "Stages came with the recording; how they were scored, and how well, is not known here.",
    GIVEN_AHEAD,
    *LIMITS[2:],
)


def list_limits(stager: str, *, forecast: bool = True, forecaster: str = "") -> list[str]:
    """What not to conclude from a night, as it was staged.

    Args:
        stager: Name of the method that staged, or `GIVEN`.
        forecast: Whether a forecast was made; True by default.
        forecaster: Name of the method that forecast; one that sees stages by default.

    >>> list_limits("given with the recording")[0]
    'Stages came with the recording; how they were scored, and how well, is not known here.'
    """
    limits: tuple[str, ...] = GIVEN_LIMITS if stager == GIVEN else LIMITS
    ahead = (AHEAD, GIVEN_AHEAD)
    if is_from_signals(forecaster):
        limits = tuple(FROM_SIGNALS if limit in ahead else limit for limit in limits)
    return [limit for limit in limits if forecast or limit not in (*ahead, FROM_SIGNALS)]


def describe_methods(
    stager: str,
    picks: Mapping[str, str],
    detectors: Sequence[str],
    *,
    forecaster: str,
    epoch_length: float,
    unclear_below: float,
    probable: bool = True,
    compared: bool = True,
    estimated: bool | None = None,
    forecast: bool = True,
    judged: bool = True,
    scored: Mapping[str, int] | None = None,
    supplied: Sequence[str] = (),
) -> str:
    """A methods paragraph that may be copied unchanged (CC0); it holds what was done in this night, and no more.

    Args:
        stager: Name of the method that staged, or `GIVEN`.
        picks: Name of the channel in each role.
        detectors: Labels of the events that were found.
        forecaster: Name of the method that forecast.
        epoch_length: Length of an epoch, in s.
        unclear_below: Probability under which an epoch is unclear.
        probable: Whether the stages have probabilities; True by default.
        compared: Whether there was an expert to agree with; True by default.
        estimated: Whether effects of reactivations were estimated; where there are reactivations, by default.
        forecast: Whether a forecast was made; True by default.
        judged: Whether the night had changes of stage to judge the forecast by; True by default.
        scored: Number of events that a scorer marked, by label; they are counted here, and none is detected.
        supplied: Labels of events that came with the recording and were not detected here, such as cues.

    >>> text = describe_methods(GIVEN, {}, [], forecaster="Markov", epoch_length=30, unclear_below=0.6, probable=False)
    >>> "came with the recording" in text, "unclear" in text, "sampled" in text
    (True, False, False)
    """
    channels = ", ".join(f"{name} ({role})" for role, name in picks.items()) or "no channel"
    staged = (
        f"Sleep stages in epochs of {epoch_length:g} s came with the recording"
        if stager == GIVEN
        else f"Sleep was staged in epochs of {epoch_length:g} s by {_name_stager(stager)} from {channels}"
    )
    unclear = f"; an epoch counts as unclear where no stage reached {unclear_below:.0%} probability" if probable else ""
    estimated = "reactivation" in detectors if estimated is None else estimated
    sentences = [
        f"The recording was decoded with sharpwave {__version__}.",
        f"{staged}{unclear}.",
        _describe_forecast(stager, forecaster, judged=judged) if forecast else "No forecast was made.",
        _describe_events(detectors, scored or {}, supplied),
        *_describe_intervals(probable=probable, compared=compared, judged=forecast and judged),
    ]
    return " ".join(sentences) + REACTIVATIONS * estimated


def _name_stager(stager: str) -> str:
    """The stager as a methods paragraph names it."""
    if stager == "yasa+brainmu":
        return f"the {stager} stager (the mean of the stage probabilities of YASA's classifier and of the model Brainµ)"
    return f"the {stager} stager"


def _describe_forecast(stager: str, forecaster: str, *, judged: bool) -> str:
    stages = "given" if stager == GIVEN else "decoded"
    what = "signals alone" if is_from_signals(forecaster) else f"{stages} stages"
    what += " and the EEG" if sees_both(forecaster) else ""
    made = f"The probability that the stage changes in the next epoch was computed from the {what} up to then"
    if not judged:
        return f"{made} ({forecaster}); the night has no changes of stage to judge it by."
    if is_own(forecaster):
        return f"{made} ({forecaster})."
    return (
        f"{made} ({forecaster}), and compared with persistence and a first-order Markov chain fitted to expert "
        "hypnograms."
    )


def is_own(forecaster: str) -> bool:
    """Whether a forecaster learns from the night alone, so that nothing of other nights went into it.

    >>> is_own("Markov chain, learned from the night so far")
    True
    """
    return "learned from the night" in forecaster


def is_from_signals(forecaster: str) -> bool:
    """Whether a forecaster sees signals alone, so that no stage went into it.

    >>> is_from_signals("LightGBM ensemble on signals alone"), is_from_signals("Brainµ on stage history and signals")
    (True, False)
    """
    return forecaster.endswith("on signals alone")


def sees_both(forecaster: str) -> bool:
    """Whether a forecaster is the mean of one that sees stages and one that sees signals.

    >>> sees_both("mean of two, one half each: LightGBM ensemble on signals alone; LightGBM on stage history")
    True
    """
    return "on signals alone; " in forecaster


def _describe_events(detectors: Sequence[str], scored: Mapping[str, int], supplied: Sequence[str]) -> str:
    found = ", ".join(label.replace("_", " ") for label in detectors if label not in supplied) or "none"
    text = f"Events detected: {found}."
    if supplied:
        text += f" Events given with the recording: {', '.join(supplied)}."
    if scored:
        counts = ", ".join(f"{count} {label}" for label, count in sorted(scored.items()))
        text += f" Events that a scorer had marked were counted, not detected: {counts}."
    return text


def _describe_intervals(*, probable: bool, compared: bool, judged: bool) -> list[str]:
    parts = []
    if probable:
        parts.append(
            "those of sleep statistics are 80 % intervals over hypnograms sampled from the stage probabilities"
        )
    what = " and ".join(["agreement"] * compared + ["forecast skill"] * judged)
    if what:
        parts.append(f"those of {what} are 95 % block bootstrap intervals (blocks of 10 min)")
    return [f"Of the intervals, {'; '.join(parts)}."] if parts else []


def list_citations(
    stager: str,
    detectors: Sequence[str],
    *,
    estimated: bool | None = None,
    known: bool = True,
    expert_nights: bool = True,
) -> list[str]:
    """References for what was used in this night.

    Args:
        stager: Name of the method that staged, or `GIVEN`.
        detectors: Labels of the events that were found.
        estimated: Whether effects of reactivations were estimated; where there are reactivations, by default.
        known: Whether the page holds the stager's agreement with experts beside that of experts; True by default.
        expert_nights: Whether a baseline, a forecast or the spread of experts comes from expert hypnograms; True by
            default.

    >>> [text[:6] for text in list_citations("brainmu", ["spindle"])]
    ['Berry ', 'Lee YJ', 'Guillo']
    """
    estimated = "reactivation" in detectors if estimated is None else estimated
    keys = ["yasa"] * stager.startswith("yasa") + ["aasm"]
    keys += ["agreement"] * (known and stager != GIVEN) + ["dod"] * expert_nights
    keys += [key for key in ("slow_wave", "ripple") if key in detectors]
    keys += ["e_value"] * estimated
    return [CITATIONS[key] for key in keys]


def list_packages(
    stager: str, detectors: Sequence[str], *, forecaster: str, spikes: bool = False, source: str = ""
) -> tuple[str, ...]:
    """Packages that this night was computed with: those of its reader, stager, detectors and forecaster.

    Args:
        stager: Name of the method that staged, or `GIVEN`.
        detectors: Labels of the events that were detected.
        forecaster: Name of the method that forecast.
        spikes: Whether the recording holds spikes.
        source: Name of the file.

    >>> list_packages("hmm", [], forecaster="Markov chain, learned from the night so far", source="night.edf")
    ('numpy', 'scipy', 'pandas', 'hmmlearn')
    """
    by_mne = source.lower().endswith((".fif", ".fif.gz", ".vhdr", ".set", ".gdf", ".cnt", ".mff", ".nxe"))
    used = {
        "mne": stager.startswith("yasa") or by_mne,
        "pynapple": spikes,
        "yasa": stager.startswith("yasa"),
        "lightgbm": stager.startswith(("yasa", "lightgbm")) or "LightGBM" in forecaster,
        "scikit-learn": stager.startswith("yasa"),
        "ripple-detection": "ripple" in detectors,
        "hmmlearn": stager in ("hmm", "rodent"),
        "zarr": source.lower().endswith(".zarr"),
    }
    return (*ALWAYS, *(name for name in PACKAGES if used.get(name)))


def read_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of sharpwave, Python and these packages where they are installed.

    What happens to be loaded does not count: the second night of a process would name more than the first.
    """
    versions = {"sharpwave": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_night(
    night: DecodedNight,
    *,
    detectors: Sequence[str],
    given: Sequence[str] = (),
    forecaster: str,
    spikes: bool = False,
    key: str = "",
) -> DecodedNight:
    """The night with the words that go with it, made from what is in it: methods, limits, references, versions.

    Args:
        night: A decoded night, without these words.
        detectors: Labels of the events that were found, and of those that were given.
        given: Those of them that were given with the recording and not found here.
        forecaster: Name of the method that forecast.
        spikes: Whether the recording holds spikes.
        key: Key under which the results are found again.
    """
    events = night.events
    marked = events["scored_as"].notna() if "scored_as" in events else pd.Series(False, index=events.index)
    scored = {str(label): int(count) for label, count in events.loc[marked, "label"].value_counts().items()}
    cues = sorted({label for label in events["label"].astype(str) if label.startswith("cue: ")}) if len(events) else []
    supplied = [*given, *cues]
    detected = [label for label in detectors if label not in supplied]
    forecast = bool(len(night.forecast)) and bool(night.forecast["p_change"].notna().any())
    spread = night.statistics.get("scorer_spread", pd.Series(dtype=float))
    estimated = bool(len(night.effects.rules))
    provenance = Provenance(
        methods=describe_methods(
            night.stager,
            night.picks,
            detected,
            forecaster=forecaster,
            epoch_length=night.hypnogram.epoch_length,
            unclear_below=night.unclear_below,
            probable=night.hypnogram.probabilities is not None,
            compared=bool(len(night.agreement)) and bool(night.agreement["value"].notna().any()),
            estimated=estimated,
            forecast=forecast,
            judged=bool(len(night.forecast_evaluation.skill)),
            scored={label.replace("_", " "): count for label, count in scored.items()},
            supplied=supplied,
        ),
        citations=list_citations(
            night.stager,
            detected,
            estimated=estimated,
            known=bool(len(night.stager_evidence)),
            expert_nights=(forecast and not is_own(forecaster)) or bool(spread.notna().any()),
        ),
        versions=read_versions(
            list_packages(night.stager, detected, forecaster=forecaster, spikes=spikes, source=night.source)
        ),
        hashes={"key": key},
    )
    limits = list_limits(night.stager, forecast=forecast, forecaster=forecaster)
    return replace(night, limits=limits, provenance=provenance)
