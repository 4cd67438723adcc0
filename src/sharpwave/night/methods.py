"""The words that go with every page: methods to paste, limits, references, versions."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from sharpwave import __version__

PACKAGES = (
    "numpy", "scipy", "pandas", "mne", "pynapple", "yasa", "lightgbm", "scikit-learn", "ripple-detection",
    "hmmlearn", "zarr",
)  # fmt: skip

MODULES = {"scikit-learn": "sklearn"}
"""Name under which a package is imported, where it is another."""

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

LIMITS = (
    "Stages come from a program, not from a person; where it is unsure the page says so, where it is wrong it may not.",
    "The forecast uses decoded stages, whose features look a few minutes ahead: it describes the night and is no live "
    "forecast.",
    "Intervals carry the uncertainty of the stages and of resampling this night; they do not carry differences between "
    "laboratories, electrodes and people.",
    "What goes together in a night need not cause each other.",
)
GIVEN_LIMITS = (
    "Stages came with the recording; how they were scored, and how well, is not known here.",
    "The forecast uses these stages up to each epoch; if their scorer looked ahead, it is no live forecast.",
    *LIMITS[2:],
)


def list_limits(stager: str) -> list[str]:
    """What not to conclude from a night, as it was staged.

    >>> list_limits("given with the recording")[0]
    'Stages came with the recording; how they were scored, and how well, is not known here.'
    """
    return list(GIVEN_LIMITS if stager == GIVEN else LIMITS)


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

    >>> text = describe_methods(GIVEN, {}, [], forecaster="Markov", epoch_length=30, unclear_below=0.6, probable=False)
    >>> "came with the recording" in text, "unclear" in text, "sampled" in text
    (True, False, False)
    """
    channels = ", ".join(f"{name} ({role})" for role, name in picks.items()) or "no channel"
    events = ", ".join(label.replace("_", " ") for label in detectors) or "none"
    staged = (
        f"Sleep stages in epochs of {epoch_length:g} s came with the recording"
        if stager == GIVEN
        else f"Sleep was staged in epochs of {epoch_length:g} s by the {stager} stager from {channels}"
    )
    unclear = f"; an epoch counts as unclear where no stage reached {unclear_below:.0%} probability" if probable else ""
    own = "learned from the night" in forecaster
    baselines = (
        "" if own else ", and compared with persistence and a first-order Markov chain fitted to expert hypnograms"
    )
    intervals = [
        *(
            ["those of sleep statistics are 80 % intervals over hypnograms sampled from the stage probabilities"]
            * probable
        ),
        f"those of {'agreement and ' * compared}forecast skill are 95 % block bootstrap intervals (blocks of 10 min)",
    ]
    estimated = "reactivation" in detectors if estimated is None else estimated
    return (
        f"The recording was decoded with sharpwave {__version__}. {staged}{unclear}. The probability that the stage "
        f"changes in the next epoch was computed from the {'given' if stager == GIVEN else 'decoded'} stages up to "
        f"then ({forecaster}){baselines}. Events detected: {events}. Of the intervals, {'; '.join(intervals)}."
        + REACTIVATIONS
        * estimated
    )


def list_citations(stager: str, detectors: Sequence[str], *, estimated: bool | None = None) -> list[str]:
    """References for what was used in this night.

    Args:
        stager: Name of the method that staged, or `GIVEN`.
        detectors: Labels of the events that were found.
        estimated: Whether effects of reactivations were estimated; where there are reactivations, by default.

    >>> [text[:6] for text in list_citations("brainmu", ["spindle"])]
    ['Berry ', 'Lee YJ', 'Guillo']
    """
    estimated = "reactivation" in detectors if estimated is None else estimated
    keys = ["yasa"] * stager.startswith("yasa") + ["aasm"] + ["agreement"] * (stager != GIVEN) + ["dod"]
    keys += [key for key in ("slow_wave", "ripple") if key in detectors]
    keys += ["e_value"] * estimated
    return [CITATIONS[key] for key in keys]


def read_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of sharpwave, Python and those of the packages that were in use."""
    versions = {"sharpwave": __version__, "python": platform.python_version()}
    for package in packages:
        module = MODULES.get(package, package.replace("-", "_"))
        if module not in sys.modules:
            continue
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
