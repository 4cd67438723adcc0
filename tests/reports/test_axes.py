from __future__ import annotations

import re

import numpy as np
import pytest

from sharpwave.reports.axes import (
    Box,
    Scale,
    choose_ratios,
    choose_step,
    choose_ticks,
    draw_whisker,
    list_ticks,
    write,
)


def test_values_outside_are_cut_off_where_the_scale_says() -> None:
    values = np.array([-1.0, 0.0, 1.0, 3.0, np.nan])
    np.testing.assert_allclose(Scale(0, 2, 10, 110).along(values), [10, 10, 60, 110, np.nan])
    np.testing.assert_allclose(Scale(0, 2, 10, 110, beyond=0.1).along(values), [0, 10, 60, 120, np.nan])
    np.testing.assert_allclose(Scale(0, 2, 10, 110, beyond=np.inf).along(values), [-40, 10, 60, 160, np.nan])


def test_equal_ratios_are_equal_steps() -> None:
    places = Scale(0.1, 10, 0, 90, logarithmic=True).along(np.array([0.1, 0.5, 1.0, 2.0, 10.0]))
    assert places[2] - places[1] == pytest.approx(places[3] - places[2])
    assert places[[0, -1]].tolist() == [0, 90]


def test_a_scale_without_length_stays_finite() -> None:
    assert Scale(1.0, 1.0, 0, 50).at(1.0) == 0


def test_rows_lie_inside_their_box_in_even_steps() -> None:
    box = Box.of_rows(4, step=26, left=100, width=200, top=22)
    assert box.rows(4) == [37, 63, 89, 115]
    assert box.bottom == 22 + 4 * 26 + 4
    names = box.draw_names(["a", "<b>", "c", "d"])
    assert [float(re.search(r' y="([\d.]+)"', name)[1]) for name in names] == [41, 67, 93, 119]
    assert "&lt;b&gt;" in names[1]
    assert Box.of_rows(0, step=26, left=100, width=200).draw_names([]) == []


def test_no_effect_is_dashed() -> None:
    box = Box(0, 0, 100, 50)
    columns = box.draw_columns(box.across(-1, 1), [-1.0, 0.0, 1.0], none=0.0)
    assert ['class="diagonal"' in column for column in columns] == [False, True, False]


def test_whiskers_need_both_ends() -> None:
    scale = Scale(0, 1, 0, 100)
    assert draw_whisker({"low": 0.2, "high": 0.4}, scale, 7) == [
        '<line x1="20" y1="7" x2="40" y2="7" class="whisker"/>'
    ]
    assert 'x1="7" y1="20" x2="7" y2="40"' in draw_whisker({"low": 0.2, "high": 0.4}, scale, 7, upright=True)[0]
    assert draw_whisker({"low": np.nan, "high": 0.4}, scale, 7) == []
    assert draw_whisker({}, scale, 7) == []


@pytest.mark.parametrize("spread", [1e-3, 1.0, 700.0])
def test_ticks_hold_all_values_and_zero(spread: float, rng: np.random.Generator) -> None:
    for _ in range(50):
        values = rng.normal(rng.normal(0, spread), spread, 5)
        ticks = choose_ticks(values)
        assert ticks[0] <= values.min()
        assert ticks[-1] >= values.max()
        assert np.abs(ticks).min() < 1e-12
        assert 2 <= len(ticks) <= 7


def test_ratios_near_one_get_near_ticks_and_far_ones_are_cut() -> None:
    assert choose_ratios(np.array([0.9, 1.1, np.nan])).tolist() == [0.8, 0.9, 1.0, 1.1, 1.25]
    assert choose_ratios(np.array([0.9, 1.5])).tolist() == [0.5, 1.0, 2.0]
    assert choose_ratios(np.array([0.001, 500.0]))[[0, -1]].tolist() == [0.1, 10.0]


def test_steps_and_their_multiples() -> None:
    assert choose_step(100.0, (1, 2, 5), most=4) == 5
    ticks = list_ticks(-0.06, 0.06, 0.02)
    np.testing.assert_allclose(ticks, [-0.06, -0.04, -0.02, 0, 0.02, 0.04, 0.06], atol=1e-12)
    assert [write(tick) for tick in list_ticks(0.0, 1.0, 0.5)] == ["0", "0.5", "1"]
