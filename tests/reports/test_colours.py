from __future__ import annotations

import matplotlib as mpl
import numpy as np

from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.reports.colours import STAGE_COLOURS, compute_viridis, order_stages


def _luminance(code: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_stage_has_a_colour_with_contrast() -> None:
    for names in STAGE_SETS.values():
        for name in names:
            assert 1.05 / (_luminance(STAGE_COLOURS[name]) + 0.05) >= 3, name


def test_colours_within_a_set_differ() -> None:
    for names in STAGE_SETS.values():
        assert len({STAGE_COLOURS[name] for name in names}) == len(names)


def test_agreed_palette() -> None:
    chosen = {name: STAGE_COLOURS[name] for name in ("W", "N1", "N2", "N3", "R")}
    assert chosen == {"W": "#B67416", "N1": "#389BD0", "N2": "#2960AD", "N3": "#051738", "R": "#931755"}


def test_viridis_is_matplotlibs() -> None:
    theirs = 255 * mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3]
    assert np.abs(compute_viridis() - theirs).max() < 4


def test_wake_is_on_top_and_deep_sleep_below() -> None:
    assert order_stages(STAGE_SETS[4]) == ["W", "R", "LIGHT", "DEEP"]
    assert order_stages(STAGE_SETS[2]) == ["W", "S"]
