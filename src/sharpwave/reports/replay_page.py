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
from sharpwave.reports.raster import encode_scale
from sharpwave.reports.replay_figures import DrawnEvent, count_events, draw_event, draw_shares
from sharpwave.reports.replay_run import describe_run, draw_errors, draw_fields, draw_lags, tabulate_errors, warn_of_run
from sharpwave.reports.templates import Heading, render

if TYPE_CHECKING:
    from sharpwave.reactivation.place_fields import PlaceFields
    from sharpwave.reactivation.run_check import RunCheck

LIMITS = (
    "An event beyond chance is one that its surrogates seldom match. It says nothing of what the animal experienced.",
    "Surrogates destroy which cell has which field, and each event is held against its own order: events that stay at "
    "one place, or whose cells burst, are at chance. Events that jump between decodable places may not be.",
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
    heads = {"n_events": "events", "n_significant": "significant"}
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
        tests=tables.arrange(tabulate_tests(page.tests)),
        contents=tables.arrange(page.contents, heads),
        best=[draw_event(event) for event in page.best],
        typical=[draw_event(event) for event in page.typical],
        settings=tables.arrange(tabulate_settings(page.settings)),
        methods=describe_methods(page.settings),
        scale=encode_scale(),
        sections=_list_sections(page),
        limits=list(LIMITS),
        citations=list(CITATIONS),
    )
    return write_file(path, show_path(content))


def _list_sections(page: ReplayPage) -> list[Heading]:
    """The sections of the page, as the list of contents names them."""
    run = [Heading("run", "Run and place fields")] if page.check is not None or page.fields is not None else []
    shares, best, typical = ("shares", "Before and after"), ("best", "Best events"), ("typical", "Typical events")
    return [Heading(*shares), *run, Heading(*best), Heading(*typical), Heading("methods", "Methods and limits")]


def describe_test(row: Mapping[Any, Any], *, n_runs: int = 1) -> str:
    """One epoch's test as a sentence; a null is said plainly.

    Args:
        row: A row of the tests.
        n_runs: Number of runs of the experience; with several, rest is the time between them. 1 by default.

    >>> row = {"epoch": "after", "n_events": 200, "n_significant": 31, "share": 0.24, "low": 0.02, "high": 0.09}
    >>> print(describe_test(row | {"p": 0.002}))
    After the experience 48 of 200 events (24 %) lie beyond the 5 % of chance, where surrogates give 4 to 18: more than
    chance (p = 0.002). 31 remain after false-discovery control.
    """
    verdict = "more than chance" if row["p"] <= 0.05 else "no more than chance"
    if row["epoch"] == "after less before":
        ends = f"{_percent(row['low'])[:-2]} to {_percent(row['high'])}"
        return (
            f"The share after less the share before is {_percent(row['share'])}, where surrogates give {ends}: "
            f"{verdict} (p = {row['p']:.3g})."
        )
    when = {
        "before": "Before the experience",
        "during": "At rest during the experience",
        "after": "After the experience",
        "rest": "Between the runs" if n_runs > 1 else "In the whole recording",
    }[row["epoch"]]
    left, n = int(row["n_significant"]), row["n_events"]
    ends = f"{round(row['low'] * n)} to {round(row['high'] * n)}"
    return (
        f"{when} {count_events(row['share'], n, word='events')} lie beyond the 5 % of chance, where surrogates give "
        f"{ends}: {verdict} (p = {row['p']:.3g}). "
        f"{left if left else 'None'} {'remains' if left == 1 or not left else 'remain'} after false-discovery control."
    )


def tabulate_tests(tests: pd.DataFrame) -> pd.DataFrame:
    """The tests as numbers of events: one row an epoch.

    >>> row = {"epoch": "after", "n_events": 15, "n_significant": 0, "share": 1 / 15, "low": 0.0, "high": 0.2, "p": 0.5}
    >>> tabulate_tests(pd.DataFrame([row]))["beyond chance"].tolist()
    ['1 of 15']
    """
    rows = []
    for row in tests.to_dict("records"):
        n = row["n_events"]
        difference = row["epoch"] == "after less before"
        ends = [100 * row["low"], 100 * row["high"]] if difference else [row["low"] * n, row["high"] * n]
        rows.append(
            {
                "epoch": row["epoch"],
                "beyond chance": f"{_percent(row['share'])} more" if difference else count_events(row["share"], n),
                "surrogates give": f"{ends[0]:.0f} to {ends[1]:.0f}{' %' * difference}".replace("-", "−"),
                "p": f"{row['p']:.2g}",
                "after false-discovery control": "" if difference else str(int(row["n_significant"])),
            }
        )
    return pd.DataFrame(rows)


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
        f"scored in bins of {1000 * settings['bin_size_s']:g} ms by {score}. Its gain is that score in standard "
        "deviations of the same event with its bursts shuffled in time, and was compared with the gain in "
        f"{settings['n_surrogates']} surrogates ({settings['surrogate']}; promising events in up to "
        f"{settings.get('most_surrogates', settings['n_surrogates'])}): p = (1 + surrogates as high) / (1 + "
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
