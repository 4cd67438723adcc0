"""The page of several nights together: what reactivation does to sleep, as rules with their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.causality.intervals import FEWEST_UNITS
from sharpwave.disk import show_path
from sharpwave.night.decoded import ReactivationEffects
from sharpwave.outputs import write_file
from sharpwave.reports import tables
from sharpwave.reports.effects_section import compose_effects, describe_limits, tabulate_outcomes
from sharpwave.reports.explanations import EXPLANATIONS
from sharpwave.reports.templates import Heading, render

_COLUMNS = [
    "direction", "outcome", "horizon", "content", "stage", "period", "estimator", "control", "exposed", "value", "low",
    "high", "detectable", "ratio", "q", "control_p", "exposure_p", "n_events",
]  # fmt: skip
_HEADS = {
    "control_p": "before, p",
    "exposure_p": "hidden cause, p",
    "detectable": "smallest seen",
    "n_events": "events",
    "horizon": "within, s",
}
MOST = 60
"""Estimates on the page; all are in `effects.tsv`."""

METHODS = (
    "Effects of reactivations on sleep were estimated with sharpwave {version} over {n_nights}. Depth is "
    "slow-wave power (0.5 to 4 Hz, dB), in windows of 4 s where it was measured here. The chance of a transition to "
    "lighter sleep, deeper sleep or wake after a reactivation was estimated by discrete-time hazard regression with "
    "splines of the time since the stage began, stage, time of night, muscle tone, recent events and the infraslow "
    "phase of sigma power where known; depth by differences to matched moments of the same night. {units} The "
    "reverse direction, a negative control outcome (before the event), a control of what decides which events carry a "
    "memory (the state before them, and runs of them, against lots drawn within ten minutes of a night), the E-value "
    "(VanderWeele & Ding 2017) and false-discovery control (Benjamini & Hochberg 1995) stand beside each estimate. A "
    "rule passes all of them at one horizon, which was chosen beforehand."
)

UNITS = "Nights are the unit of every interval (95 %)."
FEW_UNITS = "Stretches of half an hour are the unit of every interval (95 %), for want of three nights."

CITATIONS = (
    "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. J R Stat Soc B 57:289–300.",
    "VanderWeele TJ, Ding P (2017). Sensitivity analysis in observational research: introducing the E-value. "
    "Ann Intern Med 167:268–274. doi:10.7326/M16-2607",
    "Lecci S et al. (2017). Coordinated infraslow neural and cardiac oscillations mark fragility and offline periods "
    "in mammalian sleep. Sci Adv 3:e1602026. doi:10.1126/sciadv.1602026",
    "Harris KD (2020). Nonsense correlations in neuroscience. bioRxiv 2020.11.29.402719.",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class CausalityPage:
    """Everything that the page of several nights shows.

    Attributes:
        effects: Rules in words, and depth around reactivations.
        estimates: All estimates.
        nights: night, source, minutes, reactivations, and what else is known of each.
        answer: The answer in sentences, the most important one first.
        refusals: Nights left out, and why.
        warnings: Sentences on what to be careful about.
        versions: Version of each software package, by its name.
        simulated: Number of simulated nights among them.
        memory: Association of reactivations with memory over sessions; empty where there are too few sessions.
    """

    effects: ReactivationEffects
    estimates: pd.DataFrame
    nights: pd.DataFrame
    answer: Sequence[str]
    refusals: Sequence[str] = ()
    warnings: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    simulated: int = 0
    memory: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def title(self) -> str:
        return "Does reactivation move sleep?"

    @property
    def n_nights(self) -> int:
        return len(self.nights)

    @property
    def span(self) -> str:
        events = int(self.nights["reactivations"].sum()) if len(self.nights) else 0
        return f"{self.n_nights} night{'s' * (self.n_nights != 1)}, {events:,} reactivations"

    @property
    def methods(self) -> str:
        nights = f"{self.n_nights} night{'s' * (self.n_nights != 1)}"
        units = UNITS if self.n_nights >= FEWEST_UNITS else FEW_UNITS
        return METHODS.format(version=self.versions.get("sharpwave", ""), n_nights=nights, units=units)

    @property
    def citations(self) -> tuple[str, ...]:
        return CITATIONS

    @property
    def adjusted(self) -> str:
        return f"q is over all {len(self.estimates)} estimates."


def write_causality_page(page: CausalityPage, path: str | Path) -> Path:
    """Write the page: one HTML file that needs no network and no JavaScript; returns its path."""
    path = Path(path)
    content = render(
        "causality.html",
        page=page,
        effects=compose_effects(page.effects, memory=page.memory),
        nights=tables.arrange(page.nights),
        table=_arrange_estimates(page.estimates),
        explanation=EXPLANATIONS["reactivations"],
        limits=describe_limits(page.effects.rules),
        outcomes=tables.arrange(tabulate_outcomes(page.effects.rules)),
        unit=UNITS if page.n_nights >= FEWEST_UNITS else FEW_UNITS,
        sections=_list_sections(page),
    )
    write_file(path, show_path(content))
    return path


def _list_sections(page: CausalityPage) -> list[Heading]:
    """The sections below the outcomes, as the list of contents names them."""
    found = {
        "rules": ("In words", len(page.effects.rules)),
        "nights": ("Nights", 1),
        "checks": ("Checks and warnings", len(page.warnings)),
        "limits": ("Limits", 1),
        "effects": ("Every estimate", len(page.estimates)),
        "methods": ("Methods", 1),
    }
    return [Heading(anchor, short) for anchor, (short, there) in found.items() if there]


def _arrange_estimates(estimates: pd.DataFrame) -> tables.Table:
    """The estimates, the surest first, with chances in per cent."""
    if not len(estimates):
        return tables.arrange(estimates)
    shown = estimates.sort_values("q", kind="stable")[[name for name in _COLUMNS if name in estimates]].copy()
    chance = shown["outcome"].isin(("lighter", "deeper", "wake")).to_numpy()
    for name in shown.columns.intersection(["control", "exposed", "value", "low", "high", "detectable"]):
        shown[name] = np.where(chance, 100 * shown[name], shown[name])
    units = np.where(chance, "%", np.where(shown["outcome"] == "depth", "dB", "per min"))
    shown.insert(list(shown.columns).index("value") + 1, "unit", units)
    same = [name for name in ("stage", "period") if (shown[name] == "any").all()]
    return tables.arrange(shown.drop(columns=same), _HEADS, most=MOST)
