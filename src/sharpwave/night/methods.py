"""The words that go with every page: methods to paste, limits, references, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from sharpwave import __version__

PACKAGES = (
    "numpy", "scipy", "pandas", "mne", "pynapple", "yasa", "lightgbm", "scikit-learn", "ripple-detection",
    "hmmlearn", "zarr",
)  # fmt: skip

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

LIMITS = (
    "Stages come from a program, not from a person; where it is unsure the page says so, where it is wrong it may not.",
    "The forecast uses decoded stages, whose features look a few minutes ahead: it describes the night and is no live "
    "forecast.",
    "Intervals carry the uncertainty of the stages and of resampling this night; they do not carry differences between "
    "laboratories, electrodes and people.",
    "What goes together in a night need not cause each other.",
)


def describe_methods(
    stager: str,
    picks: Mapping[str, str],
    detectors: Sequence[str],
    *,
    forecaster: str,
    epoch_length: float,
    unclear_below: float,
) -> str:
    """A methods paragraph that may be copied unchanged (CC0)."""
    channels = ", ".join(f"{name} ({role})" for role, name in picks.items()) or "no channel"
    events = ", ".join(label.replace("_", " ") for label in detectors) or "none"
    return (
        f"The recording was decoded with sharpwave {__version__}. Sleep was staged in epochs of {epoch_length:g} s by "
        f"the {stager} stager from {channels}; an epoch counts as unclear where no stage reached {unclear_below:.0%} "
        "probability. The probability that the stage changes in the next epoch was computed from the decoded stages up "
        f"to then ({forecaster}), and compared with persistence and a first-order Markov chain fitted to expert "
        f"hypnograms. Events detected: {events}. Intervals of sleep statistics are 80 % intervals over hypnograms "
        "sampled from the stage probabilities; those of agreement and forecast skill are 95 % block bootstrap "
        "intervals (blocks of 10 min)." + REACTIVATIONS * ("reactivation" in detectors)
    )


def list_citations(stager: str, detectors: Sequence[str]) -> list[str]:
    """References for what was used in this night."""
    keys = ["aasm", "agreement", "dod"]
    if stager == "yasa" or {"spindle", "slow_wave", "rem"} & set(detectors):
        keys.insert(0, "yasa")
    keys += [key for key in ("slow_wave", "ripple") if key in detectors]
    keys += ["e_value"] * ("reactivation" in detectors)
    return [CITATIONS[key] for key in keys]


def read_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of sharpwave, Python and the packages that are installed."""
    versions = {"sharpwave": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
