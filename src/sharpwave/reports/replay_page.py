"""The page of a session's replays: how many exceed chance, the best of them, and what is typical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sharpwave.disk import show_path
from sharpwave.outputs import write_file
from sharpwave.reports import tables
from sharpwave.reports.formats import show_duration
from sharpwave.reports.replay_figures import DrawnEvent, draw_event, draw_shares
from sharpwave.reports.replay_run import describe_run, draw_errors, draw_fields, draw_lags, tabulate_errors, warn_of_run
from sharpwave.reports.templates import render

if TYPE_CHECKING:
    from sharpwave.reactivation.place_fields import PlaceFields
    from sharpwave.reactivation.run_check import RunCheck

LIMITS = (
    "An event beyond chance is one that its surrogates seldom match. It says nothing of what the animal experienced.",
    "Each surrogate destroys one thing. Cells that fire together for another reason than place can pass it.",
    "Events that no detector proposed were never tested, so that counts depend on the candidates.",
    "Place fields are taken to be the same in sleep as in the experience.",
)

CITATIONS = (
    "Davidson TJ, Kloosterman F, Wilson MA (2009). Hippocampal replay of extended experience. Neuron 63:497–507. "
    "doi:10.1016/j.neuron.2009.07.027",
    "Denovellis EL et al. (2021). Hippocampal replay of experience at real-world speeds. eLife 10:e64505. "
    "doi:10.7554/eLife.64505",
    "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. J R Stat Soc B 57:289–300.",
    "Phipson B, Smyth GK (2010). Permutation p-values should never be zero. Stat Appl Genet Mol Biol 9:39. "
    "doi:10.2202/1544-6115.1585",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayPage:
    """What the page shows.

    Attributes:
        identifier: Short name of the session.
        source: How the user named it.
        simulated: Whether its signals are simulated.
        duration: Length of the recording, in seconds.
        settings: Settings of the analysis, by name.
        tests: One row per epoch, see `sharpwave.reactivation.session`.
        contents: One row per epoch and content: n_events, n_significant.
        best: The events that stand out most from their surrogates.
        typical: Events from the middle of the candidates.
        notes: Sentences on what was chosen or repaired.
        versions: Version of each software package, by its name.
        fields: Place fields of the place cells.
        check: Whether the run was decoded; None where place fields came without a run.
        n_runs: Number of runs of the experience.
    """

    identifier: str
    source: str
    simulated: bool
    duration: float
    settings: Mapping[str, Any]
    tests: pd.DataFrame
    contents: pd.DataFrame
    best: list[DrawnEvent]
    typical: list[DrawnEvent]
    notes: list[str]
    versions: Mapping[str, str]
    fields: PlaceFields | None = None
    check: RunCheck | None = None
    n_runs: int = 1


def write_replay_page(page: ReplayPage, path: Path) -> Path:
    """Write the page as one HTML file that needs no network and no script."""
    words = [describe_test(row, n_runs=page.n_runs) for row in page.tests.to_dict("records")]
    check = page.check
    heads = {"n_events": "events", "n_significant": "significant", "expected": "surrogates' share"}
    content = render(
        "replay.html",
        page=page,
        duration=show_duration(page.duration),
        words=words,
        warnings=[] if check is None else warn_of_run(check),
        run_words=[] if check is None else describe_run(check),
        errors=None if check is None else draw_errors(check),
        error_table=None if check is None else tables.arrange(tabulate_errors(check)),
        lags=None if check is None else draw_lags(check),
        fields=[] if page.fields is None else draw_fields(page.fields),
        shares=draw_shares(page.tests, summary=" ".join(words)) if len(page.tests) else None,
        tests=tables.arrange(page.tests.assign(p=[f"{p:.2g}" for p in page.tests["p"]]), heads),
        contents=tables.arrange(page.contents, heads),
        best=[draw_event(event) for event in page.best],
        typical=[draw_event(event) for event in page.typical],
        settings=tables.arrange(tabulate_settings(page.settings)),
        methods=describe_methods(page.settings),
        limits=list(LIMITS),
        citations=list(CITATIONS),
    )
    return write_file(path, show_path(content))


def describe_test(row: Mapping[Any, Any], *, n_runs: int = 1) -> str:
    """One epoch's test as a sentence; a null is said plainly.

    Args:
        row: A row of the tests.
        n_runs: Number of runs of the experience; with several, rest is the time between them. 1 by default.

    >>> row = {"epoch": "after", "n_events": 200, "n_significant": 31, "share": 0.24, "low": 0.02, "high": 0.09}
    >>> print(describe_test(row | {"p": 0.002}))
    After the experience 24 % of 200 events lie beyond the 5 % of chance, where surrogates give 2 to 9 %: more than
    chance (p = 0.002). 31 remain after false-discovery control.
    """
    verdict = "more than chance" if row["p"] <= 0.05 else "no more than chance"
    chance = f"surrogates give {_percent(row['low'])[:-2]} to {_percent(row['high'])}: {verdict} (p = {row['p']:.3g})."
    if row["epoch"] == "after less before":
        return f"The share after less the share before is {_percent(row['share'])}, where {chance}"
    when = {
        "before": "Before the experience",
        "during": "At rest during the experience",
        "after": "After the experience",
        "rest": "Between the runs" if n_runs > 1 else "In the whole recording",
    }[row["epoch"]]
    left = int(row["n_significant"])
    return (
        f"{when} {_percent(row['share'])} of {row['n_events']} events lie beyond the 5 % of chance, where {chance} "
        f"{left if left else 'None'} {'remains' if left == 1 or not left else 'remain'} after false-discovery control."
    )


def describe_methods(settings: Mapping[str, Any]) -> str:
    """A methods paragraph that may be copied unchanged (CC0)."""
    score = {
        "correlation": "the weighted correlation of decoded place with time",
        "trajectory": "the log likelihood of a continuous path against one that jumps anywhere",
    }[settings["statistic"]]
    return (
        f"Place fields were estimated from {settings['experience_start_s']:g} to {settings['experience_end_s']:g} s; "
        f"{settings['n_place_cells']} of {settings['n_units']} units were place cells. Of {settings['n_candidates']} "
        f"candidate events those were kept in which at least {settings['min_units']} place cells fired. Each was "
        f"scored in bins of {1000 * settings['bin_size_s']:g} ms by {score}, and compared with "
        f"{settings['n_surrogates']} {settings['surrogate']} surrogates: p = (1 + surrogates as high) / (1 + "
        "surrogates). Events count as significant where the false-discovery rate over the events of their epoch "
        "(Benjamini–Hochberg) is at most 5 %. Each epoch's share of events with p ≤ .05 was compared with the same "
        "share in every surrogate, which keeps the dependence between events. Content, direction and path come from a "
        f"state-space decoder in bins of {1000 * settings['decoder_bin_size_s']:g} ms."
    )


def tabulate_settings(settings: Mapping[str, Any]) -> pd.DataFrame:
    """Settings as a table of two columns."""
    shown = {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in settings.items()}
    return pd.DataFrame(
        {"setting": [key.replace("_", " ") for key in shown], "value": [str(v) for v in shown.values()]}
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")
