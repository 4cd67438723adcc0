from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sharpwave.commands.cli import app
from sharpwave.errors import SharpwaveError
from sharpwave.reports import cohort_table
from sharpwave.reports.cohort_page import AGE, NORMS, compare_sexes, draw_groups, find_bands
from sharpwave.reports.cohort_table import find_outliers, tabulate_cohort
from sharpwave.reports.nights_table import NightResult, tabulate_nights, write_nights
from sharpwave.reports.participants import read_participants

runner = CliRunner()


def write_summary(folder: Path, name: str, *, tst: float | None, subject: str = "", key: str = "k") -> Path:
    path = folder / name / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    statistics = [
        {"name": "total_sleep_time", "value": tst, "unit": "min", "low": 300.0, "high": 500.0},
        {"name": "sleep_latency", "value": 10.0, "unit": "min", "low": None, "high": None},
    ]
    content = {"subject": subject or name, "verdict": "usable", "stager": "s", "species": "human", "simulated": True,
               "start": None, "hashes": {"key": key}, "statistics": statistics}  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def cohort(tmp_path) -> Path:
    """20 people who sleep 6 min less for each year above 20; one who is far from that, one whose file is cut."""
    out = tmp_path / "out"
    ages = 20 + np.arange(20)
    for number, age in enumerate(ages):
        write_summary(out, f"p{number:02d}", tst=480.0 - 6 * (age - 20), subject=f"{number:02d}")
    write_summary(out, "far", tst=3000.0, subject="77")
    (write_summary(out, "cut", tst=1.0)).write_text('{"statistics": [')
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{n:02d}" for n in range(20)] + ["sub-99"],
            "age": [*ages, 50],
            "sex": ["F", "M"] * 10 + ["F"],
            "name": "secret",
        }
    )
    people.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    return out


def test_nights_meet_their_covariates(cohort):
    table = tabulate_cohort(cohort, participants=read_participants(cohort.parent / "participants.tsv"))
    rows = table.rows.set_index(["night", "name"])
    assert rows.loc[("p03", "total_sleep_time"), ["value", "age", "sex"]].tolist() == [462.0, 23, "M"]
    assert np.isnan(rows.loc[("p03", "sleep_latency"), "low"])
    assert rows.loc[("p03", "sleep_latency"), "participant_name"] == "secret", "ours keeps its name"
    assert pd.isna(rows.loc[("far", "sleep_latency"), "age"])
    assert (table.damaged, table.without_night, table.without_participant) == (["cut"], ["99"], ["far"])


def test_an_update_reads_changed_nights_only(cohort, monkeypatch):
    first = tabulate_cohort(cohort)
    assert (first.n_read, first.rows["night"].nunique()) == (22, 21)
    path = write_summary(cohort, "p00", tst=111.0)
    os.utime(path, ns=(1, 1))
    read = []
    original = cohort_table._read_rows
    monkeypatch.setattr(cohort_table, "_read_rows", lambda p, *rest: read.append(p.parent.name) or original(p, *rest))
    second = tabulate_cohort(cohort, earlier=first.rows)
    assert sorted(read) == ["cut", "p00"]
    changed = second.rows[second.rows["night"] == "p00"]
    assert changed["value"].tolist() == [111.0, 10.0]
    rest = [table.rows[table.rows["night"] != "p00"].reset_index(drop=True) for table in (first, second)]
    pd.testing.assert_frame_equal(*rest)
    assert len(second.rows) == len(first.rows), "rows are replaced, not added"
    (cohort / "p01" / "summary.json").unlink()
    assert "p01" not in set(tabulate_cohort(cohort, earlier=second.rows).rows["night"])


def test_the_command_writes_the_table_and_a_page_that_says_what_is_planted(cohort):
    arguments = ["cohort", str(cohort), "--participants", str(cohort.parent / "participants.tsv")]
    assert "21 nights, 42 rows" in runner.invoke(app, arguments).output
    page = (cohort / "cohort.html").read_text().replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")
    assert "−60.0 min" in page, "the planted change per decade"
    assert "−10.1 min" in page, "the published one beside it"
    assert "sex F (10)" in page
    assert [f"{band} ({n})" in page for band, n in (("age to 30", 11), ("age 31 to 60", 9))] == [True, True]
    assert "Mitterling" in page, "medians by age beside them"
    assert "10 and 10" in page, "men and women"
    assert '<th scope="row">far</th>' in page, "the outlier"
    assert "1 participant without a night: 99" in page
    assert "simulated" in page
    again = runner.invoke(app, arguments)
    assert again.exit_code == 0, again.output
    assert len(pd.read_parquet(cohort / "nights.parquet")) == 42


