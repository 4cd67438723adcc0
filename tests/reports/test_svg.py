from __future__ import annotations

import numpy as np

from sharpwave.reports import svg


def test_attributes_and_text_are_escaped() -> None:
    assert svg.element("g", css='"><script>') == '<g class="&#34;&gt;&lt;script&gt;"/>'
    assert "<b>" not in svg.text(0, 0, "<b>")
    assert 'aria-label="&lt;b&gt;"' in svg.chart([], width=1, height=1, label="<b>")
    assert 'aria-label="&lt;b&gt;"' in svg.plot([], height=1, label="<b>")


def test_places_are_pixels_or_percentages() -> None:
    assert svg.line("5%", 1 / 3, 10, 2, css="rule") == '<line x1="5%" y1="0.33" x2="10" y2="2" class="rule"/>'
    assert svg.bar(1 / 3, 0, 50, 9, fill="#fff") == '<rect x="0.333%" y="0" width="50%" height="9" fill="#fff"/>'


def test_lines_and_areas_break_at_gaps() -> None:
    xs, ys = np.arange(5.0), np.array([0, 1, np.nan, 3, 4.0])
    assert svg.line_path(xs, ys) == "M0 0L1 1M3 3L4 4"
    assert svg.area_path(xs, ys, np.full(5, 9.0)) == "M0 0L1 1L1 9L0 9ZM3 3L4 4L4 9L3 9Z"
