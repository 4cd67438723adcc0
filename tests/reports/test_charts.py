from __future__ import annotations

import re

import numpy as np
import pandas as pd

from sharpwave.reports.charts import draw_distribution, draw_reliability, draw_skill


def _dots(chart: str) -> np.ndarray:
    return np.array([[float(x), float(y)] for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)])


def test_calibrated_forecasts_lie_on_the_diagonal() -> None:
    shares = np.array([0.1, 0.3, 0.5])
    chart = str(draw_reliability(pd.DataFrame({"predicted": shares, "observed": shares, "n": 10}), summary=""))
    ends = re.search(r'x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="diagonal"', chart)
    assert ends is not None
    x0, y0, x1, y1 = map(float, ends.groups())
    for x, y in _dots(chart):
        assert abs((x - x0) / (x1 - x0) - (y - y0) / (y1 - y0)) < 0.01


def test_better_methods_lie_further_right_and_references_are_hollow() -> None:
    skill = pd.DataFrame({"method": ["a", "b"], "auprc": [0.5, 0.2], "reference": [0.49, np.nan]})
    chart = str(draw_skill(skill, metric="auprc", summary=""))
    dots = _dots(chart)
    assert dots[0, 0] > dots[1, 0]
    assert chart.count('class="hollow"') == 1


def test_method_names_are_escaped() -> None:
    chart = str(draw_skill(pd.DataFrame({"method": ["<b>"], "auprc": [0.5]}), metric="auprc", summary="<i>"))
    assert "<b>" not in chart
    assert "&lt;b&gt;" in chart
    assert 'aria-label="&lt;i&gt;"' in chart


def test_histogram_bars_follow_the_counts() -> None:
    values = pd.Series(np.repeat([1.0, 2.0, 3.0], [100, 300, 200]))
    chart = str(draw_distribution(values, name="spindle", unit="Hz", summary="", bins=3))
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="bar"', chart)]
    np.testing.assert_allclose(np.array(heights) / max(heights), [1 / 3, 1, 2 / 3], atol=0.01)
    assert "n = 600" in chart
