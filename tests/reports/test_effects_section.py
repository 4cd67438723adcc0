from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import ReactivationEffects
from sharpwave.reports.causality_page import CausalityPage, write_causality_page
from sharpwave.reports.charts import draw_forest, draw_peri_event
from sharpwave.reports.effects_section import compose_effects

HOSTILE = "<script>alert('x')</script>"


def make_rules() -> pd.DataFrame:
    base = {
        "rank": 1,
        "verdict": "rule",
        "rule": "An aversive reactivation raises the chance of waking.",
        "control_of_rule": "Negative control quiet (p = .410).",
        "reason": "",
        "claim": "observational: causal in the statistical sense",
        "direction": "forward",
        "outcome": "lighter",
        "content": "aversive",
        "stage": "any",
        "period": "any",
        "estimator": "hazard",
        "value": 0.02,
        "low": 0.01,
        "high": 0.03,
        "ratio": 2.0,
        "ratio_low": 1.5,
        "ratio_high": 2.6,
        "n_events": 400,
        "n_nights": 9,
    }
    null = base | {"content": "neutral", "verdict": "not shown", "reason": "the interval holds zero"}
    null |= {"rule": "A neutral one is not shown to.", "ratio": 1.0, "ratio_low": 0.8, "ratio_high": 1.25}
    depth = base | {"outcome": "depth", "estimator": "matched", "value": -1.0, "low": -1.4, "high": -0.6}
    depth |= {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan}
    reverse = null | {"direction": "reverse", "outcome": "rate"}
    return pd.DataFrame([base, null, depth, reverse])


def make_peri_event() -> pd.DataFrame:
    lag = np.arange(-58.0, 60.0, 4.0)
    value = np.where(lag > 0, 1.0, 0.0)
    table = {"lag": lag, "content": "aversive", "value": value, "low": value - 0.2, "high": value + 0.2}
    return pd.DataFrame(table | {"control": 0.0, "n": 120})


def test_rules_come_before_what_was_not_shown_with_their_control_and_claim():
    content = compose_effects(ReactivationEffects(rules=make_rules(), peri_event=make_peri_event()))
    assert [row["content"] for row in content["rules"]] == ["aversive", "aversive"]
    assert [row["reason"] for row in content["others"]] == ["the interval holds zero"] * 2
    assert len(content["forests"]) == 3, "depth, lighter, and the reverse direction"
    assert len(content["around"]) == 1


def test_nothing_gives_no_section():
    assert compose_effects(ReactivationEffects()) is None


def test_a_larger_ratio_lies_further_right_and_no_rule_is_hollow():
    table = pd.DataFrame(
        {"name": ["a", "b"], "value": [2.0, 1.0], "low": [1.5, 0.8], "high": [2.6, 1.2], "shown": [True, False]}
    )
    chart = str(draw_forest(table, title="ratio", ratio=True, summary=""))
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart)]
    assert dots[0] > dots[1]
    assert chart.count('class="hollow"') == 1
    null = re.search(r'x1="([\d.]+)"[^>]*class="diagonal"', chart)
    assert float(null[1]) == pytest.approx(dots[1], abs=0.1), "a ratio of 1 lies on the line of no effect"


def test_a_step_after_the_event_is_drawn_upwards():
    chart = str(draw_peri_event(make_peri_event(), title="x", unit="dB", limits=(-1.0, 2.0), summary=""))
    line = re.search(r'<path d="M([^"]+)" class="event-line"', chart)
    ys = [float(point.split()[1]) for point in line[1].split("L")]
    assert ys[-1] < ys[0]


def test_the_page_stands_alone_names_what_was_left_out_and_escapes(tmp_path):
    estimates = make_rules().assign(horizon=30.0, control=0.02, exposed=0.04, q=0.01, control_p=0.4)
    page = CausalityPage(
        effects=ReactivationEffects(rules=make_rules(), peri_event=make_peri_event()),
        estimates=estimates,
        nights=pd.DataFrame({"night": [HOSTILE], "reactivations": [400]}),
        answer=["Two rules."],
        refusals=[f"night-2: no reactivations {HOSTILE}"],
        warnings=["circular shifts are unsafe"],
        versions={"sharpwave": "0"},
        simulated=1,
    )
    text = write_causality_page(page, tmp_path / "report.html").read_text()
    assert HOSTILE not in text
    assert "Left out, and why" in text
    assert "circular shifts are unsafe" in text
    assert "Simulated nights" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "Observational: causal in the statistical sense" in text
