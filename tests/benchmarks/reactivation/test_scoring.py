"""Figures of found reactivations, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.reactivation.scoring import score_reactivations


def test_figures_by_hand() -> None:
    replays = pd.DataFrame(
        {
            "onset": [1.0, 5.0, 9.0],
            "duration": 0.1,
            "content": ["a", "b", "a"],
            "direction": ["forward", "reverse", "forward"],
        }
    )
    found = pd.DataFrame(
        {
            "onset": [1.01, 5.0, 7.0, 9.06],
            "duration": 0.1,
            "content": ["a", "a", "a", "a"],
            "direction": ["forward", "reverse", "forward", "forward"],
            "known": [1.2, 5.1, 7.1, 9.1],
        }
    )
    figures = score_reactivations(replays, found, duration=120.0)
    assert figures["precision"] == 0.5
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(4 / 7)
    assert figures["false_positives_per_minute"] == 1.0
    assert figures["onset_error"] == pytest.approx(0.005)
    assert figures["content_accuracy"] == 0.5
    assert figures["direction_accuracy"] == 1.0
    assert figures["latency"] == pytest.approx(0.15)


def test_what_was_not_read_has_no_figure() -> None:
    replays = pd.DataFrame({"onset": [1.0], "duration": [0.1], "content": ["a"], "direction": ["forward"]})
    figures = score_reactivations(replays, replays[["onset", "duration"]], duration=60.0)
    assert (figures["precision"], figures["recall"]) == (1.0, 1.0)
    assert np.isnan([figures["content_accuracy"], figures["direction_accuracy"], figures["latency"]]).all()
    nothing = score_reactivations(replays.iloc[:0], replays, duration=60.0)
    assert nothing["false_positives_per_minute"] == 1.0
    assert np.isnan(nothing["recall"])