def draw_marks(chart: str, color: str) -> list[float]:
    """Where upright marks of a colour stand."""
    marks = [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall("<line[^>]*>", chart)]
    return [float(mark["x1"]) for mark in marks if mark.get("stroke") == color and mark["x1"] == mark["x2"]]


def test_published_medians_stand_where_ours_would():
    rows = pd.DataFrame({"name": "N3_share", "unit": "%", "value": np.linspace(10.0, 31.4, 101), "age": 25.0})
    rows[AGE] = find_bands(rows["age"])
    chart = draw_groups(rows, [AGE], norms=NORMS)
    ours, published = draw_marks(chart, "#12304f"), draw_marks(chart, "#b4531a")
    assert published == pytest.approx(ours[1:], abs=0.02), "20.7 % is the median of both"
    assert draw_marks(draw_groups(rows.assign(age=80.0), []), "#b4531a") == []


def test_men_and_women_are_compared_person_by_person():
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"subject": [f"{n}" for n in range(40)], "sex": ["M", "F"] * 20})
    people["level"] = 90 + 10 * (people["sex"] == "F") + rng.normal(0, 1, 40)
    nights = people.loc[people.index.repeat(3)].assign(name="rem_latency", unit="min", night="x")
    nights["value"] = nights["level"] + rng.normal(0, 1, len(nights))
    ((_, _, interval, n, published),) = compare_sexes(nights, ["rem_latency"])
    low, high = (float(text.replace("\u2212", "-")) for text in interval.split(" to "))
    assert low < -10 < high
    assert high - low == pytest.approx(1.5, abs=0.5), "of 20 and 20 people, not of 60 and 60 nights"
    assert (n, "0.9 min" in published) == ("20 and 20", True)
    assert compare_sexes(nights[nights["subject"].isin(["0", "1"])], ["rem_latency"]) == []


def test_the_queries_of_the_docs_run(cohort, monkeypatch):
    runner.invoke(app, ["cohort", str(cohort), "--participants", str(cohort.parent / "participants.tsv")])
    (cohort.parent / "results").symlink_to(cohort)
    monkeypatch.chdir(cohort.parent)
    text = (Path(__file__).parents[2] / "docs/cohorts.md").read_text(encoding="utf-8")
    queries = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert ["duckdb" in query for query in queries] == [True, False]
    for query in queries:
        package = "duckdb" if "duckdb" in query else "polars"
        pytest.importorskip(package)
        *first, last = ast.parse(query.replace('"group"', '"sex"').replace("sleep_efficiency", "total_sleep_time")).body
        names: dict = {}
        exec(compile(ast.Module(first, []), package, "exec"), names)
        found = eval(compile(ast.Expression(last.value), package, "eval"), names)
        if package == "duckdb":
            assert sorted(row[:2] for row in found.fetchall() if row[0]) == [("F", 10), ("M", 10)]
        else:
            assert dict(found.rows())["F"] == pytest.approx(480 - 6 * 9), "the median of every second of 20 people"


def test_labels_of_digits_keep_their_zeros(tmp_path):
    write_summary(tmp_path, "a", tst=400.0, subject="007")
    (tmp_path / "people.csv").write_text("participant_id,age\n007,40\n0070,50\n")
    table = tabulate_cohort(tmp_path, participants=read_participants(tmp_path / "people.csv"))
    assert (table.rows["age"].tolist(), table.without_night) == ([40, 40], ["0070"])


