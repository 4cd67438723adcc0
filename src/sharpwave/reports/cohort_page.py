"""The page of a cohort: distributions by group, sex and age beside what is published, outliers, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.disk import show_path
from sharpwave.evaluation.sleep_statistics import STATISTICS
from sharpwave.outputs import write_file
from sharpwave.reports import svg
from sharpwave.reports.axes import Box
from sharpwave.reports.cohort_table import CohortTable, find_outliers
from sharpwave.reports.formats import show, show_name
from sharpwave.reports.templates import render

SHOWN = ("total_sleep_time", "sleep_latency", "rem_latency", "wake_after_sleep_onset", "sleep_efficiency", "N1_share",
         "N2_share", "N3_share", "R_share", "NREM", "REM", "apnea_hypopnea_index")  # fmt: skip
"""Statistics with a chart, where the cohort has them; `nights.parquet` holds all."""
GROUPS = ("group", "diagnosis", "condition", "treatment", "genotype", "sex")
"""Covariates by which distributions are parted."""
MOST_GROUPS, LEAST_AGES = 8, 10


def write_cohort_page(table: CohortTable, path: str | Path) -> Path:
    """Write the page of a cohort.

    Args:
        table: Its nights.
        path: File to write; its folder must exist.
    """
    usable = table.rows[table.rows["verdict"] != "not usable"]
    nights = table.rows.drop_duplicates("night")
    groups = [name for name in GROUPS if name in table.covariates and 1 < usable[name].nunique() <= MOST_GROUPS]
    names = [name for name in SHOWN if usable.loc[usable["name"] == name, "value"].notna().any()]
    charts = [(show_name(name), draw_groups(usable[usable["name"] == name], groups)) for name in names]
    missing = table.rows.assign(missing=table.rows["value"].isna()).groupby("name", sort=False, observed=True)[
        "missing"
    ]
    content = render(
        "cohort.html",
        n_nights=len(nights),
        n_subjects=nights["subject"].nunique(),
        simulated=int(nights["simulated"].sum()),
        verdicts=nights["verdict"].value_counts().items(),
        charts=charts,
        groups=", ".join(groups),
        ages=compute_slopes(usable, names) if "age" in table.covariates else [],
        outliers=[
            (row["night"], show_name(row["name"]), show(row["value"]), show(row["median"]), show(row["distance"]))
            for row in find_outliers(usable).to_dict("records")
        ],
        missing=[(show_name(str(name)), int(part.sum()), len(part)) for name, part in missing if part.any()],
        lost=[
            ("night", "whose summary cannot be read", table.damaged),
            ("participant", "without a night", table.without_night),
            ("night", "of no participant in the table", table.without_participant),
        ],
    )
    return write_file(path, show_path(content))


def draw_groups(rows: pd.DataFrame, groups: list[str]) -> Markup:
    """Quartiles and the 5th to 95th percentile of one statistic: of all nights, and of each group.

    >>> rows = pd.DataFrame({"value": [1.0, 2.0, 3.0], "unit": "min", "sex": ["F", "M", "F"]})
    >>> "sex F (2)" in draw_groups(rows, ["sex"])
    True
    """
    parts = [("all", rows["value"])]
    parts += [(f"{g} {v}", part["value"]) for g in groups for v, part in rows.groupby(g, observed=True)]
    parts = [(name, values.dropna()) for name, values in parts]
    parts = [(name, values) for name, values in parts if len(values)]
    low, high = np.percentile(rows["value"].dropna(), [1, 99])
    box = Box.of_rows(len(parts), step=22, left=150, width=300)
    across = box.across(min(low, 0.0) if low < 0.3 * high else low, max(high, low + 1e-9))
    ticks = np.linspace(across.low, across.high, 4).tolist()
    content = box.draw_columns(across, ticks) + box.draw_numbers(across, ticks, [show(tick) for tick in ticks])
    content += box.draw_names([f"{name[:18]} ({len(values)})" for name, values in parts], gap=8)
    for y, (_, values) in zip(box.rows(len(parts)), parts, strict=True):
        at = [across.at(float(np.clip(v, across.low, across.high))) for v in np.percentile(values, [5, 25, 50, 75, 95])]
        content.append(svg.line(at[0], y, at[4], y, stroke="#5b6472", stroke_width=1.2))
        content.append(svg.rect(at[1], y - 6, max(at[3] - at[1], 1), 12, fill="#9db8d4"))
        content.append(svg.line(at[2], y - 7, at[2], y + 7, stroke="#12304f", stroke_width=2))
    unit = str(rows["unit"].iloc[0])
    content.append(svg.text(box.middle, box.bottom + 29, unit or "share", css="strong"))
    return svg.chart(content, width=box.right + 20, height=box.bottom + 34, label="Quartiles by group")


def compute_slopes(rows: pd.DataFrame, names: list[str]) -> list[tuple[str, str, str, int, str]]:
    """Change per decade of age beside the published one: statistic, slope, 95 % interval, subjects, published.

    A subject's nights are averaged, since they are not independent.
    """
    published = {statistic.name: statistic.per_decade for statistic in STATISTICS}
    found = []
    for name in names:
        part = rows[rows["name"] == name].assign(age=pd.to_numeric(rows["age"], errors="coerce"))
        part = part.dropna(subset=["age", "value"])
        people = part.groupby(part["subject"].where(part["subject"] != "", part["night"]))[["age", "value"]].mean()
        if len(people) < LEAST_AGES or people["age"].std() == 0:
            continue
        ages, values = people["age"].to_numpy() / 10, people["value"].to_numpy()
        slope = float(np.polyfit(ages, values, 1)[0])
        rest = values - values.mean() - slope * (ages - ages.mean())
        error = float(np.sqrt((rest**2).sum() / (len(ages) - 2) / ((ages - ages.mean()) ** 2).sum()))
        unit = str(part["unit"].iloc[0])
        interval = f"{show(slope - 1.96 * error)} to {show(slope + 1.96 * error)}"
        found.append((show_name(name), f"{show(slope)} {unit}", interval, len(ages), published.get(name, "") or "–"))
    return found
