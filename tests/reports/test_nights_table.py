"""Nights as a table: every number of the summaries, nothing of what cannot be used, and a page that lists them all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reports.archive import to_json
from sharpwave.reports.files import summarise
from sharpwave.reports.nights_page import compose_nights, draw_stages, write_nights_page
from sharpwave.reports.nights_table import (
    DAMAGED,
    MISSING,
    NightResult,
    estimate_slope,
    find_missing_sessions,
    find_outliers,
    tabulate_nights,
    write_nights,
)

from .conftest import HOSTILE, make_night


@pytest.fixture(scope="module")
def summary() -> dict:
    night = replace(make_night(hours=1.0), age=34.0, sex="female")
    return json.loads(to_json(summarise(night) | {"config": {"night": 2}}))


def write_results(folder: Path, summaries: dict[str, object], **more: str) -> list[NightResult]:
    results = []
    for name, content in summaries.items():
        (folder / name).mkdir()
        path = folder / name / "summary.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        results.append(NightResult(name, summary=path, page=folder / name / "report.html", **more))
    return results


def test_a_row_holds_every_number_of_a_night(summary: dict, tmp_path: Path) -> None:
    cycles = {"sleep_cycles": [{"complete": True}, {"complete": False}]}
    coarse = [each for each in summary["statistics"] if each["name"] not in ("R", "R_share")]
    results = write_results(tmp_path, {"a": summary | cycles, "z": summary | cycles | {"statistics": coarse}})
    table = tabulate_nights(results, folder=tmp_path)
    row = table.iloc[0]
    assert (row["night"], row["subject"], row["age"], row["sex"]) == ("night-022", "P022", 34.0, "female")
    assert (row["night_number"], row["verdict"], row["page"]) == (2.0, "usable with care", "a/report.html")
    for each in summary["statistics"]:
        for ours, theirs in (("", "value"), ("_low", "low"), ("_high", "high")):
            expected = np.nan if each.get(theirs) is None else each[theirs]
            np.testing.assert_equal(row[each["name"] + ours], expected)
    assert row["kappa"] == 0.82
    assert row["cycles"] == 1.0
    assert np.isnan(table.iloc[1]["cycles"])  # wake and sleep alone have no cycles that could be counted
    assert row["definitions"] == summary["statistics_definitions"]
    tsv, parquet = write_nights(table, tmp_path)
    back = pd.read_csv(tsv, sep="\t", na_values="n/a")
    assert back["total_sleep_time"].tolist() == pd.read_parquet(parquet)["total_sleep_time"].tolist()
    write_nights(table, tmp_path)  # ours may be replaced


def test_what_is_unusable_damaged_or_missing_lends_no_numbers(summary: dict, tmp_path: Path) -> None:
    words = json.loads(json.dumps(summary))
    words["statistics"][0]["value"] = "many"
    content = {"bad": summary | {"verdict": "not usable"}, "cut": '{"identifier": "x"', "list": "[1]", "words": words,
               "good": summary}  # fmt: skip
    results = [*write_results(tmp_path, content), NightResult("lost", reason="EDF header is damaged")]
    table = tabulate_nights(results, folder=tmp_path)
    assert table["verdict"].tolist() == ["not usable", DAMAGED, DAMAGED, DAMAGED, "usable with care", MISSING]
    assert table["total_sleep_time"].notna().tolist() == [False, False, False, False, True, False]
    shown = compose_nights(table)
    assert len(shown["rows"]) == 6
    assert shown["missing"][-1] == "lost: missing. EDF header is damaged"
    assert len(shown["missing"]) == 4
    text = write_nights_page(table, tmp_path / "index.html").read_text(encoding="utf-8")
    assert "EDF header is damaged" in text
    assert 'href="good/report.html"' in text


@pytest.mark.parametrize(("ages", "said", "unsaid"), [
    ((34, 34, 34), "Bars count nights", "A dot is a night"), ((24, 34, 44), "A dot is a night", "Bars count nights")
])  # fmt: skip
def test_the_words_below_charts_are_of_what_is_drawn(
    ages: tuple[int, ...], said: str, unsaid: str, summary: dict, tmp_path: Path
) -> None:
    nights = {f"n{night}": summary | {"age": age} for night, age in enumerate(ages)}
    table = tabulate_nights(write_results(tmp_path, nights), folder=tmp_path)
    text = write_nights_page(table, tmp_path / "index.html").read_text(encoding="utf-8")
    assert said in text
    assert unsaid not in text


def test_the_page_is_safe_sortable_and_needs_no_network(summary: dict, tmp_path: Path) -> None:
    hostile = summary | {"identifier": HOSTILE, "subject": HOSTILE, "sex": HOSTILE, "reasons": [HOSTILE]}
    table = tabulate_nights(write_results(tmp_path, {"a": summary, "b": hostile}), folder=tmp_path)
    text = write_nights_page(table, tmp_path / "index.html").read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert "alert('x')" not in text
    assert 'class="sortable"' in text
    assert "default-src 'none'" in text
    first = summary["statistics"][0]["value"]
    assert f'data-key="{first:.6g}"' in text
    assert len(re.findall(r'<img src="data:image/png', text)) == 2


def test_someone_elses_table_stays(summary: dict, tmp_path: Path) -> None:
    (tmp_path / "nights.tsv").write_text("mine\n")
    with pytest.raises(SharpwaveError, match="which sharpwave did not write"):
        write_nights(tabulate_nights(write_results(tmp_path, {"a": summary})), tmp_path)
    assert (tmp_path / "nights.tsv").read_text() == "mine\n"


def test_formulas_are_no_formulas(summary: dict, tmp_path: Path) -> None:
    table = tabulate_nights(write_results(tmp_path, {"a": summary | {"identifier": "=1+1"}}))
    assert "\n'=1+1\t" in write_nights(table, tmp_path)[0].read_text()


def make_table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, n)
    return pd.DataFrame(
        {"night": [f"n{i}" for i in range(n)], "subject": [f"s{i}" for i in range(n)], "session": "", "age": age,
         "total_sleep_time": 480 - 1.2 * age + rng.normal(0, 20, n)}
    )  # fmt: skip


def test_outliers_and_slopes_are_those_planted() -> None:
    table = make_table()
    assert not len(find_outliers(table, ["total_sleep_time"]))
    slope, low, high, n = estimate_slope(table, "total_sleep_time")
    assert low < -12 < high < 0
    assert slope == pytest.approx(-12, abs=4)
    assert n == 60
    table.loc[7, "total_sleep_time"] = 20.0
    assert find_outliers(table, ["total_sleep_time"])["night"].tolist() == ["n7"]
    assert np.isnan(estimate_slope(table.head(9), "total_sleep_time")[0])
    twice = pd.concat([table, table.assign(night="again")])
    assert estimate_slope(twice, "total_sleep_time")[3] == 60, "two nights of one person are one person"
    assert not len(find_outliers(table.head(9), ["total_sleep_time"]))


def test_missing_sessions_are_those_most_have() -> None:
    table = pd.DataFrame({"subject": list("112233"), "session": [*"ababac"]})
    assert find_missing_sessions(table) == ["sub-3 has no ses-b, which 2 of 3 subjects have."]


def test_small_hypnograms_put_wake_on_top() -> None:
    import base64
    import io

    from PIL import Image

    address = draw_stages("5:30:04?3")
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    assert picture.shape == (5, 4)
    assert picture[0, 0]
    assert picture[1, 1]
    assert picture[4, 3]
    assert (picture > 0).sum() == 3, "unscored is blank"
