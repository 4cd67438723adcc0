"""The page of a cohort: distributions by group, sex and age beside what is published, outliers, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.disk import show_path
from sharpwave.evaluation.sleep_statistics import SHARE_PER_DECADE, STATISTICS
from sharpwave.outputs import write_file
from sharpwave.recordings.units import OLDEST
from sharpwave.reports import svg
from sharpwave.reports.axes import Box, choose_step, list_ticks
from sharpwave.reports.cohort_table import CohortTable, find_outliers
from sharpwave.reports.formats import show, show_name
from sharpwave.reports.participants import MEN, WOMEN
from sharpwave.reports.templates import render

SHOWN = ("total_sleep_time", "sleep_latency", "rem_latency", "wake_after_sleep_onset", "sleep_efficiency", "N1_share",
         "N2_share", "N3_share", "R_share", "NREM", "REM", "apnea_hypopnea_index")  # fmt: skip
"""Statistics with a chart, where the cohort has them; `nights.parquet` holds all."""
GROUPS = ("group", "diagnosis", "condition", "treatment", "genotype", "sex")
"""Covariates by which distributions are parted."""
MOST_GROUPS, MOST_LETTERS, LEAST_AGES, LEAST_OF_SEX = 8, 17, 10, 5
YOUNG, MIDDLE, OLD = "age to 30", "age 31 to 60", "age over 60"
AGE = "age band"
"""Column that is made of the ages."""
BANDS = {YOUNG: (0.0, 30.0), MIDDLE: (30.0, 60.0), OLD: (60.0, 200.0)}
"""Years, the lower end excluded: those for which Mitterling et al. give medians."""
NORMS: dict[tuple[str, str], tuple[float, float, float]] = {
    ("sleep_efficiency", YOUNG): (87.0, 71.9, 94.1),
    ("sleep_efficiency", OLD): (79.7, np.nan, np.nan),
    ("total_sleep_time", YOUNG): (413.5, np.nan, np.nan),
    ("total_sleep_time", OLD): (378.0, np.nan, np.nan),
    ("N3_share", YOUNG): (20.7, 15.2, 37.5),
    ("N3_share", OLD): (14.9, 2.4, 35.6),
    ("R_share", YOUNG): (15.5, 7.5, 23.6),
    ("R_share", OLD): (10.3, np.nan, np.nan),
}
"""Median, and low and high as printed (nan where we do not have them), of healthy people at that age by statistic
(Mitterling et al. 2015, 10.5665/sleep.4730)."""
BY_SEX = {
    "rem_latency": "−0.9 min for 10 % more men in a study",
    "apnea_hypopnea_index": "+0.2 /h for 10 % more men in a study",
}
"""What is published of men against women (Boulos et al. 2019, 10.1016/S2213-2600(19)30057-8)."""


def write_cohort_page(table: CohortTable, path: str | Path) -> Path:
    """Write the page of a cohort.

    Args:
        table: Its nights.
        path: File to write; its folder must exist.
    """
    people = table.find_people()
    usable = table.rows.assign(subject=people)[table.rows["verdict"] != "not usable"]
    nights = table.rows.assign(person=people).drop_duplicates("night")
    matched = nights.loc[nights[table.participant].notna(), "night"].tolist() if table.participant else []
    human = not len(usable) or bool((usable["species"] == "human").all())
    of_age = human and "age" in table.covariates
    groups = [name for name in GROUPS if name in table.covariates and 1 < usable[name].nunique() <= MOST_GROUPS]
    names = [name for name in SHOWN if usable.loc[usable["name"] == name, "value"].notna().any()]
    if of_age:
        usable, groups = usable.assign(**{AGE: find_bands(usable["age"])}), [*groups, AGE]
    charts = [
        (show_name(name), draw_groups(usable[usable["name"] == name], groups, norms=NORMS if human else {}))
        for name in names
    ]
    missing = table.rows.assign(missing=table.rows["value"].isna()).groupby("name", sort=False, observed=True)[
        "missing"
    ]
    content = render(
        "cohort.html",
        n_nights=len(nights),
        n_subjects=nights["person"].nunique(),
        unknown=bool(((nights["subject"] == "") & ~(nights["night"].isin(matched))).any()),
        simulated=int(nights["simulated"].sum()),
        verdicts=nights["verdict"].value_counts().items(),
        charts=charts,
        groups=", ".join("age" if name == AGE else name for name in groups),
        norms=human and AGE in groups and any(name in names for name, _ in NORMS),
        sexes=compare_sexes(usable, names) if human and "sex" in table.covariates else [],
        ages=compute_slopes(usable, names) if of_age else [],
        outliers=[
            (row["night"], show_name(row["name"]), show(row["value"]), show(row["median"]), show(row["distance"]))
            for row in find_outliers(usable).to_dict("records")
        ],
        missing=[(show_name(str(name)), int(part.sum()), len(part)) for name, part in missing if part.any()],
        lost=table.list_losses(),
        notes=table.notes,
    )
    return write_file(path, show_path(content))


def find_bands(ages: pd.Series) -> pd.Series:
    """The band of `BANDS` in which each age lies; missing where it is unknown.

    >>> find_bands(pd.Series([30, "31", 61.5, "n/a"])).tolist()
    ['age to 30', 'age 31 to 60', 'age over 60', nan]
    """
    edges = [0.0, *(high for _, high in BANDS.values())]
    years = find_years(ages)
    return pd.cut(years, edges, labels=list(BANDS)).astype(object)


def find_years(ages: pd.Series) -> pd.Series:
    """Ages as numbers; missing where they are none, or none of a person (-99)."""
    years = pd.to_numeric(ages, errors="coerce")
    return years.where((years >= 0) & (years < OLDEST))


def draw_groups(
    rows: pd.DataFrame, groups: list[str], *, norms: Mapping[tuple[str, str], tuple[float, float, float]] | None = None
) -> Markup:
    """Quartiles and the 5th to 95th percentile of one statistic: of all nights, and of each group.

    Args:
        rows: Rows of one statistic.
        groups: Columns by which it is parted.
        norms: What is published of a statistic and a group, as `NORMS`: drawn beside the group in orange.

    >>> rows = pd.DataFrame({"value": [1.0, 2.0, 3.0], "unit": "min", "sex": ["F", "M", "F"]})
    >>> "sex F (2)" in draw_groups(rows, ["sex"])
    True
    """
    parts = [("all", rows["value"])]
    for group in groups:
        by_value = {str(value): part["value"] for value, part in rows.groupby(group, observed=True)}
        shown = [band for band in BANDS if band in by_value] if group == AGE else list(by_value)
        parts += [(value if group == AGE else f"{group} {value}", by_value[value]) for value in shown]
    parts = [(name, values.dropna()) for name, values in parts]
    parts = [(name, values) for name, values in parts if len(values)]
    published = [(norms or {}).get((str(rows["name"].iloc[0]) if "name" in rows else "", name)) for name, _ in parts]
    known = [number for norm in published if norm is not None for number in norm if np.isfinite(number)]
    low, high = np.percentile(rows["value"].dropna(), [1, 99])
    low, high = min([low, *known]), max([high, *known])
    box = Box.of_rows(len(parts), step=22, left=150, width=300)
    low, high = min(low, 0.0) if low < 0.3 * high else low, max(high, low + 1e-9)
    step = choose_step(high - low, (digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)), most=4)
    across = box.across(low, high)
    ticks = list_ticks(low, high, step).tolist()
    content = box.draw_columns(across, ticks) + box.draw_numbers(across, ticks, [show(tick) for tick in ticks])
    names = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name, _ in parts]
    content += box.draw_names(
        [f"{name} ({len(values)})" for name, (_, values) in zip(names, parts, strict=True)], gap=8
    )
    for y, (_, values), norm in zip(box.rows(len(parts)), parts, published, strict=True):
        at = [across.at(float(np.clip(v, across.low, across.high))) for v in np.percentile(values, [5, 25, 50, 75, 95])]
        content.append(svg.line(at[0], y, at[4], y, stroke="#5b6472", stroke_width=1.2))
        content.append(svg.rect(at[1], y - 6, max(at[3] - at[1], 1), 12, fill="#9db8d4"))
        content.append(svg.line(at[2], y - 7, at[2], y + 7, stroke="#12304f", stroke_width=2))
        if norm is not None:
            middle, *ends = (across.at(number) if np.isfinite(number) else np.nan for number in norm)
            if np.isfinite(ends).all():
                content.append(svg.line(ends[0], y + 9, ends[1], y + 9, stroke="#b4531a", stroke_width=1.5))
            content.append(svg.line(middle, y + 4, middle, y + 12, stroke="#b4531a", stroke_width=3))
    unit = str(rows["unit"].iloc[0])
    content.append(svg.text(box.middle, box.bottom + 29, unit or "share", css="strong"))
    return svg.chart(content, width=box.right + 20, height=box.bottom + 34, label="Quartiles by group")


def compare_sexes(rows: pd.DataFrame, names: list[str]) -> list[tuple[str, str, str, str, str]]:
    """Men less women beside what is published: statistic, difference, 95 % interval, subjects, published.

    A subject's nights are averaged, since they are not independent; variances may differ (Welch).

    >>> nights = pd.DataFrame({"name": "R_share", "unit": "%", "subject": [str(n) for n in range(12)],
    ...     "sex": ["F", "male"] * 6, "value": [20.0, 18.0] * 5 + [21.0, 17.0], "night": [str(n) for n in range(12)]})
    >>> compare_sexes(nights, ["R_share"])[0][1:4:2]
    ('−2.33 %', '6 and 6')
    """
    from scipy import stats

    found = []
    for name in names:
        part = rows[rows["name"] == name].dropna(subset=["value"])
        sex = part["sex"].astype(str).str.strip().str.lower()
        person = part["subject"].where(part["subject"] != "", part["night"])
        men, women = (part["value"][sex.isin(words)].groupby(person[sex.isin(words)]).mean() for words in (MEN, WOMEN))
        if min(len(men), len(women)) < LEAST_OF_SEX or men.std() + women.std() == 0:
            continue
        interval = stats.ttest_ind(men, women, equal_var=False).confidence_interval(0.95)
        unit = str(part["unit"].iloc[0])
        difference = f"{show(float(men.mean() - women.mean()))} {unit}".rstrip()
        span = f"{show(float(interval.low))} to {show(float(interval.high))}"
        found.append((show_name(name), difference, span, f"{len(men)} and {len(women)}", BY_SEX.get(name, "–")))
    return found


def compute_slopes(rows: pd.DataFrame, names: list[str]) -> list[tuple[str, str, str, int, str]]:
    """Change per decade of age beside the published one: statistic, slope, 95 % interval, subjects, published.

    A subject's nights are averaged, since they are not independent.
    """
    published = {statistic.name: statistic.per_decade for statistic in STATISTICS}
    published |= {f"{stage}_share": change for stage, change in SHARE_PER_DECADE.items()}
    found = []
    for name in names:
        part = rows[rows["name"] == name].assign(age=find_years(rows["age"]))
        part = part.dropna(subset=["age", "value"])
        people = part.groupby(part["subject"].where(part["subject"] != "", part["night"]))[["age", "value"]].mean()
        if len(people) < LEAST_AGES or people.std().eq(0).any():
            continue
        ages, values = people["age"].to_numpy() / 10, people["value"].to_numpy()
        slope = float(np.polyfit(ages, values, 1)[0])
        rest = values - values.mean() - slope * (ages - ages.mean())
        error = float(np.sqrt((rest**2).sum() / (len(ages) - 2) / ((ages - ages.mean()) ** 2).sum()))
        unit = str(part["unit"].iloc[0])
        interval = f"{show(slope - 1.96 * error)} to {show(slope + 1.96 * error)}"
        found.append((show_name(name), f"{show(slope)} {unit}", interval, len(ages), published.get(name, "") or "–"))
    return found