PEOPLE = "participant_id\tage\tsex\nsub-01\t34\tF\nsub-02\t45\tM\n"


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("p.tsv", b"\xef\xbb\xbf" + PEOPLE.replace("\n", "\r\n").encode(), ""),
        ("p.tsv", PEOPLE.encode("utf-16"), ""),
        ("p.tsv", PEOPLE.replace("\t", ",").encode(), ""),
        ("p.csv", PEOPLE.replace("\t", ";").replace("34", "34,0").encode(), ""),
        ("p.tsv", PEOPLE.replace("participant_id\tage", "Participant_ID \tAGE").encode(), ""),
        ("p.tsv", PEOPLE.replace("participant_id", "ID").encode(), "The column ID was read as participant_id"),
        ("p.tsv", PEOPLE.replace("sex", "Gender").encode(), "The column Gender was read as sex"),
        ("p.tsv", PEOPLE.replace("34", "34 y").encode(), ""),
        ("p.tsv", (PEOPLE + "\t\t\nsub-03\tabout ten\tF\n").encode(), "such as 'about ten'"),
        ("p.tsv", (PEOPLE + "n/a\t4\tF\n").encode(), "1 row without participant_id"),
        ("p.tsv", PEOPLE.replace("F\n", "F\t\n").replace("M\n", "M\t\n").encode(), ""),
        ("p.tsv", PEOPLE.replace("sub-01", "sub-1").encode(), "01 was taken for 1"),
    ],
    ids=[
        "mark",
        "utf-16",
        "commas",
        "semicolons",
        "capitals",
        "id",
        "gender",
        "words",
        "blank",
        "nameless",
        "trailing",
        "zeros",
    ],
)
def test_tables_of_other_laboratories_say_the_same(tmp_path, name, content, note):
    write_summary(tmp_path, "a", tst=400.0, subject="01")
    write_summary(tmp_path, "b", tst=500.0, subject="02")
    (tmp_path / name).write_bytes(content)
    table = tabulate_cohort(tmp_path, participants=read_participants(tmp_path / name))
    found = table.rows[table.rows["name"] == "total_sleep_time"]
    assert found[["subject", "age", "sex"]].values.tolist() == [["01", 34, "F"], ["02", 45, "M"]]
    assert len(table.notes) == bool(note), table.notes
    assert note in " ".join(table.notes)


def test_spreadsheets_and_words_for_sex_and_for_nothing(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    for row in (["Participant_ID", "Sex", "treatment"], [1, "M", "None"], [2, "female", "NA"], [3, "male ", "drug"]):
        book.active.append(row)
    book.save(tmp_path / "people.xlsx")
    table = read_participants(tmp_path / "people.xlsx")
    assert table["participant_id"].tolist() == ["1", "2", "3"]
    assert table["sex"].tolist() == ["M", "F", "M"]
    assert table["treatment"].fillna("missing").tolist() == ["None", "missing", "drug"]
    (tmp_path / "codes.tsv").write_text("participant_id\tsex\n1\t1\n2\t2\n")
    assert "write M and F" in read_participants(tmp_path / "codes.tsv").attrs["notes"][0], "who is 1 is not guessed"
    (tmp_path / "twice.tsv").write_text("participant_id\tage\n01\t1\nsub-01\t2\n")
    with pytest.raises(SharpwaveError, match="01 twice"):
        read_participants(tmp_path / "twice.tsv")


def test_nights_of_nobody_known_are_not_one_persons(tmp_path):
    """Twelve EDF files that do not say whose they are, found by the names of their folders."""
    ages = np.arange(12) * 5 + 20
    for number, age in enumerate(ages):
        write_summary(tmp_path, f"n{number}", tst=480.0 - (age - 20), subject="unknown")
    assert "12 nights of at most 12 subjects" in _write_page(tmp_path)
    people = pd.DataFrame({"participant_id": [f"n{number}" for number in range(12)], "age": ages})
    people.to_csv(tmp_path / "p.csv", index=False)
    page = _write_page(tmp_path, "--participants", str(tmp_path / "p.csv"))
    assert "12 nights of 12 subjects" in page
    assert "−10.00 min" in page, "the planted change per decade, person by person"
    assert pd.read_parquet(tmp_path / "nights.parquet")["participant_id"].tolist()[::2] == sorted(people.iloc[:, 0])


def _write_page(folder: Path, *arguments: str) -> str:
    result = runner.invoke(app, ["cohort", str(folder), *arguments])
    assert result.exit_code == 0, result.output
    return (folder / "cohort.html").read_text().replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")


def test_no_night_is_lost_in_silence(tmp_path):
    for site in ("a", "b"):
        write_summary(tmp_path, f"{site}/x", tst=400.0).rename(tmp_path / site / "sub-1_desc-sharpwave_summary.json")
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "log.txt").write_text("failed: the file is empty")
    empty = write_summary(tmp_path, "empty", tst=1.0)
    empty.write_text(json.dumps({**json.loads(empty.read_text()), "statistics": []}))
    table = tabulate_cohort(tmp_path)
    assert set(table.rows["night"]) == {"a/sub-1", "b/sub-1"}, "of two data sets"
    assert table.list_losses() == [
        "1 night whose summary cannot be read, or holds no statistics: empty",
        "1 night that failed: failed",
    ]


def test_ages_of_animals_are_no_years_and_codes_no_ages(tmp_path):
    for number in range(12):
        path = write_summary(tmp_path, f"m{number}", tst=400.0 + number)
        path.write_text(path.read_text().replace("human", "mouse"))
    people = pd.DataFrame({"participant_id": [f"m{number}" for number in range(12)], "age": range(8, 20)})
    people.to_csv(tmp_path / "p.csv", index=False)
    assert "decade" not in _write_page(tmp_path, "--participants", str(tmp_path / "p.csv"))
    assert find_bands(pd.Series([-99, 999, 31])).tolist() == [np.nan, np.nan, "age 31 to 60"]


def test_decoding_more_nights_leaves_the_table_of_the_cohort(cohort):
    runner.invoke(app, ["cohort", str(cohort)])
    before = (cohort / "nights.parquet").read_bytes()
    table = tabulate_nights([NightResult("p00", summary=cohort / "p00" / "summary.json")])
    assert [path.name for path in write_nights(table, cohort)] == ["nights.tsv"]
    assert (cohort / "nights.parquet").read_bytes() == before


def test_what_cannot_be_used_is_said(cohort, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SharpwaveError, match="results of nights"):
        tabulate_cohort(tmp_path / "empty")
    (tmp_path / "a.tsv").write_text("person\tage\n1\t2\n")
    with pytest.raises(SharpwaveError, match="a column participant_id"):
        read_participants(tmp_path / "a.tsv")
    (tmp_path / "b.tsv").write_text("participant_id\tage\n1\t2\n1\t3\n")
    with pytest.raises(SharpwaveError, match="each participant once"):
        read_participants(tmp_path / "b.tsv")
    (cohort / "nights.parquet").write_text("mine")
    result = runner.invoke(app, ["cohort", str(cohort)])
    assert "a table of nights of ours" in str(result.exception)
    assert (cohort / "nights.parquet").read_text() == "mine"


def test_the_table_with_a_row_a_night_gives_way(cohort):
    wide = pd.DataFrame({"night": ["p00"], "session": [""], "verdict": ["usable"], "definitions": ["2"]})
    wide.to_parquet(cohort / "nights.parquet")
    assert "21 nights, 42 rows" in runner.invoke(app, ["cohort", str(cohort)]).output
    assert "name" in pd.read_parquet(cohort / "nights.parquet")


def test_an_outlier_lies_its_distance_in_robust_deviations_from_the_median() -> None:
    values = [0.0, 1.0, 2.0, 3.0, 4.0, 2.0 + 3.5 * 1.4826, 50.0, -60.0]
    rows = pd.DataFrame({"night": range(8), "name": "W", "value": values})
    spread = 1.4826 * np.median(np.abs(np.array(values) - np.median(values)))
    found = find_outliers(rows, far=0.0)
    np.testing.assert_allclose(
        np.sort(found["distance"]), np.sort((np.array(values) - np.median(values)) / spread), atol=1e-12
    )
    assert find_outliers(rows)["night"].tolist() == [7, 6]
    assert find_outliers(rows, most=1)["night"].tolist() == [7]
    same = pd.DataFrame({"night": ["a", "b", "c"], "name": "W", "value": [1.0, 1.0, 5.0]})
    assert find_outliers(same).empty, "no spread, no distance"
